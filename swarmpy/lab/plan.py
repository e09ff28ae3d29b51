"""What a lab is: its nodes, their names, addresses and folders, from the wish and what the machine has. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from pathlib import Path

from swarmpy.errors import BadRequest, Conflict, NotFound, Unavailable
from swarmpy.models.base import Document

DATA_ROOT = Path("/var/lib/swarmpy-lab")
RUN_ROOT = Path("/run/swarmpy-lab")
DEFAULT_NAME, DEFAULT_NODES, DEFAULT_MANAGERS = "lab", 3, 1
# One /24 of it each lab; in it node N has the address .N, the machine itself the last one.
POOL = IPv4Network("10.213.0.0/16")
HOST_NUMBER = 254
MOST_NODES = 100
SWITCH = "switch"
FORMAT = 1

# Long names would make socket paths that Linux refuses.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")


class LabNode(Document):
    """`manager`: it is to join as one; what it became later is the cluster's to say."""

    number: int
    manager: bool = False

    @property
    def name(self) -> str:
        return f"node-{self.number}"


class Lab(Document):
    """`lab.json`: all that must be known to make the lab, and to remove it."""

    format: int = FORMAT
    name: str
    subnet: IPv4Network
    nodes: tuple[LabNode, ...]
    # A folder with dockerd and what goes with it; none is the machine's own engine.
    engine: Path | None = None

    @property
    def managers(self) -> int:
        return sum(node.manager for node in self.nodes)

    @property
    def data(self) -> Path:
        return DATA_ROOT / self.name

    @property
    def run(self) -> Path:
        return RUN_ROOT / self.name

    @property
    def host_address(self) -> str:
        return str(self.subnet[HOST_NUMBER])

    @property
    def uplink(self) -> str:
        """The machine's own end of the cable to the switch. An interface's name has at most 15 characters."""
        return f"swarmpy-lab{self.subnet.network_address.packed[2]}"

    @property
    def switch(self) -> str:
        return namespace_of(self.name, SWITCH)


@dataclass(frozen=True, slots=True)
class Machine:
    """One node's computer. `data` is its disk; `run` vanishes when its power does; `port` is the switch's end of its
    cable."""

    name: str
    number: int
    manager: bool
    address: str
    mac: str
    namespace: str
    data: Path
    run: Path

    @property
    def port(self) -> str:
        return self.name

    @property
    def cgroup(self) -> str:
        return self.namespace

    @property
    def docker_socket(self) -> Path:
        return self.run / "docker.sock"

    @property
    def docker_host(self) -> str:
        return f"unix://{self.docker_socket}"

    @property
    def engine_log(self) -> Path:
        return self.data / "dockerd.log"

    @property
    def swarmpy_data(self) -> Path:
        return self.data / "swarmpy"

    @property
    def swarmpy_run(self) -> Path:
        return self.run / "swarmpy"

    @property
    def join_file(self) -> Path:
        return self.run / "join"

    @property
    def swarmpy_socket(self) -> Path:
        return self.swarmpy_run / "swarmpy.sock"

    @property
    def swarmpy_log(self) -> Path:
        return self.data / "swarmpy.log"

    @property
    def member_mark(self) -> Path:
        """On the disk once the node was ready: it belongs to the cluster, and joins no more."""
        return self.data / "member"

    @property
    def cut_mark(self) -> Path:
        """There while the cable is to be out, also through a loss of power: so not in `run`."""
        return self.run.with_name(f"{self.name}.cut")


def namespace_of(lab: str, part: str) -> str:
    return f"swarmpy-{lab}-{part}"


def is_of(lab: str, thing: str) -> bool:
    """Whether a namespace or cgroup of that name belongs to the lab, though no record may tell of it."""
    return re.fullmatch(rf"swarmpy-{re.escape(lab)}-(node-\d+|{SWITCH})", thing) is not None


