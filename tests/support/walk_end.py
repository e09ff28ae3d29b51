"""What a cluster must come to when nothing goes wrong any more: everything wanted runs, everything else is gone, and
every manager has the same picture, which is the store's."""

from collections.abc import Iterator

from support.scripted_agent import ScriptedAgent
from support.walk_world import World

from manager.dispatcher.map_entries import whole_map
from manager.objects import Service, Task
from manager.orchestrator.reasons import explain
from manager.orchestrator.restart import gave_up
from manager.state import State
from manager.store.port import Store
from swarmpy.models.service import UpdateState
from swarmpy.models.task import RestartCondition
from swarmpy.network_map import IndexedMap
from swarmpy.states import NodeState, TaskState

_SETTLED = frozenset(set(UpdateState) - {UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED})


def check_reasons(world: World) -> None:
    """Each waiting task says why it waits, and what it says holds."""
    state = world.cluster.history.state
    wrong = explain(state, state.tasks.values(), world.cluster.clock.now())
    assert not wrong, f"reasons that do not hold: {[(state.tasks[told.task_id].reason, told) for told in wrong]}"


async def check_pictures(world: World) -> None:
    """The watch-folded picture of every manager, and a fresh one, are the store's own."""
    expected = _picture(world.cluster.history.state)
    for process in world.cluster.managers.values():
        assert _picture(process.ledger.state) == expected, f"the picture of {process.name} is not the store's"
        assert _indexes(process.ledger.state) == _indexes(world.cluster.history.state)
        fresh = State()
        store: Store = process.store
        fresh.reset(await store.load())
        assert _picture(fresh) == expected, "a fresh picture is not the store's"


def shortfalls(world: World) -> Iterator[str]:
    """What is still missing from a cluster at rest."""
    state = world.cluster.history.state
    leader = world.leader
    if leader is None:
        yield "nobody leads"
        return
    for node_id in world.machines:
        node = state.nodes.get(node_id)
        if node is None or node.state is not NodeState.READY or not leader.manager.sessions.is_connected(node_id):
            yield f"node {node_id} is not ready"
    for service in state.services.values():
        yield from _shortfalls_of(service, state)
    for task in state.tasks.values():
        if task.service_id not in state.services:
            yield f"{task.id} is left of a service that is gone"
        elif (task.is_live and task.state is not TaskState.RUNNING) or task.is_live is not task.is_wanted:
            yield f"{task.id} of {task.service_name}.{task.slot} is {task.state.label}: {task.reason}"
    yield from _strays(world)
    yield from _wrong_maps(world)


def _shortfalls_of(service: Service, state: State) -> Iterator[str]:
    name, mode = service.spec.name, service.spec.mode
    if service.removed:
        yield f"{name} is not removed yet"
        return
    if service.update is not None and service.update.state not in _SETTLED:
        yield f"the update of {name} is not over: {service.update}"
    tasks = list(state.tasks_of_service(service.id))
    if mode.replicated is not None:
        kept = {task.slot for task in tasks if task.desired_state is not TaskState.REMOVE}
        if len(kept) != mode.replicated.replicas:
            yield f"{name} has {len(kept)} of {mode.replicated.replicas} replicas"
        yield from (f"{name}.{slot} does not run" for slot in kept if not _is_served(state, tasks, slot, ""))
    elif mode.global_ is not None:
        yield from (f"{name} does not run on {n}" for n in state.nodes if not _is_served(state, tasks, 0, n))
    elif mode.replicated_job is not None:
        for slot in range(1, (mode.replicated_job.total_completions or 0) + 1):
            if not _is_complete(service, tasks, slot, ""):
                yield f"{name}.{slot} is not complete"
    else:
        for node_id in state.nodes:
            if not _is_complete(service, tasks, 0, node_id):
                yield f"{name} is not complete on {node_id}"


def _is_served(state: State, tasks: list[Task], slot: int, node_id: str) -> bool:
    """Something runs there, or its policy asks for no more."""
    own = [task for task in tasks if task.slot == slot and (slot or task.node_id == node_id)]
    if any(task.is_wanted and task.state is TaskState.RUNNING for task in own):
        return True
    last = max(own, key=lambda task: task.birth, default=None)
    if last is None:
        return False
    policy = state.spec_of(last).template.restart_policy
    content = policy is not None and policy.condition in (RestartCondition.ON_FAILURE, RestartCondition.NONE)
    return gave_up(last) or (content and last.state is TaskState.COMPLETE)


def _is_complete(service: Service, tasks: list[Task], slot: int, node_id: str) -> bool:
    return any(
        task.state is TaskState.COMPLETE
        and task.job_iteration == service.job_iteration
        and task.slot == slot
        and (slot > 0 or task.node_id == node_id)
        for task in tasks
    )


def _strays(world: World) -> Iterator[str]:
    """Containers are up for the tasks that run, and for no others."""
    up = {(task_id, node_id) for node_id, machine in world.machines.items() for task_id in machine.running}
    tasks = world.cluster.history.state.tasks.values()
    wanted = {(task.id, task.node_id) for task in tasks if task.state is TaskState.RUNNING}
    yield from (f"container of {task_id} on {node_id} is wanted by nobody" for task_id, node_id in up - wanted)
    yield from (f"{task_id} has no container on {node_id}" for task_id, node_id in wanted - up)


def _wrong_maps(world: World) -> Iterator[str]:
    """What nodes show of networks is what the state says."""
    for node_id, machine in world.machines.items():
        expected = IndexedMap.of(whole_map(world.cluster.history.state, node_id))
        if isinstance(machine, ScriptedAgent) and machine.map != expected:
            yield f"node {node_id} shows the map {machine.map}, and not {expected}"


def _picture(state: State) -> dict[str, object]:
    objects = {f"{type(value).__name__}/{value.id}": (value, value.version, value.birth) for value in state.objects()}
    return {**objects, "leader": state.leader, "names": dict(state.names), "revision": state.revision}


def _indexes(state: State) -> dict[str, set[str]]:
    services = {task.service_id for task in state.tasks.values()}
    slots = {(task.service_id, task.slot) for task in state.tasks.values()}
    return {
        **{f"service {id}": {task.id for task in state.tasks_of_service(id)} for id in services},
        **{f"node {id}": {task.id for task in state.tasks_of_node(id)} for id in ["", *state.nodes]},
        **{f"slot {id}.{slot}": {task.id for task in state.tasks_of_slot(id, slot)} for id, slot in slots},
    }
