"""A whole node as its operator has it: `swarmpy up` as a process, the command line beside it, the engine's containers.

Waits are for conditions and have bounds; what does not come true in time fails with what was seen instead.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar
from urllib.parse import quote

import docker
from support.dockerd import Dockerd
from support.manager_process import UnixConnection

T = TypeVar("T")

BIN = Path(sys.executable).parent
READY_LIMIT = 30.0
COMMAND_LIMIT = 60.0
POLL = 0.05
CHILDREN = {"etcd": "--listen-client-urls", "manager": "manager.json", "agent": "agent.json"}


@dataclass(frozen=True, slots=True)
class Result:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Container:
    """One run of one container: equal only when it was neither replaced nor restarted."""

    id: str
    task_id: str
    started_at: str


def wait_until(what: str, look: Callable[[], T], limit: float = READY_LIMIT) -> T:
    """The first true thing that `look` returns."""
    deadline = time.monotonic() + limit
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit:g} s in vain until {what}; last seen: {seen!r}")
        time.sleep(POLL)
    return seen


class Node:
    """One `swarmpy up` on an engine, in the engine's network: what it makes there ends with the engine. Its directories
    outlive `kill` and `start`; `close` removes all else that it made."""

    def __init__(self, engine: Dockerd, name: str = "node-1", options: Sequence[str] = ()) -> None:
        self.name = name
        self._options = tuple(options)
        self.engine = engine
        self.directory = Path(tempfile.mkdtemp(prefix="node-", dir="/tmp"))
        self.data_dir = self.directory / "data"
        self.run_dir = self.directory / "run"
        self.log_path = self.directory / "log"
        self.status_address, self.door = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.peer_port = free_port()
        # Any: the SDK is typed in part only.
        self.docker: Any = engine.client()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> str:
        return f"unix://{self.run_dir / 'swarmpy.sock'}"

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self._process is not None, "the node is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # the supervisor

    def command(self) -> list[str]:
        return [
            *(str(BIN / "swarmpy"), "up"),
            *("--data-dir", str(self.data_dir), "--run-dir", str(self.run_dir)),
            *("--docker-host", self.engine.host, "--status-address", self.status_address),
            *("--listen-address", self.door, "--advertise-address", self.door, "--peer-port", str(self.peer_port)),
            *("--hostname", self.name, "--label", "disk=ssd", *self._options),
        ]

    def start(self, *, again: bool = False) -> None:
        """Returns when the node says that it is ready. `again`: only its data directory is named, all else it knows."""
        command = self.command()[:4] if again else self.command()
        said = self.log.count(" is ready")
        with self.log_path.open("ab") as log:
            there = ("nsenter", f"--net=/proc/{self.engine.pid}/ns/net")
            self._process = subprocess.Popen([*there, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        process = self._process

        def ready_or_gone() -> bool:
            return self.log.count(" is ready") > said or process.poll() is not None

        try:
            wait_until("the node is ready", ready_or_gone)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log[-4000:]}") from None
        assert process.poll() is None, f"the node ended with {process.returncode}:\n{self.log[-4000:]}"

    def stop(self) -> int:
        """As Ctrl-C does; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """The supervisor alone, with no chance to tidy up; returns when its children are gone too."""
        children = self.children()
        self._end(signal.SIGKILL)
        wait_until("the children are gone", lambda: not any(_lives(pid) for pid in children.values()))

    def children(self) -> dict[str, int]:
        """Name -> pid of what runs under the supervisor now."""
        found = {}
        for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with suppress(FileNotFoundError):
                words = Path(f"/proc/{pid}/cmdline").read_text()
                found.update({name: int(pid) for name, sign in CHILDREN.items() if sign in words})
        return found

    def signal_child(self, name: str, number: signal.Signals) -> None:
        os.kill(self.children()[name], number)

    def kill_child(self, name: str) -> None:
        """kill -9; returns when its successor runs."""
        before = self.children()[name]
        os.kill(before, signal.SIGKILL)
        wait_until(f"{name} is started again", lambda: self.children().get(name, before) != before)

    def close(self) -> None:
        """End it and remove every container and network it left on the engine, and its files."""
        if self._process is not None and self._process.poll() is None:
            self.stop()
        for container in self.docker.containers(all=True, filters={"label": "com.docker.swarm.task.id"}):
            self.docker.remove_container(container["Id"], force=True, v=True)
        self.docker.prune_networks()
        self.docker.close()
        rmtree(self.directory, ignore_errors=True)

    # the command line

    def swarmpy(self, *words: str, limit: float = COMMAND_LIMIT) -> Result:
        return run([str(BIN / "swarmpy"), "--host", self.api, *words], limit)

    def must(self, *words: str) -> Result:
        """The command, which must succeed."""
        result = self.swarmpy(*words)
        assert result.code == 0, (
            f"swarmpy {' '.join(words)} ended with {result.code}:\n{result.all}\n{self.log[-3000:]}"
        )
        return result

    def wait_until_done(self, *words: str) -> None:
        """A command that is given again until a manager takes it: one may just be coming back."""
        wait_until(f"`swarmpy {' '.join(words)}` succeeds", lambda: self.swarmpy(*words).code == 0)

    def docker_cli(self, *words: str, limit: float = COMMAND_LIMIT) -> Result:
        """The real docker client against the manager's socket."""
        return run(["docker", "--host", self.api, *words], limit)

    def stack_file(self, text: str) -> Path:
        path = self.directory / "stack.yaml"
        path.write_text(text)
        return path

    def deploy(self, name: str, text: str, *options: str) -> Result:
        return self.swarmpy("stack", "deploy", "-c", str(self.stack_file(text)), *options, name)

    def tasks(self, service: str) -> list[dict[str, Any]]:
        """All its tasks as the API tells of them, finished ones too."""
        rows = self.get(f"/tasks?filters={quote(json.dumps({'service': [service]}))}")
        assert isinstance(rows, list)
        return rows

    def get(self, path: str) -> Any:
        """The API's JSON at a path."""
        status, body = self.request(path)
        assert status == 200, f"GET {path} gave {status}: {body}"
        return body

    def request(self, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        """Status and JSON of any answer."""
        with closing(UnixConnection(self.run_dir / "swarmpy.sock")) as connection:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            told = answer.read()
        return answer.status, json.loads(told) if told else None

    # the engine

    def containers(self, service: str) -> frozenset[Container]:
        """The running ones of a service, as the engine has them."""
        found = set()
        label = f"com.docker.swarm.service.name={service}"
        for row in self.docker.containers(filters={"label": label, "status": "running"}):
            with suppress(docker.errors.NotFound):
                facts = self.docker.inspect_container(row["Id"])
                labels = facts["Config"]["Labels"]
                found.add(Container(row["Id"], labels["com.docker.swarm.task.id"], facts["State"]["StartedAt"]))
        return frozenset(found)

    def wait_until_running(self, service: str, count: int, limit: float = READY_LIMIT) -> frozenset[Container]:
        return wait_until(
            f"{count} containers of {service} run",
            lambda: seen if len(seen := self.containers(service)) == count else frozenset(),
            limit,
        )

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        assert process is not None, "the node is not running"
        process.send_signal(number)
        return process.wait(READY_LIMIT)


def run(command: list[str], limit: float) -> Result:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    return Result(ended.returncode, ended.stdout, ended.stderr)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
