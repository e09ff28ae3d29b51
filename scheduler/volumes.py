"""Volumes that a task must be with: their names, and which nodes have them. Chooses no node (see `place`)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from swarmpy.errors import BadRequest
from swarmpy.labels import VOLUME_AFFINITY
from swarmpy.models.mount import MountType, has_affinity
from swarmpy.models.task import TaskSpec
from swarmpy.shown import shown
from swarmpy.templating import as_written, filled, is_template, placeholders

KNOWN_FIELDS = (".Service.ID", ".Service.Name", ".Task.Slot")


@dataclass(frozen=True, slots=True)
class HeldVolume:
    """A volume that is on these nodes, by id, and on no other. `on` are the same for people."""

    name: str
    nodes: frozenset[str]
    on: frozenset[str] = frozenset()


def affinity_sources(template: TaskSpec) -> tuple[str, ...]:
    """The volumes that a task must be with, by name, templates not filled in; each once."""
    mounts = (template.container_spec and template.container_spec.mounts) or ()
    return tuple(dict.fromkeys(mount.source for mount in mounts if mount.source and has_affinity(mount)))


def volume_sources(template: TaskSpec) -> tuple[str, ...]:
    """The names of all volumes that are mounted."""
    mounts = (template.container_spec and template.container_spec.mounts) or ()
    kind = MountType.VOLUME
    return tuple(dict.fromkeys(mount.source for mount in mounts if mount.source and (mount.type or kind) is kind))


@lru_cache(maxsize=4096)
def check_volume_name(source: str) -> None:
    """Raises `BadRequest` for a name that is not known before a node is chosen."""
    for action in placeholders(source):
        if action.strip() not in KNOWN_FIELDS:
            raise BadRequest(
                f"the volume name {shown(source)} is to decide about the node, and {as_written(action.strip())} is not "
                f"known before one is chosen; use {', '.join(KNOWN_FIELDS)}, or take the label {VOLUME_AFFINITY} away"
            )


def volume_name(source: str, service_id: str, service_name: str, slot: int) -> str:
    """The name as the agent will fill it in."""
    if not is_template(source):
        return source
    fields = {".Service.ID": service_id, ".Service.Name": service_name, ".Task.Slot": str(slot)}
    return filled(source, lambda action: fields.get(action.strip(), f"{{{{{action}}}}}"))


class VolumeMap:
    """Which nodes have which volumes: those that nodes tell of, and those that tasks which were placed are about to
    make there."""

    def __init__(self) -> None:
        self._told: dict[str, set[str]] = {}
        self._by_node: dict[str, Collection[str]] = {}
        self._claims: dict[str, dict[str, int]] = {}

    def put_node(self, node_id: str, names: Collection[str]) -> None:
        if names == self._by_node.get(node_id, ()):
            return
        self.drop_node(node_id)
        if names:
            self._by_node[node_id] = names
        for name in names:
            self._told.setdefault(name, set()).add(node_id)

    def drop_node(self, node_id: str) -> None:
        for name in self._by_node.pop(node_id, ()):
            holders = self._told[name]
            holders.discard(node_id)
            if not holders:
                del self._told[name]

    def claim(self, node_id: str, names: Iterable[str], by: int = 1) -> None:
        """A task that uses these volumes was placed on the node or, with `by` -1, is there no more."""
        for name in names:
            claims = self._claims.setdefault(name, {})
            claims[node_id] = claims.get(node_id, 0) + by
            if not claims[node_id]:
                del claims[node_id]
            if not claims:
                del self._claims[name]

    def holders(self, name: str, nodes: Collection[str], presumed: str = "") -> frozenset[str]:
        """Those of the nodes that have the volume; where none tells of it, those that are about to; where none is,
        the one that is presumed to. Empty: it is nowhere."""
        told = self._told.get(name)
        if told:
            return frozenset(told)
        claims: Mapping[str, int] = self._claims.get(name, {})
        claimed = frozenset(node_id for node_id in claims if node_id in nodes)
        return claimed or frozenset({presumed} if presumed in nodes else ())
