"""The address books of all networks that this node has a share of: taken before a container is made, given back when
it runs no more. What they hold is lost with the process, and read again from the engine's containers; what rests is
told to whoever keeps it for the next process."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from agent.network.addresses import REST, AddressBook
from swarmpy.clock import Clock
from swarmpy.wire import NetworkAssignment, TaskAssignment


class Shares:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._assigned: dict[str, NetworkAssignment] = {}
        # Those, and others that tasks still hold addresses of.
        self._networks: dict[str, NetworkAssignment] = {}
        self._books: dict[str, AddressBook] = {}
        # Those that rest without a book: no two networks have the same.
        self._rested_since: dict[IPv4Address, timedelta] = {}
        self._unsure: frozenset[str] = frozenset()
        self._began = self._now()

    def recall(self, resting: Mapping[IPv4Address, float] | None, used: Iterable[str]) -> None:
        """What an earlier process said to be `resting`, to be told before anything is learned. None: nobody knows, and
        in the networks `used` here already each address may have been given back until this process began.

        The clock counts from the start of the machine. What an earlier run of the machine wrote down lies ahead of it,
        and rests from now on, or seems to have rested shorter than it has.
        """
        now = self._now()
        told = (resting or {}).items()
        self._rested_since = {address: min(timedelta(seconds=since), now) for address, since in told}
        self._unsure = frozenset(used) if resting is None else frozenset()

    def resting(self) -> dict[IPv4Address, float] | None:
        """Addresses that nobody may have yet, each with the moment when it was given back; None as long as nobody knows
        that of all. See `recall`."""
        now = self._now()
        if self._unsure and now < self._began + REST:
            return None
        books = (book.resting(now) for book in self._books.values())
        found = {address: since for each in (self._rested_since, *books) for address, since in each.items()}
        return {address: since.total_seconds() for address, since in sorted(found.items()) if now < since + REST}

    def learn(self, networks: Iterable[NetworkAssignment]) -> None:
        """The shares that the node has now. One that is gone is forgotten with its last task."""
        self._assigned = {network.id: network for network in networks}
        self._networks.update(self._assigned)
        self._renew()

    def _renew(self) -> None:
        gone = {id for id in self._networks if id not in self._assigned and not self._books[id].held}
        self._networks = {id: network for id, network in self._networks.items() if id not in gone}
        for id in gone:
            self._close(id)
        for network in self._networks.values():
            subnet = IPv4Network(network.subnet)
            book = self._books.get(network.id)
            if book is None or (book.subnet != subnet and not book.held):
                self._close(network.id)
                self._books[network.id] = self._opened(network)

    def _close(self, network_id: str) -> None:
        """What was given back a moment ago rests on: its share may be another network's at once."""
        now = self._now()
        book = self._books.pop(network_id, None)
        rested = self._rested_since | (dict(book.rested_since) if book is not None else {})
        self._rested_since = {address: since for address, since in rested.items() if now < since + REST}

    def _opened(self, network: NetworkAssignment) -> AddressBook:
        book = AddressBook(IPv4Network(network.subnet), IPv4Address(network.gateway))
        rested = {address: since for address, since in self._rested_since.items() if book.may_give(address)}
        self._rested_since = {key: since for key, since in self._rested_since.items() if key not in rested}
        return replace(book, rested_since=rested, unsure_until=self._began if network.id in self._unsure else None)

    def _now(self) -> timedelta:
        return timedelta(seconds=self._clock.monotonic())

    def take(self, task: TaskAssignment) -> Mapping[str, IPv4Address]:
        """By network id. Raises `Unavailable` when one of the networks has none left; then the task holds none."""
        # A share that followed another one counts from when nobody holds an address of that any more.
        self._renew()
        now = self._now()
        books, taken = dict(self._books), {}
        for part in task.networks:
            if part.network_id in books:
                book, address = books[part.network_id].with_task(task.id, self._networks[part.network_id].name, now)
                books[part.network_id], taken[part.network_id] = book, address
        self._books = books
        return taken

    def give_back(self, task_id: str) -> None:
        now = self._now()
        self._books = {id: book.without_task(task_id, now) for id, book in self._books.items()}

    def keep_only(self, task_ids: Set[str]) -> bool:
        """Give back what others hold: of their containers nothing is left. Was there anything?"""
        gone = {holder for book in self._books.values() for holder in book.held.values()} - task_ids
        for task_id in gone:
            self.give_back(task_id)
        return bool(gone)

    def see(self, task_id: str, addresses: Mapping[str, str]) -> None:
        """What the engine says that the task's container has: network id -> CIDR."""
        for network_id, text in addresses.items():
            address = IPv4Interface(text).ip
            book = self._books.get(network_id)
            if book is not None and book.held.get(address, task_id) == task_id:
                self._books[network_id] = book.corrected({address: task_id})

    def addresses_of(self, task_id: str) -> dict[str, IPv4Address]:
        found = ((id, book.address_of(task_id)) for id, book in self._books.items())
        return {id: address for id, address in found if address is not None}
