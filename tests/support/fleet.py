"""Words for tests on a cluster of several real nodes: what runs where, who leads, and what must not have changed."""

import json
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any

from support.images import BUSYBOX
from support.lab import Lab
from support.manager_process import UnixConnection
from support.node import wait_until

from swarmpy.client import Client
from swarmpy.errors import SwarmpyError

LIMIT = 60.0
STACK = """
services:
  web:
    image: {image}
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"]
    stop_grace_period: 1s
    deploy: {{replicas: {replicas}}}
"""


class Fleet:
    """One lab and its cluster. Whatever is asked is asked of any manager that answers."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder

    # asking

    def client(self, node: str) -> Client:
        return Client(f"unix:///run/swarmpy-lab/{self.lab.name}/{node}/swarmpy/swarmpy.sock")

    def ask(self, path: str, *, of: Iterable[str] | None = None, **query: Any) -> Any:
        """The first answer; of these nodes, or of whichever has a manager."""
        last: SwarmpyError | None = None
        for node in of or [f"node-{number}" for number in range(1, 6)]:
            try:
                with self.client(node) as client:
                    return client.get(path, **query)
            except SwarmpyError as error:
                last = error
        assert last is not None
        raise last

    def nodes(self, *, of: Iterable[str] | None = None) -> dict[str, Any]:
        return {node["Description"]["Hostname"]: node for node in self.ask("/nodes", of=of)}

    def state_of(self, name: str, *, of: Iterable[str] | None = None) -> str:
        return str(self.nodes(of=of)[name]["Status"]["State"])

    def role_of(self, name: str) -> str:
        """`leader`, `manager` or `worker`, as the cluster sees it."""
        manager = self.nodes()[name].get("ManagerStatus")
        if manager is None:
            return "worker"
        return "leader" if manager.get("Leader") else "manager"

    def leader(self, *, of: Iterable[str] | None = None) -> str:
        """Empty while there is none."""
        for name, node in self.nodes(of=of).items():
            if (node.get("ManagerStatus") or {}).get("Leader"):
                return name
        return ""

    def tasks(self, service: str, *, of: Iterable[str] | None = None) -> list[Any]:
        """Those that are to run, and run."""
        wanted = self.ask("/tasks", of=of, filters={"service": [service], "desired-state": ["running"]})
        return [task for task in wanted if task["Status"]["State"] == "running"]

    def containers(self) -> dict[str, frozenset[str]]:
        """Node -> ids of running containers, as the engines have it that answer."""
        found = {}
        for name, node in self.lab.nodes().items():
            with suppress(OSError, HTTPException):
                found[name] = _running_on(Path(node.docker_host.removeprefix("unix://")))
        return found

    # doing

    def deploy(self, stack: str, replicas: int) -> None:
        file = self.folder / f"{stack}.yaml"
        file.write_text(STACK.format(image=BUSYBOX, replicas=replicas))
        done = self.lab.swarmpy("node-1", "stack", "deploy", "-c", str(file), stack, limit=120)
        assert done.code == 0, done.all

    def allow_silence(self, grace: str) -> None:
        """How long a node may be silent before it counts as down: `5s` unless said. More is for tests of something
        else, for on a busy machine a process takes its time to start again."""
        words = ("cluster", "update", "--node-grace", grace)
        self.until(f"swarmpy {' '.join(words)}", lambda: self.lab.swarmpy("node-1", *words).code == 0)

    def scale(self, service: str, replicas: int, *, by: str) -> None:
        """An acknowledged write at that node's manager. Raises `SwarmpyError`."""
        with self.client(by) as client:
            found = client.get(f"/services/{service}")
            spec = found["Spec"] | {"Mode": {"Replicated": {"Replicas": replicas}}}
            client.post(f"/services/{found['ID']}/update", spec, version=str(found["Version"]["Index"]))

    # waiting

    def until(self, what: str, look: Callable[[], Any], limit: float = LIMIT) -> Any:
        """The first true thing that `look` gives; a manager that does not answer just now is no answer."""

        def patient() -> Any:
            with suppress(SwarmpyError):
                return look()
            return None

        return wait_until(what, patient, limit)

    def until_whole(self, service: str, replicas: int, *, of: Iterable[str] | None = None) -> None:
        """All nodes ready, all replicas running, and no container but theirs."""

        def is_whole() -> bool:
            nodes, tasks = self.nodes(of=of), self.tasks(service, of=of)
            running = {task["Status"]["ContainerStatus"]["ContainerID"] for task in tasks}
            return (
                all(node["Status"]["State"] == "ready" for node in nodes.values())
                and len(tasks) == replicas
                and running == frozenset().union(*self.containers().values())
            )

        self.until(f"{replicas} replicas of {service} run, and nothing else", is_whole)


def _running_on(engine: Path) -> frozenset[str]:
    """By the engine's socket. Raises `OSError` or `HTTPException` when it does not answer."""
    with closing(UnixConnection(engine)) as connection:
        connection.request("GET", "/containers/json")
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            raise HTTPException(f"{engine} answered {answer.status}")
        return frozenset(container["Id"] for container in json.loads(answer.read()))
