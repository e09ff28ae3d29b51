"""Which tasks a service can best do without: the order of placing, read backwards."""

from collections.abc import Iterable, Mapping, Sequence

from scheduler.candidates import crowd, spread_tree
from scheduler.filters import AVAILABLE
from scheduler.load import NodeLoad, PlacedTask
from scheduler.plans import NodePool, Path, path_of
from scheduler.requirements import Requirements
from scheduler.view import ClusterView

_ANYWHERE = Requirements()


def removal_order(view: ClusterView, tasks: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
    """The ids of all tasks, the first to be removed first. `tasks` are (task id, node id, service id).

    First go tasks that hold no room in the view and those on nodes that may take no tasks (down, drained, paused).
    The rest is ordered so that each removal takes from where a placement would go last: the most crowded branch, then
    the most crowded node. Of one node's tasks the one given first goes first.
    """
    services: dict[str, list[str]] = {}
    for task_id, _, service_id in tasks:
        services.setdefault(service_id, []).append(task_id)
    return tuple(task_id for service_id, ids in services.items() for task_id in _order(view, service_id, ids))


def _order(view: ClusterView, service_id: str, task_ids: Sequence[str]) -> Iterable[str]:
    first: list[str] = []
    by_node: dict[str, list[PlacedTask]] = {}
    for task_id in task_ids:
        task = view.task(task_id)
        if task is None or task.leaving or not _takes_tasks(view, task.node_id):
            first.append(task_id)
        else:
            by_node.setdefault(task.node_id, []).append(task)
    return (*first, *reversed(_refilled(view, service_id, by_node)))


def _takes_tasks(view: ClusterView, node_id: str) -> bool:
    return view.has_node(node_id) and AVAILABLE.admits(view.node(node_id), _ANYWHERE, 0)


def _refilled(view: ClusterView, service_id: str, by_node: Mapping[str, list[PlacedTask]]) -> list[str]:
    """Take the tasks off copies of their nodes, put them back one by one in the order of placing: the last one back
    is the one that was missed least."""
    newest = max((task for tasks in by_node.values() for task in tasks), key=_version, default=None)
    if newest is None:
        return []
    asked = newest.requirements
    copies = {node_id: view.node(node_id).without(task.id for task in tasks) for node_id, tasks in by_node.items()}
    pools: dict[Path, NodePool] = {}
    for copy in copies.values():
        pools.setdefault(path_of(asked, copy), NodePool()).add(copy)
    waiting = {node_id: list(tasks) for node_id, tasks in by_node.items()}
    staying = _staying(view, service_id, asked, copies, by_node)
    tree = spread_tree(pools, staying, lambda node: bool(waiting[node.info.id]))
    back: list[str] = []
    while (node := tree.best) is not None:
        task = waiting[node.info.id].pop()
        node.add(task)
        back.append(task.id)
        tree.advance()
    return back


def _staying(
    view: ClusterView,
    service_id: str,
    asked: Requirements,
    copies: Mapping[str, NodeLoad],
    given: Mapping[str, Sequence[PlacedTask]],
) -> Mapping[NodeLoad, tuple[int, Path]]:
    """The service's tasks that were not given: they count for their branches."""
    staying: dict[NodeLoad, tuple[int, Path]] = {}
    for node_id, count in view.running(service_id).items():
        node = copies.get(node_id) or view.node(node_id)
        left = count - len(given.get(node_id, ()))
        if left:
            staying[node] = (crowd(left, left), path_of(asked, node))
    return staying


def _version(task: PlacedTask) -> int:
    return task.spec_version
