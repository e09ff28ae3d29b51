"""Which address a task gets in this node's share of a network. Pure.

Nobody else in the cluster hands out addresses of that share. One that is given back rests first, so that what others
still know of it does not lead to somebody else; then the one that rested longest goes out. `now` is told by a clock
that never goes back, whatever is done to the time of day.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType

from swarmpy.errors import Unavailable

# As long as names may be kept by who asked for them.
REST = timedelta(seconds=5)


class AddressesRest(Unavailable):
    """One is free after `again_in`, if nobody else takes it."""

    def __init__(self, story: str, again_in: timedelta) -> None:
        super().__init__(story)
        self.again_in = again_in


@dataclass(frozen=True, slots=True)
class AddressBook:
    """`held` says which task has an address, `rested_since` when one was given back; both only of this share. All
    others were never used; where that is not known, they may have been given back until `unsure_until`."""

    subnet: IPv4Network
    gateway: IPv4Address
    held: Mapping[IPv4Address, str] = field(default_factory=lambda: MappingProxyType({}))
    rested_since: Mapping[IPv4Address, timedelta] = field(default_factory=lambda: MappingProxyType({}))
    unsure_until: timedelta | None = None

    def address_of(self, task_id: str) -> IPv4Address | None:
        return next((address for address, holder in self.held.items() if holder == task_id), None)

    def may_give(self, address: IPv4Address) -> bool:
        """The first address is the VTEP's, the last one the broadcast address."""
        nobodys = (self.subnet.network_address, self.gateway, self.subnet.broadcast_address)
        return address in self.subnet and address not in nobodys

    def with_task(self, task_id: str, network_name: str, now: timedelta) -> tuple["AddressBook", IPv4Address]:
        """A task that has one already keeps it. Raises `Unavailable` when all are held: trying again helps as soon as
        one is free. That is `AddressesRest` when some of them rest."""
        known = self.address_of(task_id)
        if known is not None:
            return self, known
        address = self._fresh(now) or self._most_rested(now)
        if address is None:
            raise self._none_left(network_name, now)
        rested = {key: since for key, since in self.rested_since.items() if key != address}
        return replace(self, held={**self.held, address: task_id}, rested_since=rested), address

    def without_task(self, task_id: str, now: timedelta) -> "AddressBook":
        address = self.address_of(task_id)
        if address is None:
            return self
        held = {key: holder for key, holder in self.held.items() if key != address}
        return replace(self, held=held, rested_since={**self.rested_since, address: now})

    def corrected(self, seen: Mapping[IPv4Address, str]) -> "AddressBook":
        """What the engine reports is the truth: an address that a container has is held by its task, whatever was
        written down."""
        inside = {address: task_id for address, task_id in seen.items() if address in self.subnet}
        holders = set(inside.values())
        kept = {address: holder for address, holder in self.held.items() if holder not in holders}
        rested = {address: since for address, since in self.rested_since.items() if address not in inside}
        return replace(self, held={**kept, **inside}, rested_since=rested)

    def resting(self, now: timedelta) -> dict[IPv4Address, timedelta]:
        """Those that nobody may have yet, and since when."""
        return {address: since for address, since in self.rested_since.items() if now < since + REST}

    def _none_left(self, network_name: str, now: timedelta) -> Unavailable:
        since, others = [*self.rested_since.values()], str(len(self.rested_since))
        if self.unsure_until is not None and self._is_unsure(now):
            since, others = [*since, self.unsure_until], "the others"
        story = (
            f"network {network_name} has no address left in {self.subnet} on this node: "
            f"{len(self.held)} are in use, {others} were given back less than "
            f"{REST.total_seconds():g} s ago; it waits for one"
        )
        return AddressesRest(story, min(since) + REST - now) if since else Unavailable(story)

    def _is_unsure(self, now: timedelta) -> bool:
        return self.unsure_until is not None and now < self.unsure_until + REST

    def _fresh(self, now: timedelta) -> IPv4Address | None:
        """One that was never used, as far as is remembered."""
        if self._is_unsure(now):
            return None
        for number in range(int(self.subnet.network_address), int(self.subnet.broadcast_address)):
            address = IPv4Address(number)
            if self.may_give(address) and address not in self.held and address not in self.rested_since:
                return address
        return None

    def _most_rested(self, now: timedelta) -> IPv4Address | None:
        since, address = min(((since, address) for address, since in self.rested_since.items()), default=(now, None))
        return address if address is not None and since + REST <= now else None
