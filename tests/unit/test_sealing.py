"""Sealed values come back whole, under their own key only."""

from pathlib import Path

import pytest

from manager.ca.sealing import load_sealer
from swarmpy.errors import Unavailable
from swarmpy.membership import SEALING_KEY_FILE


def test_what_was_sealed_is_unsealed_by_the_same_key_even_after_a_restart(tmp_path: Path) -> None:
    sealed = load_sealer(tmp_path).seal(b"hunter2")

    assert load_sealer(tmp_path).unseal(sealed) == b"hunter2"
    assert "hunter2" not in sealed


def test_two_sealings_of_one_value_differ(tmp_path: Path) -> None:
    sealer = load_sealer(tmp_path)

    assert sealer.seal(b"same") != sealer.seal(b"same")


def test_another_key_does_not_open_it_and_says_what_to_do(tmp_path: Path) -> None:
    sealed = load_sealer(tmp_path / "one").seal(b"hunter2")

    with pytest.raises(Unavailable, match=r"copy sealing\.key"):
        load_sealer(tmp_path / "other").unseal(sealed)


@pytest.mark.parametrize("broken", ["", "v1:", "v1:????", "v1:AAAA"])
def test_what_was_never_sealed_is_refused_in_words(tmp_path: Path, broken: str) -> None:
    with pytest.raises(Unavailable):
        load_sealer(tmp_path).unseal(broken)


def test_a_changed_text_is_refused(tmp_path: Path) -> None:
    sealer = load_sealer(tmp_path)
    sealed = sealer.seal(b"hunter2")
    changed = sealed[:-6] + ("AAAAAA" if not sealed.endswith("AAAAAA") else "BBBBBB")

    with pytest.raises(Unavailable):
        sealer.unseal(changed)


def test_only_the_owner_can_read_the_key_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    load_sealer(tmp_path)

    assert (tmp_path / SEALING_KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [SEALING_KEY_FILE]


def test_a_key_that_is_torn_is_named_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / SEALING_KEY_FILE).write_bytes(b"short")

    with pytest.raises(Unavailable, match=r"sealing\.key .* is damaged"):
        load_sealer(tmp_path)
    assert (tmp_path / SEALING_KEY_FILE).read_bytes() == b"short"
