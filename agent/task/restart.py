"""Restarts in place, which an agent does only while no manager is there. Pure.

The same policy that the manager follows, applied to the run alone: its history is the run's own count.
"""

from swarmpy.models.task import RestartCondition
from swarmpy.wire import TaskAssignment

LONGEST_REST = 30.0


def restarts_whatever_the_code(task: TaskAssignment) -> bool:
    return not task.is_job and _condition(task) is RestartCondition.ANY


def _condition(task: TaskAssignment) -> RestartCondition:
    policy = task.spec.restart_policy
    return policy.condition if policy and policy.condition else RestartCondition.ANY


def rest_before_restart(task: TaskAssignment, restarts: int, exit_code: int) -> float | None:
    """Seconds to wait; None when the policy wants no restart. The first comes at once unless a delay is set."""
    policy, condition = task.spec.restart_policy, _condition(task)
    if condition is RestartCondition.NONE:
        return None
    if exit_code == 0 and (task.is_job or condition is RestartCondition.ON_FAILURE):
        return None
    if policy and policy.max_attempts and restarts >= policy.max_attempts:
        return None
    if policy and policy.delay is not None:
        return policy.delay / 1e9
    return 0.0 if restarts == 0 else min(2.0 ** (restarts - 1), LONGEST_REST)
