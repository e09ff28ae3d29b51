"""Credentials from docker's configuration, plain and from helpers."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from swarmpy.cli.registry import HUB, auth_header, read_config, registry_of
from swarmpy.errors import BadRequest


def sent(image: str, config: dict[str, Any]) -> Any:
    header = auth_header(image, config)
    return json.loads(base64.urlsafe_b64decode(header["X-Registry-Auth"])) if header else None


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("web", HUB), ("me/web:1", HUB), ("docker.io/me/web", HUB), ("reg.example/web", "reg.example"),
        ("localhost/web", "localhost"), ("reg:5000/a/b@sha256:12", "reg:5000"),
    ],
)  # fmt: skip
def test_the_registry_of_an_image(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def test_a_plain_credential_is_sent_for_its_registry_only() -> None:
    config = {"auths": {"https://reg.example/v1/": {"auth": encoded("me:pa:ss")}, "empty.example": {}}}
    assert sent("reg.example/web:1", config) == {
        "username": "me", "password": "pa:ss", "serveraddress": "reg.example",
    }  # fmt: skip
    assert sent("other.example/web:1", config) is None
    assert sent("empty.example/web:1", config) is None


def test_an_identity_token_is_sent_as_such() -> None:
    config = {"auths": {HUB: {"identitytoken": "t"}}}
    assert sent("web", config) == {"identitytoken": "t", "serveraddress": HUB}


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / "docker-credential-box"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_a_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(
        tmp_path, monkeypatch, """read registry; echo "{\\"Username\\":\\"me\\",\\"Secret\\":\\"of $registry\\"}" """
    )
    wished = {"username": "me", "password": "of reg.example", "serveraddress": "reg.example"}
    assert sent("reg.example/web", {"credHelpers": {"reg.example": "box"}}) == wished
    assert sent("reg.example/web", {"credsStore": "box"}) == wished


def test_a_helper_without_a_credential_gives_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, "echo credentials not found in native keychain; exit 1")
    assert sent("reg.example/web", {"credsStore": "box"}) is None


def test_a_helper_that_fails_or_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, "echo locked >&2; exit 1")
    with pytest.raises(BadRequest, match=r"docker-credential-box gave no credential for reg\.example: locked"):
        auth_header("reg.example/web", {"credsStore": "box"})
    with pytest.raises(BadRequest, match="docker-credential-nowhere"):
        auth_header("reg.example/web", {"credsStore": "nowhere"})


def test_dockers_configuration_is_read_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert read_config() == {}
    (tmp_path / "config.json").write_text('{"auths": {}}')
    assert read_config() == {"auths": {}}
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BadRequest, match=r"config\.json: cannot be read"):
        read_config()
