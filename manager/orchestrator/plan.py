"""What a pass decides for each service. The control loop mints, places and commits.

Composes the deciders; holds no rule of its own but who decides for which service.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from manager.objects import Service
from manager.orchestrator.adopt import HaveRoom, all_have_room
from manager.orchestrator.decision import Decision, combined
from manager.orchestrator.depends import unheard
from manager.orchestrator.global_mode import reconcile_global
from manager.orchestrator.jobs import reconcile_global_job, reconcile_replicated_job
from manager.orchestrator.keep import View
from manager.orchestrator.liveness import Unfit, fits
from manager.orchestrator.reaper import reap_removed_service, reap_tasks
from manager.orchestrator.reasons import explain
from manager.orchestrator.replicated import RemovalOrder, reconcile_replicated
from manager.orchestrator.survey import Survey, survey
from manager.state import State


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the scheduler knows and deciders ask for. Asking changes nothing: what a decision adopts holds its new room
    once whoever asked for the decision says so."""

    eligible: Callable[[Service], frozenset[str]]
    removal_order: RemovalOrder = tuple
    unfit: Unfit = fits
    have_room: HaveRoom = all_have_room
    is_heard: Callable[[str], bool] = lambda node_id: True


def services_to_look_at(state: State, node_ids: Collection[str]) -> frozenset[str]:
    """Those with tasks on these nodes, that changed, and those that want a task on every node."""
    found: set[str] = set()
    for node_id in node_ids:
        found |= {task.service_id for task in state.tasks_of_node(node_id)} & state.services.keys()
    if node_ids:
        found |= {service.id for service in state.services.values() if _follows_nodes(service)}
    return frozenset(found)


def reconcile_service(state: State, service: Service, now: datetime, around: Surroundings) -> Decision:
    """All that is to be written for one service and its tasks."""
    if service.removed:
        return reap_removed_service(state, service, now)
    view = View(state, service, now, around.unfit, around.have_room, unheard(state, service, around.is_heard))
    nodes = around.eligible(service) if _follows_nodes(service) else None
    look = survey(view, nodes)
    decided = combined([_reconcile_mode(view, look, nodes, around), reap_tasks(view, look.tasks)])
    told = decided.tasks_told()
    waiting = (task for task in look.tasks if task.id not in told)
    return combined([decided, Decision(reasons=explain(state, waiting, now))])


def _reconcile_mode(view: View, look: Survey, nodes: frozenset[str] | None, around: Surroundings) -> Decision:
    mode = view.service.spec.mode
    if nodes is not None:
        decide = reconcile_global if mode.global_ is not None else reconcile_global_job
        return decide(view, look, nodes)
    if mode.replicated_job is not None:
        return reconcile_replicated_job(view, look)
    return reconcile_replicated(view, look, around.removal_order)


def _follows_nodes(service: Service) -> bool:
    return service.spec.mode.global_ is not None or service.spec.mode.global_job is not None
