"""The address books of all networks that this node has a share of: taken before a container is made, given back when
it runs no more. What they hold is lost with the process, and read again from the engine's containers."""

from collections.abc import Iterable, Mapping, Set
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from agent.network.addresses import AddressBook
from swarmpy.clock import Clock
from swarmpy.wire import NetworkAssignment, TaskAssignment


class Shares:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._assigned: dict[str, NetworkAssignment] = {}
        # Those, and others that tasks still hold addresses of.
        self._networks: dict[str, NetworkAssignment] = {}
        self._books: dict[str, AddressBook] = {}

    def learn(self, networks: Iterable[NetworkAssignment]) -> None:
        """The shares that the node has now. One that is gone is forgotten with its last task."""
        self._assigned = {network.id: network for network in networks}
        self._networks.update(self._assigned)
        self._renew()

    def _renew(self) -> None:
        gone = {id for id in self._networks if id not in self._assigned and not self._books[id].held}
        self._networks = {id: network for id, network in self._networks.items() if id not in gone}
        self._books = {id: book for id, book in self._books.items() if id not in gone}
        for network in self._networks.values():
            subnet = IPv4Network(network.subnet)
            book = self._books.get(network.id)
            if book is None or (book.subnet != subnet and not book.held):
                self._books[network.id] = AddressBook(subnet, IPv4Address(network.gateway))

    def take(self, task: TaskAssignment) -> Mapping[str, IPv4Address]:
        """By network id. Raises `Unavailable` when one of the networks has none left; then the task holds none."""
        # A share that followed another one counts from when nobody holds an address of that any more.
        self._renew()
        now = self._clock.now()
        books, taken = dict(self._books), {}
        for part in task.networks:
            if part.network_id in books:
                book, address = books[part.network_id].with_task(task.id, self._networks[part.network_id].name, now)
                books[part.network_id], taken[part.network_id] = book, address
        self._books = books
        return taken

    def give_back(self, task_id: str) -> None:
        now = self._clock.now()
        self._books = {id: book.without_task(task_id, now) for id, book in self._books.items()}

    def keep_only(self, task_ids: Set[str]) -> None:
        """Give back what others hold: of their containers nothing is left."""
        holders = {holder for book in self._books.values() for holder in book.held.values()}
        for task_id in holders - task_ids:
            self.give_back(task_id)

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
