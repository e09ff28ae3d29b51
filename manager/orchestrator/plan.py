"""One pass of deciding: what to write for everything that changed. The control loop mints, places and commits.

Composes the deciders; holds no rule of its own but who decides for which service.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from manager.objects import Service
from manager.orchestrator.decision import Decision, combined
from manager.orchestrator.global_mode import reconcile_global
from manager.orchestrator.jobs import reconcile_global_job, reconcile_replicated_job
from manager.orchestrator.liveness import Unfit, fits, reconcile_nodes
from manager.orchestrator.reaper import reap_networks, reap_removed_service, reap_specs, reap_tasks
from manager.orchestrator.reasons import explain
from manager.orchestrator.replicated import RemovalOrder, reconcile_replicated
from manager.state import State


@dataclass(frozen=True, slots=True)
class Dirty:
    """Ids of what changed since the last pass. `everything`: look at all of it, and at what is left over."""

    services: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the control loop knows besides the state. The scheduler answers the first three questions."""

    eligible: Callable[[Service], frozenset[str]]
    removal_order: RemovalOrder = tuple
    unfit: Unfit = fits
    last_heard: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    leading_since: datetime | None = None
    grace: timedelta = timedelta(seconds=5)


def reconcile(state: State, dirty: Dirty, now: datetime, around: Surroundings) -> Decision:
    """All that is to be written for what is dirty, as one decision. A node's new state and what follows from it for
    tasks are two passes: the first one's write makes the node dirty."""
    services = sorted(services_to_look_at(state, dirty))
    parts = [reconcile_service(state, state.services[service_id], now, around) for service_id in services]
    if around.leading_since is not None:
        parts.append(reconcile_nodes(state, around.last_heard, around.leading_since, now, around.grace))
    if dirty.everything:
        parts.append(reap_specs(state))
    parts.append(reap_networks(state, state.networks if dirty.everything else dirty.networks))
    return combined(parts)


def services_to_look_at(state: State, dirty: Dirty) -> frozenset[str]:
    """The dirty services, those with tasks on dirty nodes, and those that want a task on every node."""
    if dirty.everything:
        return frozenset(state.services)
    found = set(dirty.services & state.services.keys())
    for node_id in dirty.nodes:
        found |= {task.service_id for task in state.tasks_of_node(node_id)} & state.services.keys()
    if dirty.nodes:
        found |= {service.id for service in state.services.values() if _follows_nodes(service)}
    return frozenset(found)


def reconcile_service(state: State, service: Service, now: datetime, around: Surroundings) -> Decision:
    """All that is to be written for one service and its tasks."""
    if service.removed:
        return reap_removed_service(state, service, now)
    decided = combined([_reconcile_mode(state, service, now, around), reap_tasks(state, service, now)])
    told = decided.tasks_told()
    waiting = (task for task in state.tasks_of_service(service.id) if task.id not in told)
    return combined([decided, Decision(reasons=explain(state, waiting, now))])


def _reconcile_mode(state: State, service: Service, now: datetime, around: Surroundings) -> Decision:
    mode = service.spec.mode
    if mode.global_ is not None:
        return reconcile_global(state, service, now, around.eligible(service), around.unfit)
    if mode.replicated_job is not None:
        return reconcile_replicated_job(state, service, now, around.unfit)
    if mode.global_job is not None:
        return reconcile_global_job(state, service, now, around.eligible(service), around.unfit)
    return reconcile_replicated(state, service, now, around.removal_order, around.unfit)


def _follows_nodes(service: Service) -> bool:
    return service.spec.mode.global_ is not None or service.spec.mode.global_job is not None
