"""Keeps the scheduler's `ClusterView` in step with the state, change by change, and knows which tasks await a node."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from manager.allocator.networks import has_free_share, must_encrypt, share_room, usual_room
from manager.objects import AnyObject, Network, Node, Service, Task
from manager.orchestrator.decision import AdoptTask
from manager.published_ports import host_ports
from manager.state import Changed, State
from scheduler.ranking import removal_order
from scheduler.reasons import breach, feasible_nodes, stays
from scheduler.view import ClusterView, NetworkRoom, PlacedTask, Requirements, node_info, requirements
from scheduler.volumes import volume_name
from swarmpy.errors import BadRequest
from swarmpy.models.port import PortConfig
from swarmpy.states import NodeState, TaskState
from swarmpy.wire import WIREGUARD

_FAILURES = frozenset({TaskState.FAILED, TaskState.REJECTED})
_CACHED = 10_000


class ViewKeeper:
    """Changes go in with `apply`; `view` is for the scheduler. `known` are the objects that it begins with, all of the
    state unless something else is said."""

    def __init__(self, state: State, known: Iterable[AnyObject] | None = None) -> None:
        self.view = ClusterView()
        self._waiting: dict[str, None] = {}  # in order of arrival
        self._has_room_changed = True
        # Networks that have no share for a further node.
        self._full: set[str] = set()
        self._state = state
        self._requirements: dict[tuple[str, tuple[PortConfig, ...], tuple[str, ...]], Requirements] = {}
        self.apply(Changed("", None, value) for value in (state.objects() if known is None else known))

    @property
    def wants_retry(self) -> bool:
        """Tasks wait, and what did not fit when they were tried last may fit now."""
        return self._has_room_changed and bool(self._waiting)

    def take_waiting(self) -> tuple[str, ...]:
        """The tasks to try now."""
        self._has_room_changed = False
        return tuple(self._waiting)

    def lacks_share(self, task: Task) -> bool:
        """One that nobody needs any more, given back, might help it."""
        return any(joined.network_id in self._full for joined in task.networks)

    def apply(self, changes: Iterable[Changed]) -> None:
        for change in changes:
            if isinstance(change.after or change.before, Task):
                self._apply_task(change.before, change.after)
            elif isinstance(change.after or change.before, Node):
                self._apply_node(change.before, change.after)
            elif isinstance(some := change.after or change.before, Network):
                self._apply_network(some, is_gone=change.after is None)

    def restore(self, task_ids: Iterable[str]) -> None:
        """Give back the room of tasks whose placement was not written after all: those that wait still, and others."""
        self._has_room_changed = True
        for task_id in task_ids:
            self.view.remove_task(task_id)
            self._apply_task(None, self._state.tasks.get(task_id))

    def requirements_of(self, task: Task) -> Requirements:
        """Raises `BadRequest` where a wish makes no sense: the API lets none such in, an older one may have."""
        networks = tuple(joined.network_id for joined in task.networks)
        key = (f"{task.service_id}/{task.spec_version}", task.ports, networks)
        known = self._requirements.get(key)
        if known is None:
            if len(self._requirements) >= _CACHED:
                self._requirements.clear()
            known = self._requirements[key] = requirements(self._state.spec_of(task).template, task.ports, networks)
        return known

    # what deciders ask the scheduler

    def eligible(self, service: Service) -> frozenset[str]:
        """The nodes where a global service belongs."""
        try:
            asked = requirements(service.spec.task_template, host_ports(service.spec))
        except BadRequest:
            return frozenset()
        return frozenset(feasible_nodes(self.view, asked))

    def removal_order(self, tasks: Sequence[Task]) -> Sequence[Task]:
        by_id = {task.id: task for task in tasks}
        ordered = removal_order(self.view, [(task.id, task.node_id, task.service_id) for task in tasks])
        return [by_id[task_id] for task_id in ordered]

    def unfit(self, task: Task) -> str | None:
        """The rule that a running task breaks where it is, since its node has changed."""
        try:
            return breach(self.view, task.node_id, self.requirements_of(task))
        except BadRequest:
            return None

    def have_room(self, tasks: Sequence[Task]) -> frozenset[str]:
        """Of running tasks of one service, given by their new wish, those that their nodes take by it, together. Those
        that must go hold their old room until then, but leave their place in a maximum of replicas to the others.
        The picture is afterwards as it was: what is decided upon holds its room by `hold`."""
        before = [placed for task in tasks if (placed := self.view.task(task.id)) is not None]
        try:
            return self._tried_in_turn(tasks)
        finally:
            for placed in before:
                self.view.remove_task(placed.id)
            for placed in before:
                self.view.add_task(placed)

    def _tried_in_turn(self, tasks: Sequence[Task]) -> frozenset[str]:
        kept: set[str] = set()
        given_up = Counter(task.node_id for task in tasks)
        for task in tasks:
            before = self.view.task(task.id)
            if before is None:
                continue
            beside = self.view.running(task.service_id).get(task.node_id, 0) - given_up[task.node_id]
            self.view.remove_task(task.id)
            if self._takes(task, beside):
                self.view.add_task(self.placed(task))
                kept.add(task.id)
                given_up[task.node_id] -= 1
            else:
                self.view.add_task(before)
        return frozenset(kept)

    def hold(self, adopted: Iterable[AdoptTask]) -> None:
        """Tasks that go on by another wish hold their room by it from now on, before it is written; should it not be
        written after all: `restore`."""
        for one in adopted:
            task = self._state.tasks.get(one.task_id)
            if task is not None and self.view.task(task.id) is not None:
                self.view.add_task(self.placed(task.model_copy(update={"spec_version": one.spec_version})))

    def release(self, changed: Iterable[Task]) -> None:
        """Of tasks as they are about to be written: those that are to stop count for their services no more, or what
        takes their place would be kept away from their nodes. Should it not be written after all: `restore`."""
        for task in changed:
            placed = self.view.task(task.id)
            if placed is not None and not placed.leaving and task.desired_state > TaskState.RUNNING:
                self.view.add_task(replace(placed, leaving=True))

    def _takes(self, task: Task, beside: int) -> bool:
        try:
            return stays(self.view, task.node_id, self.requirements_of(task), beside) is None
        except BadRequest:
            return False

    # keeping in step

    def _apply_node(self, before: AnyObject | None, after: AnyObject | None) -> None:
        self._has_room_changed = True
        if isinstance(after, Node):
            ready = after.state is NodeState.READY
            message = after.message or after.state.value
            info = node_info(
                after.id,
                after.spec,
                after.description,
                ready=ready,
                addr=after.addr,
                message=message,
                volumes=after.volumes,
                features=after.features,
            )
            self.view.put_node(info)
        elif before is not None:
            self.view.drop_node(before.id)

    def _apply_network(self, network: Network, *, is_gone: bool) -> None:
        self._has_room_changed = True
        has_share = bool(network.subnet) and has_free_share(network)
        (self._full.discard if has_share or is_gone or network.removed else self._full.add)(network.id)
        if is_gone or not network.subnet:
            self.view.drop_network(network.id)
            return
        room = NetworkRoom(
            network.id,
            network.spec.name,
            {share.node_id: share_room(share.subnet) for share in network.node_subnets},
            usual_room(network) if has_share else 0,
            WIREGUARD if must_encrypt(network) else "",
        )
        self.view.put_network(room)

    def _apply_task(self, before: AnyObject | None, after: AnyObject | None) -> None:
        old = before if isinstance(before, Task) else None
        new = after if isinstance(after, Task) else None
        if new is not None and is_waiting(new):
            self._waiting[new.id] = None
        elif some := new or old:
            self._waiting.pop(some.id, None)
        if new is not None and _holds_room(new):
            if old is None or not _holds_room(old) or _place_of(old) != _place_of(new):
                self.view.add_task(self.placed(new))
                self._has_room_changed |= not new.is_wanted or (
                    old is not None and old.spec_version != new.spec_version
                )
        elif (some := new or old) and self.view.task(some.id):
            self.view.remove_task(some.id)
            self._has_room_changed = True
        if new is not None and new.state in _FAILURES and (old is None or old.state not in _FAILURES) and new.node_id:
            # By our own clock, not by the node's: when it was written down.
            self.view.record_failure(new.node_id, new.service_id, new.spec_version, new.updated_at)

    def _requirements_or_none(self, task: Task) -> Requirements:
        """A task that runs holds its room by whatever it asked for, if that can still be read."""
        try:
            return self.requirements_of(task)
        except (BadRequest, KeyError):
            return Requirements()

    def volumes_of(self, task: Task, asked: Requirements) -> tuple[str, ...]:
        """The volumes that the task must be with. One of a global service has its node, and no choice."""
        if not (asked.volumes and task.slot):
            return ()
        name, id, slot = task.service_name, task.service_id, task.slot
        return tuple(volume_name(source, id, name, slot) for source in asked.volumes)

    def placed(self, task: Task) -> PlacedTask:
        asked = self._requirements_or_none(task)
        return PlacedTask(
            id=task.id,
            service_id=task.service_id,
            spec_version=task.spec_version,
            node_id=task.node_id,
            requirements=asked,
            generic=task.generic,
            leaving=not task.is_wanted,
            name=f"{task.service_name}.{task.slot or task.node_id}",
            volumes=self.volumes_of(task, asked),
        )


def is_waiting(task: Task) -> bool:
    """Wanted, and without a node that it was assigned to."""
    return task.state < TaskState.ASSIGNED and task.is_wanted


def _holds_room(task: Task) -> bool:
    return task.state >= TaskState.ASSIGNED and task.is_live


def _place_of(task: Task) -> tuple[object, ...]:
    networks = tuple(joined.network_id for joined in task.networks)
    return task.node_id, task.is_wanted, task.spec_version, task.ports, task.generic, networks
