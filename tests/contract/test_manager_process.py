"""The manager as a process with a real etcd: starts, waits, refuses, stops, with exit codes that tell the truth."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.etcd import EtcdServer
from support.manager_process import BOUND, ManagerProcess

pytestmark = pytest.mark.etcd


@pytest.fixture
def etcd() -> Iterator[EtcdServer]:
    server = EtcdServer()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def manager(tmp_path: Path, etcd: EtcdServer) -> Iterator[ManagerProcess]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = ManagerProcess(tmp_path, etcd.endpoint, port)
    try:
        yield process
    finally:
        process.close()


def test_it_leads_serves_and_stops_with_zero_leaving_no_socket(etcd: EtcdServer, manager: ManagerProcess) -> None:
    etcd.start()
    manager.start()
    manager.wait_until("/readyz", 200)
    code, _ = manager.end()

    assert code == 0
    assert not manager.api.exists()


def test_after_a_graceful_stop_and_after_a_kill_the_next_one_leads_at_once(
    etcd: EtcdServer, manager: ManagerProcess
) -> None:
    etcd.start()
    for ending in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        manager.start()
        manager.wait_until("/readyz", 200)
        manager.end(ending)


def test_without_etcd_it_waits_and_says_so_and_recovers_by_itself(etcd: EtcdServer, manager: ManagerProcess) -> None:
    manager.start()
    manager.wait_until("/readyz", 503)
    assert manager.get("/services") == 503
    etcd.start()
    manager.wait_until("/readyz", 200)
    etcd.kill()
    manager.wait_until("/readyz", 503)
    assert manager.get("/services") == 200
    etcd.start()
    manager.wait_until("/readyz", 200)


def test_a_second_one_on_the_same_sockets_is_refused_and_the_first_goes_on(
    etcd: EtcdServer, manager: ManagerProcess, tmp_path: Path
) -> None:
    etcd.start()
    manager.start()
    manager.wait_until("/readyz", 200)
    second = subprocess.run(
        [sys.executable, "-m", "manager", "--settings", str(manager.settings)],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )

    assert second.returncode == 6
    assert "another process answers" in second.stderr
    assert "Traceback" not in second.stderr
    assert manager.get("/readyz") == 200


@pytest.mark.parametrize("text", ["{", "{}", '{"node_id": 5}'])
def test_settings_that_make_no_sense_are_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    result = subprocess.run(
        [sys.executable, "-m", "manager", "--settings", str(path)],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )

    assert result.returncode == 2
    assert str(path) in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