def machine_of(lab: Lab, node: LabNode) -> Machine:
    third, high, low = lab.subnet.network_address.packed[2], node.number >> 8, node.number & 255
    return Machine(
        name=node.name,
        number=node.number,
        manager=node.manager,
        address=str(lab.subnet[node.number]),
        # Its own for ever, as a real card's: what others remember of it stays true when it comes back.
        mac=f"02:6c:61:{third:02x}:{high:02x}:{low:02x}",
        namespace=namespace_of(lab.name, node.name),
        data=lab.data / node.name,
        run=lab.run / node.name,
    )


def machines_of(lab: Lab) -> tuple[Machine, ...]:
    return tuple(machine_of(lab, node) for node in lab.nodes)


def chosen(lab: Lab, names: Sequence[str]) -> tuple[Machine, ...]:
    """The machines of these names, in their order."""
    by_name = {machine.name: machine for machine in machines_of(lab)}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise NotFound(f"lab {lab.name} has no node {unknown[0]}; it has {span(lab)}")
    return tuple(by_name[name] for name in dict.fromkeys(names))


def span(lab: Lab) -> str:
    """Its nodes in few words."""
    names = [node.name for node in lab.nodes]
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"--name {name!r}: a lab's name begins with a small letter and has at most 20 of a-z, 0-9 and -"
        )


def new_lab(name: str, nodes: int, managers: int, taken: Iterable[str], engine: Path | None = None) -> Lab:
    """`taken` are the ranges that the machine's routes and other labs have."""
    check_name(name)
    check_counts(nodes, managers)
    members = tuple(LabNode(number=number, manager=number <= managers) for number in range(1, nodes + 1))
    return Lab(name=name, subnet=free_subnet(taken), nodes=members, engine=engine)


def check_counts(nodes: int, managers: int) -> None:
    if not 1 <= nodes <= MOST_NODES:
        raise BadRequest(f"--nodes {nodes}: a lab has between 1 and {MOST_NODES} nodes")
    if managers < 1:
        raise BadRequest(f"--managers {managers}: a cluster needs at least one manager")
    if managers > nodes:
        raise BadRequest(f"--managers {managers}: there are only --nodes {nodes}, and each manager is one of them")


def advice(managers: int) -> str | None:
    """What an operator should know about that number of managers."""
    if managers % 2:
        return None
    return f"{managers} managers survive the loss of no more of them than {managers - 1} do; an odd number is better"


def check_same(lab: Lab, nodes: int | None, managers: int | None, engine: Path | None = None) -> None:
    """A wish that differs from the lab there is; what was not said is not compared."""
    if engine not in (None, lab.engine):
        has = "this machine's engine" if lab.engine is None else f"the engine in {lab.engine}"
        raise Conflict(f"lab {lab.name} is there with {has}: `swarmpy lab down` removes it, --name makes another")
    differs = (nodes not in (None, len(lab.nodes))) or (managers not in (None, lab.managers))
    if differs:
        has = f"{len(lab.nodes)} nodes, {lab.managers} of them managers"
        raise Conflict(
            f"lab {lab.name} is there with {has}: `swarmpy lab add` adds nodes, `swarmpy lab down` removes it, "
            f"--name makes another"
        )


def with_added(lab: Lab, count: int, *, manager: bool) -> Lab:
    if count < 1:
        raise BadRequest(f"--nodes {count}: at least one is to be added")
    if len(lab.nodes) + count > MOST_NODES:
        raise BadRequest(f"--nodes {count}: lab {lab.name} has {len(lab.nodes)}, and {MOST_NODES} are the most")
    last = max(node.number for node in lab.nodes)
    added = tuple(LabNode(number=last + step, manager=manager) for step in range(1, count + 1))
    return lab.model_copy(update={"nodes": lab.nodes + added})


def free_subnet(taken: Iterable[str]) -> IPv4Network:
    """The first /24 of the pool that overlaps nothing taken; a default route takes nothing."""
    networks = [ip_network(text, strict=False) for text in taken if text != "default"]
    used = [network for network in networks if isinstance(network, IPv4Network) and network.prefixlen]
    for subnet in POOL.subnets(new_prefix=24):
        if not any(subnet.overlaps(network) for network in used):
            return subnet
    raise Unavailable(f"no free /24 is left in {POOL} for a lab: routes of this machine or other labs use them all")
