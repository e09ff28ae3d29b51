"""What the network keeper works on and reads: its parts, as it sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.network.conntrack import Forgotten
from agent.network.departures import Departure
from agent.network.picture import Picture, Underlay
from agent.network.port import KernelPort
from agent.network.rules_port import PacketRules


class Names(Protocol):
    """Answers the names of the picture, at the gateways of those of its networks that the engine has."""

    async def show(self, picture: Picture) -> None: ...


class Connections(Protocol):
    async def forget(self, departures: Sequence[Departure]) -> Forgotten: ...


class EngineRules(Protocol):
    async def mend(self) -> tuple[str, ...]:
        """What the engine's own packet filter must let pass; the answer says what was missing."""
        ...

    async def remove(self) -> None:
        """All that `mend` puts there."""
        ...


class Node(Protocol):
    """What the keeper reads of the node's tasks."""

    def picture(self, underlay: Underlay) -> tuple[Picture, int] | None:
        """As of now, and the revision that it reflects. None: nobody has said yet what this node is to have."""
        ...

    def bridges(self) -> frozenset[str]:
        """Those that the engine has, or may be making just now."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the keeper works on."""

    kernel: KernelPort
    rules: PacketRules
    names: Names
    connections: Connections
    engine_rules: EngineRules
