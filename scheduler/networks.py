"""What the scheduler knows of overlay networks: where there is room for one more address."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NetworkRoom:
    """`shares` has for each node with a share of the network how many addresses of tasks fit there; any other node
    would get one with `elsewhere`, 0 where there is none left. `feature` is what a node's kernel must have, empty for
    nothing."""

    id: str
    name: str
    shares: Mapping[str, int] = field(default_factory=dict)
    elsewhere: int = 0
    feature: str = ""

    def on(self, node_id: str) -> int:
        return self.shares.get(node_id, self.elsewhere)
