"""Updates, rollbacks, pauses and jobs from random seeds, with a new leader after every single write: the laws of the
update hold after each, it always ends, and it ends where one and the same leader would have brought it.

`SWARMPY_MODEL_LIVES` makes them more.
"""

import os
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from support.builders import SECOND
from support.service_life import ServiceLife

from manager.orchestrator.slots import is_current, update_order
from swarmpy.models.service import (
    FailureAction,
    Replicated,
    ReplicatedJob,
    ServiceMode,
    ServiceSpec,
    UpdateConfig,
    UpdateOrder,
    UpdateState,
)
from swarmpy.models.task import Placement, TaskSpec
from swarmpy.states import TaskState

LIVES = int(os.environ.get("SWARMPY_MODEL_LIVES", "24"))
# Steps within which any update of these services must be over; one that waits jumps to what it waits for.
BOUND = 400
BAD = ("crash", "early", "pull", "sick")


def a_wish(
    image: str, *, mode: ServiceMode | None = None, config: UpdateConfig | None = None, **fields: Any
) -> ServiceSpec:
    template = TaskSpec.model_validate({"ContainerSpec": {"Image": image}}).model_copy(update=fields)
    rollback = config and config.model_copy(
        update={
            "failure_action": FailureAction.PAUSE
            if config.failure_action is FailureAction.ROLLBACK
            else config.failure_action
        }
    )
    return ServiceSpec(
        name="web", task_template=template, mode=mode or replicas(4), update_config=config, rollback_config=rollback
    )


def replicas(count: int) -> ServiceMode:
    return ServiceMode(replicated=Replicated(replicas=count))


def a_config(random: Random) -> UpdateConfig:
    return UpdateConfig(
        parallelism=random.choice([0, 1, 2, 3]),
        delay=random.choice([0, 4 * SECOND]),
        monitor=random.choice([0, 5 * SECOND]),
        order=random.choice(list(UpdateOrder)),
        failure_action=random.choice(list(FailureAction)),
        max_failure_ratio=random.choice([0.0, 0.3]),
    )


def no_law(life: ServiceLife) -> None:
    """Only the store's own."""


def laws(life: ServiceLife) -> None:
    """Of an update of four healthy replicas to a healthy image."""
    service = life.service
    count = service.spec.mode.replicated.replicas if service.spec.mode.replicated else 0
    assert count is not None
    if not life.is_moving:
        return
    config = service.spec.update_config
    assert config is not None
    width = config.parallelism or count
    wanted, running = life.wanted(), {task.slot for task in life.running()}
    moving = {task.slot for task in wanted if is_current(service, task) and task.state is not TaskState.RUNNING}
    assert len(moving) <= width, f"{moving} move at once"
    if update_order(service) is UpdateOrder.START_FIRST:
        assert len(wanted) <= count + width, f"{len(wanted)} of {count} are wanted"
        assert len(running) == count, f"only {running} run"
    else:
        assert len(wanted) <= count
        assert len(running) >= count - width, f"only {running} run"


async def is_over(life: ServiceLife) -> None:
    for _ in range(BOUND):
        if not life.is_moving:
            return
        await life.step()
    raise AssertionError(f"the update does not end: {life.service.update}")


async def both(story: Callable[[ServiceLife], Awaitable[None]], law: Callable[[ServiceLife], None]) -> ServiceLife:
    """The story under one leader and under one for every write; they end alike."""
    steady, flighty = ServiceLife(flighty=False, law=law), ServiceLife(flighty=True, law=law)
    await story(steady)
    await story(flighty)
    assert flighty.leaders > steady.leaders
    assert flighty.outcome() == steady.outcome()
    return flighty


@pytest.mark.parametrize("seed", range(LIVES))
async def test_a_healthy_update_keeps_its_pace_and_ends_with_all_renewed(seed: int) -> None:
    async def story(life: ServiceLife) -> None:
        random = Random(seed)
        config = a_config(random)
        await life.deploy(a_wish("good:1", config=config))
        await life.pass_time(10)
        await life.update(a_wish("good:2", config=config))
        if random.random() < 0.5:
            await life.pass_time(random.randrange(1, 8))
            if life.is_moving:
                await life.pause()
                await life.pass_time(15)
                await life.resume()
        if random.random() < 0.3:
            await life.pass_time(random.randrange(1, 8))
            await life.roll_back()
        await is_over(life)
        await life.pass_time(8)

    life = await both(story, laws)
    update = life.service.update
    assert update is not None
    assert update.state in (UpdateState.COMPLETED, UpdateState.ROLLBACK_COMPLETED)
    assert sorted(task.slot for task in life.running()) == [1, 2, 3, 4]
    assert all(is_current(life.service, task) for task in life.running())
    assert max(life.starts.values()) == 1


