"""`swarmpy up` where it cannot be: one clear sentence and the right exit code; and where it can wait, it does."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.node import BIN, free_port, run, wait_until

from swarmpy.clock import SystemClock
from swarmpy.node.home import NODE_FILE, NodeRecord, save_node
from swarmpy.node.identity import IdentityFolder

BAD_REQUEST, NOT_FOUND, CONFLICT = 2, 4, 5


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short enough for the sockets in it."""
    return tmp_path_factory.mktemp("up")


def command(directory: Path, *options: str) -> list[str]:
    door = f"127.0.0.1:{free_port()}"
    base = {
        "--data-dir": f"{directory}/data",
        "--run-dir": f"{directory}/run",
        "--docker-host": f"unix://{directory}/no-engine.sock",
        "--status-address": f"127.0.0.1:{free_port()}",
        "--listen-address": door,
        "--advertise-address": door,
        "--peer-port": str(free_port()),
    }
    given = dict(zip(options[::2], options[1::2], strict=True))
    return [str(BIN / "swarmpy"), "up", *(word for pair in {**base, **given}.items() for word in pair)]


def refused(directory: Path, *options: str, path: str | None = None) -> tuple[int, str]:
    """Exit code, and the last line it said."""
    env = {**os.environ, "PATH": path or os.environ["PATH"]}
    ended = subprocess.run(
        command(directory, *options), capture_output=True, text=True, timeout=30, check=False, env=env
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr.strip().splitlines()[-1]


def test_a_status_address_in_use(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = refused(directory, "--status-address", address)
    assert (code, f"cannot listen on {address}" in said) == (CONFLICT, True), said


def test_no_etcd_on_the_machine(directory: Path) -> None:
    code, said = refused(directory, path="/nowhere")
    assert (code, "apt-get install etcd-server, or pip install" in said) == (BAD_REQUEST, True), said


def test_a_data_directory_that_cannot_be(directory: Path) -> None:
    (directory / "file").touch()
    code, said = refused(directory, "--data-dir", f"{directory}/file/data")
    assert (code, "another --data-dir" in said) == (BAD_REQUEST, True), said


def test_a_socket_path_that_linux_does_not_allow(directory: Path) -> None:
    code, said = refused(directory, "--run-dir", f"{directory}/{'r' * 100}")
    assert (code, "use a shorter --run-dir" in said) == (BAD_REQUEST, True), said


def test_data_that_a_later_etcd_wrote(directory: Path) -> None:
    folder = IdentityFolder(directory / "data" / "identity")
    folder.found("cluster1", "n" * 25, "127.0.0.1", SystemClock().now())
    record = NodeRecord(id="n" * 25, etcd_release=(99, 1), is_equipped=True, managers=("127.0.0.1:2377",))
    save_node(directory / "data", record)
    code, said = refused(directory)
    assert (code, "was written by etcd 99.1" in said) == (BAD_REQUEST, True), said


def test_data_of_a_swarmpy_that_knew_no_certificates(directory: Path) -> None:
    (directory / "data").mkdir()
    save_node(directory / "data", NodeRecord(id="n" * 25, etcd_release=(3, 4)))
    code, said = refused(directory)
    assert (code, "choose another --data-dir" in said) == (BAD_REQUEST, True), said


def test_a_page_that_would_be_seen_from_elsewhere(directory: Path) -> None:
    code, said = refused(directory, "--status-address", "0.0.0.0:2378")
    assert (code, "not on loopback" in said) == (BAD_REQUEST, True), said


def test_leaving_where_no_node_ever_was(directory: Path) -> None:
    told = run([str(BIN / "swarmpy"), "leave", "--data-dir", str(directory)], limit=30)
    assert (told.code, "is no member of a cluster" in told.err) == (NOT_FOUND, True), told.err


@contextmanager
def starting(directory: Path) -> Iterator[Path]:
    """A node that runs without an engine; gives its log."""
    log = directory / "log"
    with log.open("wb") as file, subprocess.Popen(command(directory), stdout=file, stderr=file) as process:
        try:
            yield log
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text()


def test_an_engine_that_is_not_there_is_waited_for(directory: Path) -> None:
    with starting(directory) as log:
        wait_until("the missing engine is told", lambda: "engine.absent" in log.read_text())
        wait_until("the manager runs all the same", lambda: "leadership.won" in log.read_text())
        assert (directory / "data" / NODE_FILE).exists()
    assert "containers keep running" in log.read_text()


def test_what_is_kept_is_closed_to_others(directory: Path) -> None:
    with starting(directory) as log:
        wait_until("the manager runs", lambda: "leadership.won" in log.read_text())
        modes = {name: (directory / name).stat().st_mode & 0o777 for name in ("data", "run/manager.json", "run/etcd")}
    assert modes == {"data": 0o700, "run/manager.json": 0o600, "run/etcd": 0o700}
