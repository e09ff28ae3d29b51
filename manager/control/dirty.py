"""What the control loop must look at: marked by changes and by time, taken in portions."""

from collections.abc import Iterable
from datetime import datetime

from manager.objects import Cluster, Network, Node, Service, Task
from manager.orchestrator.decision import earliest
from manager.orchestrator.depends import dependencies, has_started
from manager.orchestrator.plan import services_to_look_at
from manager.state import Changed, State
from swarmpy.states import TaskState

# On their way up and nothing to decide about: what they wait for, the agent does.
_UNDER_WAY = frozenset({TaskState.ASSIGNED, TaskState.ACCEPTED, TaskState.PREPARING, TaskState.STARTING})


class DirtySet:
    """`services` in order of marking; each may have a time at which it is due again."""

    def __init__(self) -> None:
        # Something of a network; something that addresses and ports of services follow from.
        self.networks = False
        self.addresses = False
        self._services: dict[str, None] = {}
        self._nodes: set[str] = set()
        self._due: dict[str, datetime] = {}
        # From the name of a service to the ids of those that depend on it. None: nobody has looked yet.
        self._dependents: dict[str, set[str]] | None = None

    def mark(self, changes: Iterable[Changed], state: State) -> None:
        # By name, in order: many changes of one service are one cause to look at those that depend on it.
        concerned: dict[str, None] = {}
        for change in changes:
            some = change.after or change.before
            match some:
                case Service():
                    self._services[some.id] = None
                    self._note_dependencies(change, state)
                    concerned[some.spec.name or ""] = None
                    self.addresses |= _moves_addresses(change)
                case Task():
                    matters = _matters(change)
                    if matters:
                        self._services[some.service_id] = None
                    if matters or _has_just_started(change):
                        concerned[some.service_name] = None
                case Node():
                    self._nodes.add(some.id)
                    self.networks |= _moves_shares(change)
                case Network():
                    self.networks = True
                case Cluster():
                    # Its settings (the history limit) are every service's.
                    self.mark_all(state)
        for name in concerned:
            self._mark_dependents(name, state)

    def mark_service(self, service_id: str) -> None:
        self._services[service_id] = None

    def mark_all(self, state: State) -> None:
        self._services.update(dict.fromkeys(state.services))
        self._dependents = None
        self.networks = self.addresses = True

    def mark_due(self, now: datetime) -> None:
        for service_id in [service_id for service_id, due in self._due.items() if due <= now]:
            del self._due[service_id]
            self._services[service_id] = None

    def look_again(self, service_id: str, at: datetime | None) -> None:
        """What the last look at the service said; it replaces what an earlier one did."""
        if at is None:
            self._due.pop(service_id, None)
        else:
            self._due[service_id] = at

    def take(self, state: State, limit: int) -> tuple[str, ...]:
        """The next services to look at; those that are gone are left out."""
        if self._nodes:
            touched = services_to_look_at(state, self._nodes)
            self._services.update(dict.fromkeys(sorted(touched)))
            # What a lost node runs does not count for them, and does again when it is back.
            for service_id in sorted(touched):
                self._mark_dependents(state.services[service_id].spec.name or "", state)
            self._nodes.clear()
        taken = list(self._services)[:limit]
        for service_id in taken:
            del self._services[service_id]
        for service_id in taken:
            if service_id not in state.services:
                self._due.pop(service_id, None)
        return tuple(service_id for service_id in taken if service_id in state.services)

    def take_networks(self) -> bool:
        """Whether any network was marked."""
        taken, self.networks = self.networks, False
        return taken

    def take_addresses(self) -> bool:
        """Whether anything was marked that addresses and ports of services follow from."""
        taken, self.addresses = self.addresses, False
        return taken

    def __bool__(self) -> bool:
        return bool(self._services or self._nodes or self.networks or self.addresses)

    @property
    def next_due(self) -> datetime | None:
        return earliest(*self._due.values())

    def _mark_dependents(self, name: str, state: State) -> None:
        """Those that depend on the service of this name."""
        dependents = self._known_dependents(state).get(name, ())
        self._services.update(dict.fromkeys(sorted(id for id in dependents if id in state.services)))

    def _known_dependents(self, state: State) -> dict[str, set[str]]:
        if self._dependents is None:
            self._dependents = {}
            for service in state.services.values():
                for name in dependencies(service):
                    self._dependents.setdefault(name, set()).add(service.id)
        return self._dependents

    def _note_dependencies(self, change: Changed, state: State) -> None:
        """Kept up change by change: there may be a thousand services, and many changes of each."""
        known = self._known_dependents(state)
        if isinstance(change.before, Service):
            for name in dependencies(change.before):
                known.get(name, set()).discard(change.before.id)
        if isinstance(change.after, Service):
            for name in dependencies(change.after):
                known.setdefault(name, set()).add(change.after.id)


def _moves_addresses(change: Changed) -> bool:
    before, after = change.before, change.after
    if not isinstance(before, Service) or not isinstance(after, Service):
        return True
    return _endpoint_of(before) != _endpoint_of(after)


def _endpoint_of(service: Service) -> tuple[object, ...]:
    spec = service.spec
    networks = spec.task_template.networks
    return service.removed, spec.endpoint_spec, networks, service.virtual_ips, service.published_ports


def _moves_shares(change: Changed) -> bool:
    """Every node that is there takes published ports; what it reaches by itself, networks keep clear of."""
    before, after = change.before, change.after
    if not isinstance(before, Node) or not isinstance(after, Node):
        return True
    return before.state != after.state or before.routes != after.routes


def _has_just_started(change: Changed) -> bool:
    """Its container runs, and is not known to be healthy yet: nothing to its own service."""
    before, after = change.before, change.after
    return isinstance(before, Task) and isinstance(after, Task) and not has_started(before) and has_started(after)


def _matters(change: Changed) -> bool:
    before, after = change.before, change.after
    if not isinstance(before, Task) or not isinstance(after, Task):
        return True
    if (before.desired_state, before.node_id, before.reason) != (after.desired_state, after.node_id, after.reason):
        return True
    if before.spec_version != after.spec_version:
        return True
    is_under_way = before.state in _UNDER_WAY and after.state in _UNDER_WAY
    return before.state != after.state and not is_under_way
