"""Two clusters of real nodes for benchmarks: swarmpy, and Docker Swarm on engines of the same kind.

Both are asked by the same requests, for swarmpy's managers speak Docker's API. Measures nothing.
"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from machine import describe
from moments import NotAnswered, now, wait_until
from support.dockerd import why_not
from support.images import BUSYBOX, import_image
from support.lab import Lab, remove_leftovers
from support.manager_process import UnixConnection

from swarmpy.lab import images, kernel, life, machine, plan, state
from swarmpy.lab.network import build, switch_steps
from swarmpy.lab.plan import Machine

NODES, MANAGERS = 5, 3
VERSION = "/v1.41"
SERVICE_LABEL, TASK_LABEL = "com.docker.swarm.service.name", "com.docker.swarm.task.id"

Object = dict[str, Any]


def begin(command: str) -> None:
    """Say on what machine this is. Ends the program where there can be no labs."""
    if reason := why_not():
        sys.exit(f"{command}: {reason}")
    # Ended from outside, it still removes its labs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    remove_leftovers()
    print(describe(), flush=True)


class Cluster:
    """Swarmpy in a lab of its own."""

    name = "swarmpy"

    def __init__(self, nodes: int = NODES, managers: int = MANAGERS) -> None:
        self.lab = Lab()
        self._nodes, self._managers = nodes, managers
        self.machines: dict[str, Machine] = {}

    def up(self) -> None:
        self.lab.up(self._nodes, self._managers)
        self._know(state.load(self.lab.name))
        self._load()

    def down(self) -> None:
        life.down(self.lab.name)

    def socket(self, node: str) -> Path:
        """Where that node's manager answers."""
        return self.machines[node].swarmpy_socket

    # failures

    def cut(self, node: str) -> None:
        machine.cut(self._record, self.machines[node])

    def heal(self, node: str) -> None:
        machine.heal(self._record, self.machines[node])

    def power_off(self, node: str) -> None:
        machine.power_off(self._record, self.machines[node])

    def power_on(self, node: str) -> None:
        life.start(self._record, [self.machines[node]], lambda _: None, wait=True)

    # questions

    def managers(self) -> list[str]:
        return [each.name for each in self.machines.values() if each.manager]

    def workers(self) -> list[str]:
        return [each.name for each in self.machines.values() if not each.manager]

    def nodes(self, through: str) -> dict[str, Object]:
        """By host name, as that node's manager tells."""
        return {row["Description"]["Hostname"]: row for row in self.get(through, "/nodes")}

    def leader(self) -> str:
        def look() -> str:
            leading = (
                name
                for manager in self.managers()
                for name, row in self.nodes(manager).items()
                if row.get("ManagerStatus", {}).get("Leader")
            )
            return next(leading, "")

        return wait_until(f"{self.name} has a leader", look)

    def get(self, through: str, path: str) -> Any:
        return self.ask(through, "GET", path)

    def ask(self, through: str, method: str, path: str, body: Object | None = None) -> Any:
        return ask(self.socket(through), method, path, body)

    def engine(self, node: str, method: str, path: str) -> Any:
        return ask(self.machines[node].docker_socket, method, path)

    def running(self, service: str, node: str) -> dict[str, Object]:
        """By id, the containers of that service that run on that node."""
        rows = self.engine(node, "GET", f"/containers/json?filters={filters(label=f'{SERVICE_LABEL}={service}')}")
        return {row["Id"]: row for row in rows}

    def starts(self, service: str, since: float, without: str = "") -> list[float]:
        """When containers of that service started, in seconds after `since`, as the engines tell. They remember, so
        nobody need listen while it happens."""
        wanted = filters(type="container", event="start", label=f"{SERVICE_LABEL}={service}")
        path = f"/events?since={since:.6f}&until={now():.6f}&filters={wanted}"
        found: list[float] = []
        for node in self.machines:
            if node != without:
                found += [event["timeNano"] / 1e9 - since for event in self.engine(node, "GET", path) or ()]
        return sorted(found)

    def tasks(self, through: str, service: str) -> list[Object]:
        rows: list[Object] = self.get(through, f"/tasks?filters={filters(service=service)}")
        return rows

    # services

    def create(self, name: str, replicas: int, restart: Object | None = None, on: str | None = None) -> None:
        template: Object = {"ContainerSpec": {"Image": BUSYBOX, "Command": ["sleep", "100000"], "StopGracePeriod": 0}}
        if restart is not None:
            template["RestartPolicy"] = restart
        if on is not None:
            template["Placement"] = {"Constraints": [f"node.hostname=={on}"]}
        mode = {"Replicated": {"Replicas": replicas}}
        self.ask(self.leader(), "POST", "/services/create", {"Name": name, "TaskTemplate": template, "Mode": mode})

    def wait_until_running(self, service: str, count: int) -> None:
        def look() -> bool:
            return sum(len(self.running(service, node)) for node in self.machines) == count

        wait_until(f"{count} containers of {service} run in {self.name}", look)

    def remove(self, *services: str) -> None:
        """Returns when the engines have nothing left of them."""
        for service in services:
            self.ask(self.leader(), "DELETE", f"/services/{service}")
        for service in services:
            self.wait_until_running(service, 0)

    def wait_until_whole(self) -> None:
        """All nodes are ready, all managers reachable."""

        def look() -> bool:
            rows = self.nodes(self.leader())
            managers = [row["ManagerStatus"]["Reachability"] for row in rows.values() if row.get("ManagerStatus")]
            states = [row["Status"]["State"] for row in rows.values()]
            return states == ["ready"] * self._nodes and managers == ["reachable"] * self._managers

        wait_until(f"all nodes of {self.name} are ready", look)

    def _know(self, lab: plan.Lab) -> None:
        self._record = lab
        self.machines = {each.name: each for each in plan.machines_of(lab)}

    def _load(self) -> None:
        first = next(iter(self.machines.values()))
        import_image(first.docker_host)
        with images.folder(self._record) as folder:
            archive = Path(folder) / "images.tar"
            images.save(self._record, [BUSYBOX], first.docker_host, archive)
            images.load(list(self.machines.values()), archive)


