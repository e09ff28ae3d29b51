"""How fast a rolling update goes on. Pure."""

from datetime import datetime, timedelta

from manager.objects import Task
from swarmpy.models.service import FailureAction, ServiceSpec, UpdateConfig

MONITOR = timedelta(seconds=5)
# What crashes at its start has done so by then, and the news of it has come.
SETTLING = timedelta(seconds=1)


def monitor_of(config: UpdateConfig) -> timedelta:
    """How long a renewed task is watched."""
    return MONITOR if config.monitor is None else _duration(config.monitor)


def rest_before_next(wish: ServiceSpec, config: UpdateConfig) -> timedelta:
    """How long a renewed task must have run before the next slot is begun: what crashes at its start must not take
    the next replica along. A health check has proved more, and where a crash stops nothing none is waited for."""
    delay = _duration(config.delay)
    if _has_health_check(wish) or config.failure_action is FailureAction.CONTINUE:
        return delay
    return max(delay, min(SETTLING, monitor_of(config)))


def began(task: Task, now: datetime) -> datetime:
    """By the agent's clock, unless that is plainly wrong: no task starts before it was made, or after we heard of it.
    An update that waits must not wait for a wrong clock."""
    heard = min(task.updated_at, now)
    if task.started_at is None:
        return now
    return task.started_at if task.created_at <= task.started_at <= heard else heard


def _has_health_check(wish: ServiceSpec) -> bool:
    """Of its own; one that the image brings is not seen here."""
    container = wish.task_template.container_spec
    test = (container and container.health_check and container.health_check.test) or ("NONE",)
    return test[0] != "NONE"


def _duration(nanoseconds: int | None) -> timedelta:
    return timedelta(microseconds=(nanoseconds or 0) / 1000)
