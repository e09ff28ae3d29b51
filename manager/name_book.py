"""The names that others shall find (`skydns`), kept service by service in step with the state. Pure.

Says which services a change concerns; that they are looked at again is the caller's business.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import islice

from manager.dispatcher.map_entries import endpoints_of, is_serving, services_of, services_on
from manager.objects import Network, Node, Service, Task
from manager.skydns import Layout, Records, each_record
from manager.state import Changed, State
from swarmpy.network_map import Endpoint
from swarmpy.states import NodeState

# Tasks or records of a step: some milliseconds of work.
AT_ONCE = 500


class NameBook:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._records: dict[str, bytes] = {}
        self._keys_of: dict[str, Set[str]] = {}
        # Which service a key is there for: an address may go from one to another, and its reverse name with it.
        self._owner: dict[str, str] = {}

    @property
    def records(self) -> Records:
        return self._records

    @property
    def services(self) -> Set[str]:
        """Those that have names."""
        return self._keys_of.keys()

    def revise(self, state: State, service_id: str) -> Set[str]:
        """Take the service as it is now; returns the keys that may be different."""
        return frozenset().union(*self.revising(state, service_id))

    def revising(self, state: State, service_id: str) -> Iterator[Set[str]]:
        """`revise` in short steps, the last of which changes the book. A service that changes between two is to be
        looked at once more afterwards."""
        now: dict[str, bytes] = {}
        for portion in self._records_of(state, service_id):
            now.update(portion)
            yield portion.keys()
        yield self._replace(service_id, now)

    def _replace(self, service_id: str, now: Mapping[str, bytes]) -> Set[str]:
        """Returns the keys of before."""
        before = self._keys_of.pop(service_id, frozenset())
        for key in before - now.keys():
            if self._owner.get(key) == service_id:
                del self._owner[key], self._records[key]
        self._records.update(now)
        self._owner.update(dict.fromkeys(now, service_id))
        if now:
            self._keys_of[service_id] = frozenset(now)
        return before

    def _records_of(self, state: State, service_id: str) -> Iterator[Mapping[str, bytes]]:
        """In portions, that may be empty."""
        service = state.services.get(service_id)
        mapped = tuple(services_of(state, service)) if service is not None else ()
        names = {
            entry.network_id: network.spec.name
            for entry in mapped
            if (network := state.networks.get(entry.network_id)) is not None and not network.spec.ingress
        }
        if not names:
            return
        endpoints: list[Endpoint] = []
        tasks = iter(tuple(state.tasks_of_service(service_id)))
        while some := tuple(islice(tasks, AT_ONCE)):
            endpoints += (entry for task in some for entry in endpoints_of(state, task))
            yield {}
        records = each_record(self._layout, names, mapped, endpoints)
        while portion := dict(islice(records, AT_ONCE)):
            yield portion


def services_renamed(state: State, change: Changed) -> Iterable[str]:
    """Ids of the services whose names may be different after the change."""
    before, after = change.before, change.after
    some = after or before
    if isinstance(some, Service):
        return (some.id,)
    if isinstance(some, Task):
        return () if _as_named(before) == _as_named(after) else (some.service_id,)
    if isinstance(some, Network):
        return () if before is not None and after is not None else services_on(state, (some,))
    if isinstance(some, Node) and _is_down(before) != _is_down(after):
        return {task.service_id for task in state.tasks_of_node(some.id)}
    return ()


def _as_named(task: object) -> tuple[object, ...] | None:
    return (task.networks, task.node_id) if isinstance(task, Task) and is_serving(task) else None


def _is_down(node: object) -> bool:
    return not isinstance(node, Node) or node.state is NodeState.DOWN
