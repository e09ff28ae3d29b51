"""Global services: one task on each eligible node. Which nodes are eligible is the scheduler's to say."""

from manager.objects import Node, ReasonCode
from manager.orchestrator.decision import Decision, combined
from manager.orchestrator.keep import View, clear, keep
from manager.orchestrator.reasons import name_of, reason
from manager.orchestrator.replicated import kept_and_updated
from manager.orchestrator.slots import Slot, node_slots
from manager.orchestrator.survey import Survey
from swarmpy.states import Availability, NodeState, TaskState


def reconcile_global(view: View, look: Survey, eligible: frozenset[str]) -> Decision:
    """One wanted task on each eligible node; what is on a paused or silent node stays, nothing new begins there."""
    slots = node_slots(view.service, look.tasks, eligible - look.resting.keys())
    there = [slot for slot in slots.values() if slot.node_id in eligible]
    elsewhere = [slot for slot in slots.values() if slot.node_id not in eligible]
    return combined(
        [
            kept_and_updated(view, there),
            *(_without_new(view, slot, view.state.nodes.get(slot.node_id)) for slot in elsewhere),
        ]
    )


def _without_new(view: View, slot: Slot, node: Node | None) -> Decision:
    if node is None:
        removed = reason(ReasonCode.NODE_DOWN, f"node {slot.node_id} was removed from the cluster", view.now)
        return clear(view, slot, removed, TaskState.REMOVE)
    if node.state is NodeState.READY and node.spec.availability is Availability.ACTIVE:
        misfit = reason(ReasonCode.REPLACED, f"node {name_of(node)} no longer fits the service", view.now)
        return clear(view, slot, misfit)
    return keep(view, slot, may_start=False)
