"""What must hold in a `ControlModel` after every pass of the deciders, whatever happened."""

from collections.abc import Sequence
from datetime import timedelta

from support.control_model import Container, ControlModel

from manager.objects import ReasonCode, Service, Task
from manager.orchestrator.decision import combined
from manager.orchestrator.keep import View, keep
from manager.orchestrator.plan import reconcile_service
from manager.orchestrator.reaper import reap_specs, reap_tasks
from manager.orchestrator.reasons import WAITS, explain
from manager.orchestrator.slots import is_job, node_slots, numbered_slots, update_order
from manager.orchestrator.survey import survey
from swarmpy.models.service import UpdateOrder
from swarmpy.states import NodeState, TaskState


def check_laws(model: ControlModel) -> None:
    slots: dict[tuple[str, int, str], list[Task]] = {}
    for task in model.state.tasks.values():
        slots.setdefault((task.service_id, task.slot, "" if task.slot else task.node_id), []).append(task)
        _check_reason(model, task)
        if task.is_live:
            assert not task.node_id or task.node_id in model.state.nodes, f"{task.id} lives on a removed node"
            assert task.is_wanted or task.state >= TaskState.ASSIGNED, f"{task.id} waits for an agent to stop it"
    for (service_id, slot, node_id), tasks in slots.items():
        _check_slot(model, model.state.services[service_id], f"{service_id}.{slot or node_id}", tasks)
    _check_containers(model)
    for service in model.state.services.values():
        if not service.removed:
            _check_survey(model, service)
    _check_nothing_was_missed(model)


def _check_reason(model: ControlModel, task: Task) -> None:
    if not task.is_wanted:
        return
    code = task.reason.code if task.reason else None
    node = model.state.nodes.get(task.node_id)
    if node is not None and node.state is NodeState.DOWN:
        assert code is ReasonCode.NODE_DOWN, f"{task.id} is on a node that is down and says {code}"
    elif task.state is TaskState.RUNNING:
        assert code is None, f"{task.id} runs, yet says {task.reason}"
    else:
        assert code in WAITS, f"{task.id} waits and says {code}"


def _check_slot(model: ControlModel, service: Service, name: str, tasks: Sequence[Task]) -> None:
    allowed = 2 if update_order(service) is UpdateOrder.START_FIRST else 1
    wanted = [task for task in tasks if task.is_wanted]
    assert len(wanted) <= allowed, f"{len(wanted)} tasks are wanted in {name}"
    restart = service.spec.task_template.restart_policy
    attempts = (restart.max_attempts or 0) if restart else 0
    history = [task for task in tasks if task.state.is_finished]
    assert len(history) <= model.history_limit + attempts + 4, f"{len(history)} finished tasks are kept in {name}"


def _check_containers(model: ControlModel) -> None:
    """The truth on the machines, as far as a cluster can answer for it: nodes in reach, tasks that were not replaced
    while their node was away, nor were asked to stop so long ago that nobody waits for them any more."""
    up: dict[tuple[str, int, str], list[Container]] = {}
    for node_id, agent in model.agents.items():
        node = model.state.nodes.get(node_id)
        if agent.is_silent or node is None or node.state is not NodeState.READY:
            continue
        for task_id, container in agent.containers.items():
            overdue = container.told_to_stop and model.now - container.told_to_stop >= timedelta(seconds=60)
            task = model.state.tasks.get(task_id)
            if container.is_up and not overdue and task is not None and task_id not in model.lost:
                up.setdefault((task.service_id, task.slot, "" if task.slot else node_id), []).append(container)
    for place, containers in up.items():
        allowed = 2 if any(container.may_overlap for container in containers) else 1
        ids = [container.task.id for container in containers]
        assert len(ids) <= allowed, f"{ids} run side by side in {place}"


def _check_survey(model: ControlModel, service: Service) -> None:
    """At a place that is said to be at rest, a close look finds nothing to decide either."""
    view = View(model.state, service, model.now, model.around.unfit)
    mode = service.spec.mode
    look = survey(view, model.around.eligible(service) if mode.global_ or mode.global_job else None)
    own = list(model.state.tasks_of_service(service.id))
    resting = [task for task in own if (task.slot or task.node_id) in look.resting]
    assert {task.id for task in resting}.isdisjoint(task.id for task in look.tasks)
    assert len(resting) + len(look.tasks) == len(own)
    assert not explain(model.state, resting, model.now)
    assert not reap_tasks(view, resting)
    slots = [*numbered_slots(service, [task for task in resting if task.slot]).values()]
    slots += node_slots(service, [task for task in resting if not task.slot], ()).values()
    for slot in slots:
        assert is_job(service) or not keep(view, slot), f"{slot} is not at rest"


def _check_nothing_was_missed(model: ControlModel) -> None:
    services = model.state.services.values()
    parts = [reconcile_service(model.state, service, model.now, model.around) for service in services]
    full = combined([*parts, reap_specs(model.state)])
    assert not full, f"a look at everything finds what was missed: {full}"
    assert full.again_at == model.next_look(), f"the next look is due at {full.again_at}, not {model.next_look()}"
    assert full.again_at is None or full.again_at > model.now
