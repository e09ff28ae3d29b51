"""Merging what agents report into tasks. Pure: of two reports the greater state is true, and a finished one is final.

Does not write: `report_writer` commits what comes out.
"""

from datetime import datetime

from manager.objects import Reason, Task
from manager.orchestrator.reasons import WAITS, ended
from swarmpy.models.task import TaskStatus
from swarmpy.states import TaskState
from swarmpy.wire import TaskReport, shortened

# States that only the manager decides; an agent that names one is not believed.
_NOT_OBSERVED = frozenset({TaskState.NEW, TaskState.PENDING, TaskState.REMOVE, TaskState.ORPHANED})


def newer(known: TaskReport | None, report: TaskReport) -> TaskReport:
    """Of two reports on one task the one that tells more; the later wins between equals."""
    if known is None or not _is_older(report.status, known.status):
        return report
    return known


def merged(task: Task, report: TaskReport, now: datetime) -> Task | None:
    """The task as it stands after the report; None when the report says nothing new."""
    status = merged_status(task.status, report.status)
    if status is not report.status:
        return None
    status = shortened(status)
    if status.state == task.state and report.restarts <= task.local_restarts:
        # People read it as "since when": an agent that starts again, or a pull that goes on, does not begin it anew.
        status = status.model_copy(update={"timestamp": task.status.timestamp or status.timestamp})
    # By the agent's clock, which may go ahead of ours: nothing has happened after we heard of it.
    seen_at = min(status.timestamp or now, now)
    running = status.state is TaskState.RUNNING
    reported = status.port_status.ports if status.port_status else None
    after = task.model_copy(
        update={
            "status": status,
            "reason": _reason_after(task, status, seen_at),
            "started_at": task.started_at or (seen_at if running else None),
            "finished_at": task.finished_at or (seen_at if status.state.is_finished else None),
            "networks": tuple(
                network.model_copy(update={"address": report.addresses.get(network.network_id, network.address)})
                for network in task.networks
            ),
            "ports": reported or task.ports,
            "local_restarts": max(task.local_restarts, report.restarts),
        }
    )
    return None if after == task else after.model_copy(update={"updated_at": now})


def merged_status(known: TaskStatus, reported: TaskStatus) -> TaskStatus:
    """The state never goes back; in the same state a newer message, health or progress is taken."""
    if reported.state in _NOT_OBSERVED or _is_older(reported, known):
        return known
    if known.state.is_finished and reported.state != known.state:
        return known
    return reported


def _is_older(status: TaskStatus, known: TaskStatus) -> bool:
    if status.state != known.state:
        return status.state < known.state
    if status.timestamp is None or known.timestamp is None:
        return status.timestamp is None and known.timestamp is not None
    return status.timestamp < known.timestamp


def _reason_after(task: Task, status: TaskStatus, seen_at: datetime) -> Reason | None:
    """A wait that is over is forgotten; an end nobody asked for says why. Why the manager stops a task stays."""
    if status.state == task.state:
        return task.reason
    if status.state.is_finished:
        return ended(task.model_copy(update={"status": status}), seen_at)
    if status.state is TaskState.RUNNING and task.reason is not None and task.reason.code in WAITS:
        return None
    return task.reason
