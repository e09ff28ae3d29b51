"""What the scheduler knows of a node, and the attributes of a node that users can name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from swarmpy.models.node import EngineDescription, NodeDescription, NodeSpec
from swarmpy.models.resources import Resources
from swarmpy.states import Availability, Role

# One machine, several spellings: `uname` says x86_64 where image indexes say amd64.
_ARCHITECTURES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "arm64/v8": "arm64", "armhf": "arm", "armv5l": "arm",
    "armv6l": "arm", "armv7l": "arm", "armel": "arm", "i386": "386", "i486": "386", "i586": "386", "i686": "386",
}  # fmt: skip


def normal_architecture(name: str) -> str:
    """`x86_64` and `amd64` are one, and so on; lower case."""
    lowered = name.strip().lower()
    return _ARCHITECTURES.get(lowered, lowered)


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node without its tasks. `os` and `arch` are in their usual spelling; plugins are (type, name) pairs;
    `volumes` are names of those that tasks must be with, `features` words for what its kernel can."""

    id: str
    hostname: str = ""
    addr: str = ""
    role: Role = Role.WORKER
    os: str = ""
    arch: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    engine_labels: Mapping[str, str] = field(default_factory=dict)
    plugins: frozenset[tuple[str, str]] = frozenset()
    ready: bool = True
    availability: Availability = Availability.ACTIVE
    state_message: str = ""
    capacity: Resources = field(default_factory=Resources)
    volumes: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """For people."""
        return self.hostname or self.id


def node_info(
    node_id: str,
    spec: NodeSpec,
    description: NodeDescription,
    *,
    ready: bool,
    addr: str,
    message: str,
    volumes: Iterable[str] = (),
    features: Iterable[str] = (),
) -> NodeInfo:
    """`ready` is the manager's word on whether the agent can be reached; `message` says why not."""
    platform = description.platform
    return NodeInfo(
        id=node_id,
        hostname=description.hostname,
        addr=addr,
        role=spec.role,
        os=(platform.os or "").lower(),
        arch=normal_architecture(platform.architecture or ""),
        labels=spec.labels or {},
        engine_labels=description.engine.labels or {},
        plugins=_plugins(description.engine),
        ready=ready,
        availability=spec.availability,
        state_message=message,
        capacity=description.resources,
        volumes=frozenset(volumes),
        features=frozenset(features),
    )


def _plugins(engine: EngineDescription) -> frozenset[tuple[str, str]]:
    return frozenset((p.type or "", plugin_name(p.name or "")) for p in engine.plugins or ())


def plugin_name(reference: str) -> str:
    """`vieux/sshfs` and `vieux/sshfs:latest` are one plugin."""
    return reference.removesuffix(":latest")


NODE_LABELS = "node.labels."
ENGINE_LABELS = "engine.labels."
NODE_IP = "node.ip"


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something of a node that constraints compare and preferences spread over.

    `source` is what users write, up to the name of a label: `node.role`, or `node.labels.` with label `zone`.
    """

    source: str
    label: str = ""

    @property
    def name(self) -> str:
        return self.source + self.label

    @property
    def short_name(self) -> str:
        """`zone` of `node.labels.zone`, `role` of `node.role`."""
        return self.label or self.source.rpartition(".")[2]

    @property
    def is_singular(self) -> bool:
        """Whether each node has a value of its own, so that nodes cannot be judged in classes."""
        return self.source in _SINGULAR

    def of(self, node: NodeInfo) -> str:
        """The node's value; empty when it has none."""
        if self.source == NODE_LABELS:
            return node.labels.get(self.label, "")
        if self.source == ENGINE_LABELS:
            return node.engine_labels.get(self.label, "")
        return _READERS[self.source](node)


_READERS: Mapping[str, Callable[[NodeInfo], str]] = {
    "node.id": lambda node: node.id,
    "node.hostname": lambda node: node.hostname,
    "node.role": lambda node: node.role.value,
    NODE_IP: lambda node: node.addr,
    "node.platform.os": lambda node: node.os,
    "node.platform.arch": lambda node: node.arch,
}
_SINGULAR = frozenset({"node.id", "node.hostname", NODE_IP})

KNOWN_ATTRIBUTES = (*_READERS, f"{NODE_LABELS}NAME", f"{ENGINE_LABELS}NAME")


def find_attribute(text: str) -> Attribute | None:
    """The attribute of that name, or None. Case is ignored, but not in names of labels."""
    lowered = text.lower()
    for source in (NODE_LABELS, ENGINE_LABELS):
        if lowered.startswith(source):
            return Attribute(source, text[len(source) :]) if len(text) > len(source) else None
    return Attribute(lowered) if lowered in _READERS else None
