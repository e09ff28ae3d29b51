"""`swarmpy install` into a root file system elsewhere: what is there then, who may read it, and what systemd says."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from support.node import BIN, Result, run

BAD_REQUEST = 2
JOIN = "SWMTKN-1-" + "d" * 50 + "-" + "s" * 25 + "@10.0.0.1:2377"
UNIT = "etc/systemd/system/swarmpy.service"
LINK = "etc/systemd/system/multi-user.target.wants/swarmpy.service"
GROUP = "etc/sysusers.d/swarmpy.conf"
# Of 10; the network, the engine's socket and the operators' group need what is left. A bare unit has 9.6.
EXPOSURE = 4.5


def install(root: Path, *options: str) -> Result:
    return run([str(BIN / "swarmpy"), "install", "--root", str(root), *options], limit=60)


def files(root: Path) -> dict[str, int]:
    """Path -> mode of all that is there but folders."""
    return {
        str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode)
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_the_unit_is_written_and_wanted(tmp_path: Path) -> None:
    told = install(tmp_path, "--label", "disk=ssd", "--advertise-address", "10.0.0.7")
    assert told.code == 0, told.all
    assert files(tmp_path) == {UNIT: 0o644, LINK: 0o777, GROUP: 0o644}
    assert (tmp_path / LINK).readlink() == Path("/") / UNIT
    start = f"ExecStart={BIN / 'swarmpy'} up --advertise-address 10.0.0.7 --label disk=ssd\n"
    assert start in (tmp_path / UNIT).read_text()


@pytest.mark.parametrize("way", ["argument", "stdin"])
def test_the_token_lies_in_a_file_for_root_alone(tmp_path: Path, way: str) -> None:
    words = [str(BIN / "swarmpy"), "install", "--root", str(tmp_path), "--join", JOIN if way == "argument" else "-"]
    told = subprocess.run(words, input=JOIN, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "etc/swarmpy/join").read_text() == JOIN + "\n"
    assert files(tmp_path)["etc/swarmpy/join"] == 0o600
    assert stat.S_IMODE((tmp_path / "etc/swarmpy").stat().st_mode) == 0o700
    assert "--join-file /etc/swarmpy/join" in (tmp_path / UNIT).read_text()
    assert JOIN not in (tmp_path / UNIT).read_text() + told.stdout + told.stderr


def test_given_again_it_replaces_the_options_and_keeps_the_token(tmp_path: Path) -> None:
    first, second = install(tmp_path, "--join", JOIN, "--label", "a=1"), install(tmp_path, "--label", "b=2")
    assert (first.code, second.code) == (0, 0), first.all + second.all
    unit = (tmp_path / UNIT).read_text()
    assert unit.count("ExecStart=") == 1
    assert "up --label b=2 --join-file /etc/swarmpy/join\n" in unit


def test_a_dry_run_tells_all_but_the_token_and_writes_nothing(tmp_path: Path) -> None:
    told = install(tmp_path, "--dry-run", "--join", JOIN)
    assert told.code == 0, told.all
    assert files(tmp_path) == {}
    assert f"write /{UNIT} (mode 0644)" in told.out
    assert "ProtectSystem=strict" in told.out
    assert JOIN not in told.all


def test_uninstalling_removes_what_was_written_and_says_what_stays(tmp_path: Path) -> None:
    assert install(tmp_path, "--join", JOIN).code == 0
    told = install(tmp_path, "--uninstall")
    assert (told.code, "kept: /var/lib/swarmpy" in told.out) == (0, True), told.all
    assert files(tmp_path) == {}
    again = install(tmp_path, "--uninstall")
    assert (again.code, "nothing to do" in again.out) == (0, True), again.all


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--join", "SWMTKN-1-short@10.0.0.1"], "the join token has not the form"),
        (["--join", "nonsense"], "--join wants TOKEN@HOST:PORT"),
        (["--join", "-"], "--join wants TOKEN@HOST:PORT"),
        (["--label", "=x"], "a label needs a name"),
        (["--label", "a=b\nUser=x"], "no line of a unit file can have"),
        (["--advertise-address", "a:b:c"], "--advertise-address: 'a:b:c' is no address"),
        (["--listen-address", "0.0.0.0:0"], "--listen-address: '0.0.0.0:0' is no address"),
        (["--uninstall", "--label", "a=b"], "--uninstall takes no --label"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(tmp_path: Path, options: list[str], says: str) -> None:
    told = install(tmp_path, *options)
    assert told.code == BAD_REQUEST
    assert says in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert files(tmp_path) == {}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "etc").touch()
    told = install(tmp_path)
    assert (told.code, f"{tmp_path}/etc" in told.err) == (BAD_REQUEST, True), told.err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    assert install(tmp_path, "--join", JOIN, "--label", 'a=50% of "b" $c').code == 0
    told = run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / UNIT)], limit=60)
    assert (told.code, [line for line in told.all.splitlines() if "swarmpy" in line]) == (0, [])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_the_unit_is_closed_as_far_as_a_node_can_be(tmp_path: Path) -> None:
    assert install(tmp_path).code == 0
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(tmp_path / UNIT)]
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    found = re.search(r"Overall exposure level for swarmpy\.service: ([\d.]+)", told.stdout)
    assert found is not None, told.stdout + told.stderr
    assert float(found[1]) <= EXPOSURE
