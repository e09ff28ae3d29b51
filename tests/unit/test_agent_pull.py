"""When a registry is asked, with what, and what is told meanwhile."""

import base64
import json
from typing import Any

import pytest

from agent.task.pull import PullProgress, asks_registry_first, credentials, is_moving
from swarmpy.errors import BadRequest


@pytest.mark.parametrize(
    ("reference", "moving"),
    [
        ("app", True),
        ("app:latest", True),
        ("registry:5000/app", True),
        ("app:1", False),
        ("registry:5000/app:1", False),
        (f"app:latest@sha256:{'0' * 64}", False),
    ],
)
def test_a_reference_moves_when_its_tag_is_latest_or_absent(reference: str, moving: bool) -> None:
    assert is_moving(reference) is moving


def test_only_a_moving_reference_with_credentials_is_asked_for_each_time() -> None:
    assert asks_registry_first("app:latest", has_credentials=True)
    assert not asks_registry_first("app:latest", has_credentials=False)
    assert not asks_registry_first("app:1", has_credentials=True)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
def test_credentials_are_read_in_either_alphabet(encode: object, padded: bool) -> None:
    auth = {"username": "u?>", "password": "p~~~"}
    assert callable(encode)
    text = encode(json.dumps(auth).encode()).decode()

    assert credentials(text if padded else text.rstrip("=")) == auth


def test_no_credentials_are_none() -> None:
    assert credentials(None) == {}
    assert credentials("") == {}


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2!",
        "hunter2\xe9",
        base64.b64encode(b"[" * 100_000).decode(),
        base64.b64encode(b"[1]").decode(),
        base64.b64encode(b"hunter2").decode(),
    ],
)
def test_credentials_that_cannot_be_read_are_not_repeated(secret: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        credentials(secret)

    assert secret not in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_progress_counts_layers_and_bytes() -> None:
    lines: list[dict[str, Any]] = [
        {"status": "Pulling from app", "id": "1"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "aa"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "bb"},
        {"status": "Downloading", "progressDetail": {"current": 1_000_000, "total": 4_000_000}, "id": "aa"},
        {"status": "Downloading", "progressDetail": {"current": 2_000_000, "total": 2_000_000}, "id": "bb"},
        {"status": "Download complete", "progressDetail": {}, "id": "bb"},
        {"status": "Extracting", "progressDetail": {"current": 1, "total": 2}, "id": "bb"},
        {"status": "Digest: sha256:0"},
    ]
    progress = PullProgress("app:1")
    assert progress.text() == "pulling app:1"

    for line in lines:
        progress = progress.with_line(line)

    assert progress.text() == "pulling app:1: 1 of 2 layers, 3.0 of 6.0 MB"
