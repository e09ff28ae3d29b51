"""The port to the kernel's links and routes. Adapters: `netlink` (the real one) and `fake` (in memory); one contract
suite for both.

Errors, in every method: `NotFound` when a device that is needed is not there, `Conflict` when something that is not
ours is in the way, `Unavailable` when the kernel does not answer (try again), `TimedOut` when what somebody put into a
container takes too long to read (not soon again), `Forbidden` without the right to change it, and `SwarmpyError` itself
for what else the kernel says.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Protocol

from agent.network.links import BridgePort, Links, Operation
from agent.network.picture import LocalNetwork, LocalTask, Picture, Underlay


class KernelPort(Protocol):
    async def read(self, picture: Picture, ports: Set[BridgePort] = frozenset()) -> Links:
        """What is there of ours, and of what is looked up for the picture's sake: its system values, those ports, and
        the containers of its tasks that run, as far as they are read in time."""
        ...

    async def perform(self, operation: Operation) -> None:
        """May be repeated: what is so already is no error. A container that has ended needs nothing any more."""
        ...

    async def ports_of(
        self, tasks: Iterable[LocalTask], networks: Mapping[str, LocalNetwork]
    ) -> Mapping[int, frozenset[BridgePort]]:
        """By pid, the node's ends of the veths by which the tasks' containers have the addresses that they were given
        in node subnets; no other address says anything, for who is inside may choose it. A container that has ended,
        or does not answer in time, is not among them."""
        ...

    async def underlay_of(self, address: str) -> Underlay:
        """Raises `NotFound` when no device of this node has that address."""
        ...

    async def wait_until_changed(self) -> None:
        """Until the kernel tells of a change, or a loss, that may concern us since this was last called; false alarms
        are allowed, and a change may be missed: look now and then all the same."""
        ...

    async def close(self) -> None: ...
