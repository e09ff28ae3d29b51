"""Who holds the node's directories, and the id that is minted once."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from swarmpy.errors import BadRequest, Conflict
from swarmpy.files import write_private
from swarmpy.idgen import CountingIds
from swarmpy.node.home import NODE_FILE, NodeRecord, held, load_node, prepare, save_node


def test_a_node_keeps_the_id_it_was_given_first(tmp_path: Path) -> None:
    ids = CountingIds()
    assert load_node(tmp_path, ids) == load_node(tmp_path, ids)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    record = NodeRecord(id="n1", etcd_release=(3, 5))
    save_node(tmp_path, record)
    assert load_node(tmp_path, CountingIds()) == record


@pytest.mark.parametrize("text", ["", "{", '{"id": 7}', '{"id": "a", "later": true}'])
def test_a_damaged_record_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / NODE_FILE).write_text(text)
    with pytest.raises(BadRequest, match=r"damaged, or from a later swarmpy"):
        load_node(tmp_path, CountingIds())
    assert (tmp_path / NODE_FILE).read_text() == text


def test_private_files_are_for_this_user_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "settings.json", "secret")
    assert stat.S_IMODE((tmp_path / "settings.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_a_second_holder_is_told_who_is_first(tmp_path: Path) -> None:
    with (
        held(tmp_path),
        pytest.raises(Conflict, match=f"already runs as pid {os.getpid()} in {tmp_path}"),
        held(tmp_path),
    ):
        pass


def test_the_directory_is_free_again_after_its_holder_was_killed(tmp_path: Path) -> None:
    hold = "import sys, pathlib, os, signal\nfrom swarmpy.node.home import held\n"
    hold += "with held(pathlib.Path(sys.argv[1])):\n    os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", hold, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with held(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    prepare(tmp_path / "a" / "b", "--data-dir", 0o700)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_made_is_named_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadRequest, match=r"cannot make .*file/data: Not a directory; .* another --data-dir"):
        prepare(tmp_path / "file" / "data", "--data-dir", 0o700)