class Swarm(Cluster):
    """Docker Swarm on the engines of a lab in which no swarmpy runs."""

    name = "Swarm"

    def up(self) -> None:
        with state.held(state.held_lab(self.lab.name)):
            with state.held(state.held_subnets()):
                taken = kernel.routes() + state.taken_subnets()
                lab = plan.new_lab(self.lab.name, self._nodes, self._managers, taken)
                state.save(lab)
            self._know(lab)
            kernel.run(*build(switch_steps(lab), kernel.have(lab)))
            for each in self.machines.values():
                machine.power_on(lab, each)
                machine.start_engine(lab, each)
        for each in self.machines.values():
            machine.wait_until_engine_answers(each)
        self._load()
        self._join()

    def socket(self, node: str) -> Path:
        return self.machines[node].docker_socket

    def power_on(self, node: str) -> None:
        each = self.machines[node]
        machine.power_on(self._record, each)
        machine.start_engine(self._record, each)
        machine.wait_until_engine_answers(each)

    def _join(self) -> None:
        first, *others = self.machines.values()
        listen = {"ListenAddr": "0.0.0.0:2377"}
        self.ask(first.name, "POST", "/swarm/init", {**listen, "AdvertiseAddr": first.address})
        tokens = self.get(first.name, "/swarm")["JoinTokens"]
        for each in others:
            token = tokens["Manager" if each.manager else "Worker"]
            them = {"AdvertiseAddr": each.address, "RemoteAddrs": [f"{first.address}:2377"], "JoinToken": token}
            self.ask(each.name, "POST", "/swarm/join", {**listen, **them})


@contextmanager
def both(nodes: int = NODES, managers: int = MANAGERS) -> Iterator[tuple[Cluster, Cluster]]:
    """Both clusters, whole; removed whatever happens."""
    ours, theirs = Cluster(nodes, managers), Swarm(nodes, managers)
    try:
        for cluster in (ours, theirs):
            cluster.up()
            cluster.wait_until_whole()
        yield ours, theirs
    finally:
        for cluster in (ours, theirs):
            cluster.down()


def ask(socket: Path, method: str, path: str, body: Object | None = None) -> Any:
    """The JSON of the answer; several documents, one a line, become a list."""
    with closing(UnixConnection(socket)) as connection:
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, VERSION + path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            told = answer.read().decode()
        except OSError as error:
            raise NotAnswered(f"{method} {path}: {error!r}") from error
    if answer.status >= 400:
        raise NotAnswered(f"{method} {path}: {answer.status} {told.strip()}")
    if path.startswith("/events"):
        return [json.loads(line) for line in told.splitlines() if line]
    return json.loads(told) if told.strip() else None


def filters(**values: str) -> str:
    return quote(json.dumps({key: [value] for key, value in values.items()}))