@pytest.mark.parametrize("seed", range(LIVES))
async def test_whatever_goes_wrong_and_whoever_intervenes_the_update_ends(seed: int) -> None:
    async def story(life: ServiceLife) -> None:
        random = Random(seed)
        config = a_config(random)
        await life.deploy(a_wish("good:1", config=config))
        await life.pass_time(10)
        for number in range(random.randrange(1, 4)):
            await intervene(life, random, config, number)
            await life.pass_time(random.randrange(1, 25))
        if life.service.update is not None and life.service.update.state is UpdateState.PAUSED:
            await life.resume()
        await is_over(life)
        await life.pass_time(3)

    await both(story, no_law)


async def intervene(life: ServiceLife, random: Random, config: UpdateConfig, number: int) -> None:
    update = life.service.update
    what = random.choice(["update", "update", "scale", "back", "to", "hold"])
    if what == "update":
        await life.update(a_wish(f"{random.choice([*BAD, 'good'])}:{number + 2}", config=config))
    elif what == "scale":
        spec = life.service.spec.model_copy(update={"mode": replicas(random.randrange(1, 6))})
        await life.update(spec)
    elif what == "back" and life.service.previous_spec is not None:
        await life.roll_back()
    elif what == "to":
        await life.roll_back(1)
    elif life.is_moving:
        await life.pause()
    elif update is not None and update.state in (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED):
        await life.resume()


@pytest.mark.parametrize("image", BAD)
@pytest.mark.parametrize("order", UpdateOrder)
async def test_an_image_that_never_runs_is_rolled_back_and_what_ran_runs_again(image: str, order: UpdateOrder) -> None:
    config = UpdateConfig(failure_action=FailureAction.ROLLBACK, order=order, monitor=5 * SECOND)

    async def story(life: ServiceLife) -> None:
        await life.deploy(a_wish("good:1", config=config))
        await life.pass_time(10)
        await life.update(a_wish(f"{image}:2", config=config))
        await is_over(life)
        await life.pass_time(8)

    life = await both(story, no_law)
    assert life.service.update is not None
    assert life.service.update.state is UpdateState.ROLLBACK_COMPLETED
    assert sorted((task.slot, life.image_of(task)) for task in life.running()) == [(n, "good:1") for n in range(1, 5)]


@pytest.mark.parametrize("seed", range(max(1, LIVES // 4)))
async def test_a_change_of_constraints_moves_only_those_on_excluded_nodes(seed: int) -> None:
    """Which they are depends on the nodes chosen, so that only the laws are common to both."""
    for flighty in (False, True):
        random = Random(seed)
        config = a_config(random)
        life = ServiceLife(flighty=flighty, law=laws)
        await life.deploy(a_wish("good:1", config=config))
        await life.pass_time(10)
        allowed = {task.id for task in life.running() if task.node_id != "n0"}
        await life.update(a_wish("good:1", config=config, placement=Placement(constraints=("node.id!=n0",))))
        await is_over(life)
        await life.pass_time(4)

        assert allowed <= {task.id for task in life.running()}
        assert len(life.starts) == 4 + (4 - len(allowed))
        assert {(task.node_id != "n0", task.spec_version) for task in life.running()} == {(True, 2)}


@pytest.mark.parametrize("seed", range(LIVES))
async def test_each_run_of_a_job_completes_exactly_once_in_every_iteration(seed: int) -> None:
    total, iterations = 5, 3

    async def story(life: ServiceLife) -> None:
        random = Random(seed)
        mode = ServiceMode(
            replicated_job=ReplicatedJob(max_concurrent=random.choice([0, 1, 2]), total_completions=total)
        )
        await life.deploy(a_wish("good:0", mode=mode))
        for number in range(1, iterations):
            # Some are done with by then, others are cut short by the next iteration.
            await life.pass_time(random.choice([3, 7, 60]))
            await life.update(a_wish(f"good:{number}", mode=mode))
        await life.pass_time(60)

    life = await both(story, no_law)
    assert life.service.job_iteration == iterations - 1
    assert {run: count for run, count in life.completed.items() if run[0] == iterations - 1} == {
        (iterations - 1, slot): 1 for slot in range(1, total + 1)
    }
    assert set(life.completed.values()) == {1}
    assert not life.wanted()


async def test_old_runs_of_a_job_are_not_hoarded() -> None:
    async def story(life: ServiceLife) -> None:
        mode = ServiceMode(replicated_job=ReplicatedJob(max_concurrent=0, total_completions=3))
        await life.deploy(a_wish("good:0", mode=mode))
        for number in range(1, 12):
            await life.pass_time(15)
            await life.update(a_wish(f"good:{number}", mode=mode))
        await life.pass_time(15)

    life = await both(story, no_law)
    # By the default history limit, for each of three slots; wishes by the revisions that are kept.
    assert len(life.state.tasks) <= 3 * 6
    assert len(life.state.revisions) == 10
    assert len(life.state.specs) <= 11
