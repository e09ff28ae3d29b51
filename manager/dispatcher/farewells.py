"""Who may be told to stop by now. Pure.

A task that others may send traffic to leaves the network map first, and is told to stop once nobody uses the old map
any more: else what is on its way meets a closed port.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from manager.objects import Node, ReasonCode, Task
from swarmpy.states import NodeState, TaskState

# In seconds. An agent that shows no new map for so long is held up, and one node must not hold up all the others'
# updates. Agents at work need a tenth of it.
LONGEST_WAIT = 2.0


@dataclass(frozen=True, slots=True)
class Farewell:
    """One task that left the maps of these networks `since` then; no map of that `revision` or a later one has it."""

    task_id: str
    node_id: str
    networks: tuple[str, ...]
    revision: int
    since: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`released` are tasks to be told now; `again_at` is when time alone changes the verdict on another."""

    released: tuple[str, ...] = ()
    again_at: float | None = None


def is_leaving(task: Task, node: Node | None) -> bool:
    """It runs on that node where others can reach it, and is to stop. One whose node was lost left the maps then, and
    has a successor: it stops as soon as its node is back."""
    if node is None or node.state is NodeState.DOWN or (task.reason and task.reason.code is ReasonCode.NODE_DOWN):
        return False
    runs = task.state is TaskState.RUNNING
    return runs and task.desired_state > TaskState.RUNNING and any(network.address for network in task.networks)


def judged(
    waiting: Iterable[Farewell], mapped: Mapping[str, int], connected: Mapping[str, Collection[str]], now: float
) -> Verdict:
    """`mapped`: node id -> revision of the map that its agent shows. `connected`: network id -> nodes that are told of
    it and whose agents are there; the others show what they showed, and nobody can wait for them."""
    # The oldest map in use of each network.
    oldest = {
        network_id: min((mapped.get(node_id, -1) for node_id in nodes), default=None)
        for network_id, nodes in connected.items()
    }
    released, again_at = [], None
    for farewell in waiting:
        shown = (oldest.get(network_id) for network_id in farewell.networks)
        ends = farewell.since + LONGEST_WAIT
        if now >= ends or all(revision is None or revision >= farewell.revision for revision in shown):
            released.append(farewell.task_id)
        else:
            again_at = ends if again_at is None else min(again_at, ends)
    return Verdict(tuple(released), again_at)
