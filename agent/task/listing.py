"""What a listing of the engine shows that the runs do not know. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto

from agent.task.events import Exited
from agent.task.facts import ContainerFacts, Health, Life, ListedContainer
from agent.task.run import Phase, TaskRun


class Look(Enum):
    """How a container differs from its run."""

    GONE = auto()
    EXITED = auto()
    HEALTHY = auto()
    UNHEALTHY = auto()
    REVIVED = auto()


def exit_of(facts: ContainerFacts, *, alone: bool, code: int | None = None) -> Exited:
    """How a container ended that runs no more; `code` is its exit code where that is known better."""
    exit_code = facts.exit_code if code is None else code
    return Exited(exit_code, facts.oom_killed, facts.error, removed=facts.life is Life.REMOVING, alone=alone)


def unlike(runs: Mapping[str, TaskRun], found: Iterable[ListedContainer]) -> Iterator[tuple[str, Look]]:
    """The runs, by id, whose container stands otherwise than they think."""
    by_id = {container.id: container for container in found}
    for run in runs.values():
        if run.container_id is None:
            continue
        look = _look(run, by_id.get(run.container_id))
        if look is not None:
            yield run.id, look


def _look(run: TaskRun, container: ListedContainer | None) -> Look | None:
    if container is None:
        return Look.GONE
    if run.phase in (Phase.CHECKING, Phase.RUNNING, Phase.STOPPING) and container.life is Life.EXITED:
        return Look.EXITED
    if run.phase is Phase.CHECKING and container.health is Health.HEALTHY:
        return Look.HEALTHY
    if run.phase in (Phase.CHECKING, Phase.RUNNING) and container.health is Health.UNHEALTHY:
        return Look.UNHEALTHY
    if run.phase is Phase.DONE and container.life is Life.RUNNING:
        return Look.REVIVED
    return None


def strays(runs: Mapping[str, TaskRun], found: Iterable[ListedContainer]) -> tuple[ListedContainer, ...]:
    """Containers with this node's label that are no run's. One that is being created, or adopted, has its run."""
    return tuple(container for container in found if _is_stray(runs.get(container.task_id), container))


def _is_stray(run: TaskRun | None, container: ListedContainer) -> bool:
    if run is None:
        return True
    if run.container_id is None:
        return run.phase is Phase.DONE
    return run.container_id != container.id
