"""The names that others shall find (`skydns`), kept service by service in step with the state. Pure.

Says which services a change concerns; that they are looked at again is the caller's business.
"""

from collections.abc import Iterable, Mapping, Set

from manager.dispatcher.network_map import endpoints_of, is_serving, services_of
from manager.objects import Network, Node, Service, Task
from manager.skydns import Layout, Records, name_records
from manager.state import Changed, State
from swarmpy.states import NodeState


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
        now = self._records_of(state, service_id)
        before = self._keys_of.pop(service_id, frozenset())
        for key in before - now.keys():
            if self._owner.get(key) == service_id:
                del self._owner[key], self._records[key]
        self._records.update(now)
        self._owner.update(dict.fromkeys(now, service_id))
        if now:
            self._keys_of[service_id] = frozenset(now)
        return before | now.keys()

    def _records_of(self, state: State, service_id: str) -> Mapping[str, bytes]:
        service = state.services.get(service_id)
        if service is None:
            return {}
        mapped = tuple(services_of(state, service))
        names = {
            entry.network_id: network.spec.name
            for entry in mapped
            if (network := state.networks.get(entry.network_id)) is not None and not network.spec.ingress
        }
        if not names:
            return {}
        endpoints = (entry for task in state.tasks_of_service(service_id) for entry in endpoints_of(state, task))
        return name_records(self._layout, names, mapped, endpoints)


def services_renamed(state: State, change: Changed) -> Iterable[str]:
    """Ids of the services whose names may be different after the change."""
    before, after = change.before, change.after
    some = after or before
    if isinstance(some, Service):
        return (some.id,)
    if isinstance(some, Task):
        return () if _as_named(before) == _as_named(after) else (some.service_id,)
    if isinstance(some, Network):
        return () if before is not None and after is not None else tuple(state.services)
    if isinstance(some, Node) and _is_down(before) != _is_down(after):
        return {task.service_id for task in state.tasks_of_node(some.id)}
    return ()


def _as_named(task: object) -> tuple[object, ...] | None:
    return (task.networks, task.node_id) if isinstance(task, Task) and is_serving(task) else None


def _is_down(node: object) -> bool:
    return not isinstance(node, Node) or node.state is NodeState.DOWN
