"""Random lives of a cluster, each from a seed: whatever happens, the promises of the deciders hold.

`SWARMPY_MODEL_STEPS` makes each life longer, `SWARMPY_MODEL_LIVES` makes them more.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest
from support.builders import SECOND, a_global_job, a_global_service, a_job, a_node, a_service, a_template
from support.control_laws import check_laws
from support.control_model import ControlModel

from manager.objects import Node, Service
from manager.orchestrator.restart import gave_up
from manager.orchestrator.slots import is_job
from swarmpy.models.service import FailureAction, Replicated, ServiceMode, UpdateConfig, UpdateOrder, UpdateState
from swarmpy.models.task import Placement, RestartCondition, RestartPolicy
from swarmpy.states import Availability, NodeState, TaskState

STEPS = int(os.environ.get("SWARMPY_MODEL_STEPS", "60"))
SEEDS = range(int(os.environ.get("SWARMPY_MODEL_LIVES", "12")))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_the_promises_hold_and_in_the_end_all_runs(seed: int) -> None:
    model = ControlModel(Random(seed), check_laws)
    try:
        live(model)
        heal(model)
        for service in model.state.services.values():
            assert_all_runs(model, service)
    except AssertionError as error:
        raise AssertionError("\n".join([*model.story[-60:], f"seed {seed}: {error}"])) from error


def live(model: ControlModel) -> None:
    for number in range(4):
        model.add_node(a_node(f"n{number}", labels={"zone": "ab"[number % 2]}))
    for service in some_services(model.random):
        model.deploy(service)
    model.settle()
    events: list[Callable[[ControlModel], None]] = [
        scale, new_version, constrain, drain, pause, activate, fall_silent, speak, relabel, remove_service, remove_node,
    ]  # fmt: skip
    for _ in range(STEPS):
        if model.random.random() < 0.3:
            model.random.choice(events)(model)
        if model.random.random() < 0.05:
            model.new_leader()
        model.settle()
        model.step_agents(crashes=model.random.choice([0.0, 0.0, 0.1]))
        model.now += timedelta(seconds=model.random.choice([0, 0.2, 1, 3, 10, 70]))
        model.settle()


def heal(model: ControlModel) -> None:
    """Everything comes back, nothing goes wrong any more, and time passes."""
    for agent in model.agents.values():
        agent.is_silent = False
    for node in list(model.state.nodes.values()):
        spec = node.spec.model_copy(update={"availability": Availability.ACTIVE, "labels": {"zone": "a"}})
        model.put(node.model_copy(update={"spec": spec}))
    for _ in range(1000):
        before = model.state.revision
        model.settle()
        model.step_agents()
        if model.state.revision != before or any(agent.is_busy for agent in model.agents.values()):
            model.now += timedelta(seconds=1)
        elif (due := model.next_look()) is not None:
            model.now = due
        else:
            return
    raise AssertionError("the cluster does not come to rest")


def assert_all_runs(model: ControlModel, service: Service) -> None:
    if is_job(service):
        assert_complete(model, service)
        return
    running = [
        task
        for task in model.state.tasks_of_service(service.id)
        if task.state is TaskState.RUNNING and task.desired_state is TaskState.RUNNING
    ]
    over = [task for task in model.state.tasks_of_service(service.id) if gave_up(task)]
    wish = service.spec.mode.replicated.replicas if service.spec.mode.replicated else len(model.state.nodes)
    assert len({(task.slot, task.node_id if not task.slot else "") for task in running}) == len(running)
    if has_no_limit(service):
        assert len(running) == wish, f"{service.id}: {len(running)} of {wish} run"
    else:
        assert len(running) + len(over) >= (wish or 0), f"{service.id}: {len(running)} of {wish} run, {over} gave up"
    unfinished = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)
    assert service.update is None or service.update.state not in unfinished, f"{service.id} is still {service.update}"


def assert_complete(model: ControlModel, service: Service) -> None:
    tasks = [task for task in model.state.tasks_of_service(service.id) if task.job_iteration == service.job_iteration]
    complete = {(task.slot, "" if task.slot else task.node_id) for task in tasks if task.state is TaskState.COMPLETE}
    job = service.spec.mode.replicated_job
    wish = len(model.state.nodes) if job is None else job.total_completions
    assert len(complete) == wish, f"{service.id}: {complete} of {wish} are complete"
    assert not any(task.is_wanted for task in tasks)


def has_no_limit(service: Service) -> bool:
    policy = service.spec.task_template.restart_policy
    return policy is None or (policy.condition is not RestartCondition.NONE and not policy.max_attempts)


def some_services(random: Random) -> list[Service]:
    def update() -> UpdateConfig:
        return UpdateConfig(
            parallelism=random.choice([0, 1, 2]),
            delay=random.choice([None, 2 * SECOND]),
            order=random.choice([None, UpdateOrder.STOP_FIRST, UpdateOrder.START_FIRST]),
            failure_action=random.choice([None, *FailureAction]),
            max_failure_ratio=random.choice([None, 0.4]),
        )

    limited = RestartPolicy(
        condition=random.choice(list(RestartCondition)), max_attempts=random.choice([0, 2]), delay=SECOND
    )
    return [
        a_service("web", replicas=random.randint(0, 4), update=update(), rollback=update()),
        a_service("db", replicas=2, restart=limited, template=None, update=update()),
        a_service("zoned", replicas=2, template=a_template(constraints=("zone==a",))),
        a_global_service("agent", update=update(), rollback=update()),
        a_job("job", total=4, at_once=2),
        a_global_job("sweep"),
    ]


def any_service(model: ControlModel) -> Service:
    return model.random.choice([service for service in model.state.services.values() if not service.removed])


def any_node(model: ControlModel) -> Node:
    return model.random.choice(sorted(model.state.nodes.values(), key=lambda node: node.id))


def scale(model: ControlModel) -> None:
    service = any_service(model)
    if service.spec.mode.replicated is not None:
        replicas = model.random.randint(0, 5)
        model.tell(f"scale {service.id} to {replicas}")
        mode = ServiceMode(replicated=Replicated(replicas=replicas))
        model.change(service, service.spec.model_copy(update={"mode": mode}))


def new_version(model: ControlModel) -> None:
    service = any_service(model)
    template = service.spec.task_template
    model.tell(f"update {service.id}")
    again = template.model_copy(update={"force_update": (template.force_update or 0) + 1})
    model.change(service, service.spec.model_copy(update={"task_template": again}))


def constrain(model: ControlModel) -> None:
    """What still fits is adopted, the rest moves."""
    service = any_service(model)
    template = service.spec.task_template
    placement = Placement(constraints=model.random.choice([None, ("zone==a",)]))
    if template.placement != placement:
        model.tell(f"constrain {service.id} to {placement.constraints}")
        changed = template.model_copy(update={"placement": placement})
        model.change(service, service.spec.model_copy(update={"task_template": changed}))


def set_availability(model: ControlModel, availability: Availability) -> None:
    node = any_node(model)
    model.tell(f"{availability.value} {node.id}")
    model.put(node.model_copy(update={"spec": node.spec.model_copy(update={"availability": availability})}))


def drain(model: ControlModel) -> None:
    set_availability(model, Availability.DRAIN)


def pause(model: ControlModel) -> None:
    set_availability(model, Availability.PAUSE)


def activate(model: ControlModel) -> None:
    set_availability(model, Availability.ACTIVE)


def fall_silent(model: ControlModel) -> None:
    node = any_node(model)
    model.tell(f"{node.id} falls silent")
    model.agents[node.id].is_silent = True


def speak(model: ControlModel) -> None:
    node = any_node(model)
    model.tell(f"{node.id} speaks")
    model.agents[node.id].is_silent = False


def relabel(model: ControlModel) -> None:
    node = any_node(model)
    zone = model.random.choice("ab")
    model.tell(f"{node.id} is in zone {zone}")
    model.put(node.model_copy(update={"spec": node.spec.model_copy(update={"labels": {"zone": zone}})}))


def remove_service(model: ControlModel) -> None:
    service = any_service(model)
    if len(model.state.services) > 4 and model.random.random() < 0.3:
        model.tell(f"remove {service.id}")
        model.put(service.model_copy(update={"removed": True}))


def remove_node(model: ControlModel) -> None:
    down = [node for node in model.state.nodes.values() if node.state is NodeState.DOWN]
    if down and len(model.state.nodes) > 3:
        model.tell(f"remove node {down[0].id}")
        model.agents.pop(down[0].id)
        model.delete(Node, down[0].id)
