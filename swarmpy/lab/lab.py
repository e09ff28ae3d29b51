"""A lab as a whole: brought up, grown, looked at, taken down. Its parts are machines and a network."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from swarmpy.client import Client
from swarmpy.errors import BadRequest, Conflict, NotFound, SwarmpyError, Unavailable
from swarmpy.files import write_private
from swarmpy.lab import network
from swarmpy.lab.folders import Folders
from swarmpy.lab.machine import Machine, remove_cgroups, run_command, swarmpy_command, wait_until
from swarmpy.lab.plan import LabNode, LabPlan, grown, plan_lab
from swarmpy.lab.procs import SWARMPY, kill, kill_lab_processes

TOOLS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "dockerd": "docker.io",
    "docker": "docker.io",
    "iptables": "iptables",
    "etcd": "etcd-server",
}
SETTLES_WITHIN = 60.0
DEFAULT_ENGINE = "unix:///var/run/docker.sock"

Say = Callable[[str], None]


class Lab:
    """`name` tells labs apart. What a command needs of it is read from its folders each time."""

    def __init__(self, name: str, say: Say) -> None:
        self.folders = Folders(name)
        self._name = name
        self._say = say

    @property
    def plan(self) -> LabPlan:
        """Raises `NotFound` when there is no such lab."""
        return self.folders.read_plan()

    def machine(self, name: str) -> Machine:
        plan = self.plan
        return Machine(plan, plan.node(name), self.folders)

    def machines(self, names: Iterable[str] = ()) -> list[Machine]:
        """Those named; all when none is."""
        plan = self.plan
        nodes = [plan.node(name) for name in names] or plan.nodes
        return [Machine(plan, node, self.folders) for node in nodes]

    # as a whole

    def up(self, nodes: int, managers: int, options: Sequence[str] = ()) -> None:
        """Every node ready. A lab of the same size that is there already is completed."""
        check_prerequisites()
        wanted = plan_lab(self._name, nodes, managers, network.networks_here())
        try:
            plan = self.plan
        except NotFound:
            plan = wanted
            self.folders.write_plan(plan)
        if [node.is_manager for node in plan.nodes] != [node.is_manager for node in wanted.nodes]:
            raise Conflict(
                f"lab {self._name} is there with {_size(plan)}: `swarmpy lab down` first, or `swarmpy lab add`"
            )
        self._raise(plan, plan.nodes, options)

    def add(self, nodes: int, *, managers: bool) -> None:
        plan = grown(self.plan, nodes, managers=managers)
        self.folders.write_plan(plan)
        self._raise(plan, plan.nodes[-nodes:], ())

    def down(self) -> bool:
        """Nothing of it stays, whatever state it is in. False when there was nothing."""
        try:
            plan = self.plan
        except NotFound:
            plan = LabPlan(self._name, "10.213.0.0/24", ())
        was_there = self.folders.disks.exists() or self.folders.run.exists()
        machines = [machine for node in plan.nodes if (machine := Machine(plan, node, self.folders)).first is not None]
        kill_lab_processes(self._name)
        for machine in machines:
            wait_until(f"{machine.node.name} is off", partial(_is_off, machine), SETTLES_WITHIN)
        for node in plan.nodes:
            remove_cgroups(Machine(plan, node, self.folders).cgroup)
        network.remove_switch(plan)
        self.folders.remove()
        return was_there

    # nodes

    def kill(self, names: Sequence[str]) -> None:
        for machine in self.machines(names):
            machine.turn_off()

    def start(self, names: Sequence[str]) -> None:
        machines = self.machines(names)
        for machine in machines:
            machine.turn_on()
        for machine in machines:
            machine.wait_until_engine_answers()
            machine.start_swarmpy()

    def cut(self, names: Sequence[str]) -> None:
        for machine in self.machines(names):
            network.cut(self.plan, machine.node)

    def heal(self, names: Sequence[str]) -> None:
        for machine in self.machines(names):
            network.heal(self.plan, machine.node)

    def signal(self, names: Sequence[str], number: signal.Signals) -> None:
        """To all of swarmpy on the nodes, not to the engine."""
        for machine in self.machines(names):
            processes = machine.processes()
            if not processes:
                raise Unavailable(f"{machine.node.name} is off")
            for kind in SWARMPY:
                if kind in processes:
                    kill(processes[kind], number)

    def load(self, images: Sequence[str], archive: Path | None, engine: str) -> None:
        """Onto every node that is on, side by side."""
        if archive is None:
            archive = self.folders.disks / "images.tar"
            run_command(("docker", "-H", engine, "save", "-o", str(archive), *images))

        def load_one(machine: Machine) -> None:
            socket = self.folders.engine_socket(machine.node)
            run_command(("docker", "-H", f"unix://{socket}", "load", "-q", "-i", str(archive)))

        try:
            self._side_by_side(load_one, [machine for machine in self.machines() if machine.first is not None])
        finally:
            (self.folders.disks / "images.tar").unlink(missing_ok=True)

    def rows(self) -> list[dict[str, Any]]:
        """One a node: what it is, and what runs on it (pids as this machine counts them)."""
        plan = self.plan
        loose = network.cut_nodes(plan)
        rows = []
        for machine in self.machines():
            node, processes = machine.node, machine.processes()
            on = "on" if machine.first is not None else "off"
            rows.append(
                {
                    "Node": node.name,
                    "Address": node.address,
                    "State": "cut off" if node.name in loose else on,
                    "Swarmpy": "ready" if processes and self.folders.ready_file(node).exists() else "",
                    "Socket": f"unix://{self.folders.api_socket(node)}" if "manager" in processes else "",
                    "Engine": f"unix://{self.folders.engine_socket(node)}" if "dockerd" in processes else "",
                    "Processes": processes,
                }
            )
        return rows

    # parts of bringing up

    def _raise(self, plan: LabPlan, nodes: Sequence[LabNode], options: Sequence[str]) -> None:
        network.make_switch(plan)
        machines = [Machine(plan, node, self.folders) for node in nodes]
        self._say(f"starting {len(machines)} engines")
        self._side_by_side(Machine.turn_on, machines)
        first = Machine(plan, plan.nodes[0], self.folders)
        if first.node in nodes:
            first.wait_until_engine_answers()
            self._say(f"{first.node.name} founds a cluster")
            first.start_swarmpy(options)
            first.wait_until_ready()
        self._side_by_side(lambda machine: self._join(machine, first, options), machines)
        self._say("waiting until all are ready")
        self._side_by_side(Machine.wait_until_ready, machines)
        self._wait_until_managers_serve(plan)

    def _join(self, machine: Machine, first: Machine, options: Sequence[str]) -> None:
        if machine.node == first.node:
            return
        machine.wait_until_engine_answers()
        role = "manager" if machine.node.is_manager else "worker"
        with Client(f"unix://{self.folders.api_socket(first.node)}") as client:
            token = client.get("/swarm")["JoinTokens"][role.capitalize()]
        # In a file, because arguments are seen by everybody on the machine.
        file = self.folders.run_of(machine.node) / "join"
        write_private(file, f"{token}@{first.node.address}:2377")
        machine.start_swarmpy(("--join-file", "/run/join", *options))

    def _wait_until_managers_serve(self, plan: LabPlan) -> None:
        def serves(node: LabNode) -> bool:
            with suppress(SwarmpyError), Client(f"unix://{self.folders.api_socket(node)}") as client:
                return bool(client.get("/readyz")["status"] == "ready")
            return False

        for node in plan.nodes:
            if node.is_manager:
                wait_until(f"the manager on {node.name} serves", partial(serves, node), SETTLES_WITHIN)

    def _side_by_side(self, work: Callable[[Machine], None], machines: Sequence[Machine]) -> None:
        if machines:
            with ThreadPoolExecutor(len(machines)) as pool:
                list(pool.map(work, machines))


def _is_off(machine: Machine) -> bool:
    return machine.first is None


def check_prerequisites() -> None:
    """Raises `BadRequest` with what is missing and how to get it."""
    if os.geteuid() != 0:
        raise BadRequest("a lab makes namespaces and starts engines: run it as root")
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"
    os.environ["PATH"] = path
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        packages = " ".join(dict.fromkeys(TOOLS[tool] for tool in missing))
        raise BadRequest(f"a lab needs {', '.join(missing)}: apt-get install {packages}")


def run_in(machine: Machine, command: Sequence[str]) -> int:
    """A command in a node, on this terminal; its exit code. It finds the swarmpy that runs this."""
    path = f"{Path(swarmpy_command()).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(machine.entered(command), check=False, env={**os.environ, "PATH": path}).returncode


def _size(plan: LabPlan) -> str:
    managers = sum(node.is_manager for node in plan.nodes)
    return f"{len(plan.nodes)} nodes, {managers} of them managers"
