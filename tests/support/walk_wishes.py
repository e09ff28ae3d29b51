"""What the operators of a random walk ask for: services of every mode, and changes of them."""

import random
from collections.abc import Callable

from swarmpy.models.container import ContainerSpec
from swarmpy.models.service import (
    FailureAction,
    Global,
    GlobalJob,
    Replicated,
    ReplicatedJob,
    ServiceMode,
    ServiceSpec,
    UpdateConfig,
    UpdateOrder,
)
from swarmpy.models.task import NetworkAttachmentConfig, RestartCondition, RestartPolicy, TaskSpec

REPLICATED, GLOBAL, JOB, GLOBAL_JOB = ("web", "db", "api"), "log", "job", "each"
NAMES = (*REPLICATED, GLOBAL, JOB, GLOBAL_JOB)
# The network of the walk, by its id, and those who join it.
NETWORK, NETWORKED = "0000000000000000000000net", ("web", "db", GLOBAL, JOB)
MOST_REPLICAS = 6
SECOND = 10**9

Change = Callable[[ServiceSpec], ServiceSpec]


def a_wish(name: str, chance: random.Random) -> ServiceSpec:
    is_job = name in (JOB, GLOBAL_JOB)
    return ServiceSpec(
        name=name,
        mode=_mode(name, chance),
        task_template=TaskSpec(
            container_spec=_image(chance),
            restart_policy=None if is_job else _policy(chance),
            networks=(NetworkAttachmentConfig(target=NETWORK),) if name in NETWORKED else None,
        ),
        update_config=None if is_job else _update(chance),
    )


def a_scaling(name: str, chance: random.Random) -> tuple[Change, str]:
    mode = _mode(name, chance)
    return (lambda spec: spec.model_copy(update={"mode": mode})), mode.model_dump_json(exclude_none=True)


def an_update(chance: random.Random) -> tuple[Change, str]:
    container = _image(chance)

    def change(spec: ServiceSpec) -> ServiceSpec:
        template = spec.task_template.model_copy(update={"container_spec": container})
        return spec.model_copy(update={"task_template": template})

    return change, container.image or ""


def _mode(name: str, chance: random.Random) -> ServiceMode:
    if name == GLOBAL:
        return ServiceMode(global_=Global())
    if name == GLOBAL_JOB:
        return ServiceMode(global_job=GlobalJob())
    if name == JOB:
        job = ReplicatedJob(max_concurrent=chance.randint(1, 3), total_completions=chance.randint(1, 5))
        return ServiceMode(replicated_job=job)
    return ServiceMode(replicated=Replicated(replicas=chance.randint(0, MOST_REPLICAS)))


def _image(chance: random.Random) -> ContainerSpec:
    return ContainerSpec(image=f"app:{chance.randint(1, 9)}")


def _policy(chance: random.Random) -> RestartPolicy | None:
    """Most restart whatever happens; some give up, or are content with a good end."""
    return chance.choice(
        [
            None,
            RestartPolicy(condition=RestartCondition.ANY),
            RestartPolicy(condition=RestartCondition.ANY, delay=2 * SECOND),
            RestartPolicy(condition=RestartCondition.ON_FAILURE),
            RestartPolicy(condition=RestartCondition.ANY, max_attempts=2, window=30 * SECOND),
            RestartPolicy(condition=RestartCondition.NONE),
        ]
    )


def _update(chance: random.Random) -> UpdateConfig | None:
    if chance.random() < 0.2:
        return None
    return UpdateConfig(
        order=chance.choice(list(UpdateOrder)),
        parallelism=chance.randint(0, 2),
        delay=chance.choice([0, SECOND]),
        monitor=chance.choice([SECOND, 5 * SECOND]),
        failure_action=chance.choice(list(FailureAction)),
    )
