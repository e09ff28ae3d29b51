"""What must outlive the agent's process of each run: a document, and back. Pure."""

from dataclasses import replace

from pydantic import Field

from agent.task.run import Phase, TaskRun
from swarmpy.models.base import Document
from swarmpy.models.task import TaskStatus
from swarmpy.wire import TaskAssignment


class TaskRecord(Document):
    task_id: str
    status: TaskStatus
    container_id: str | None = None
    restarts: int = 0
    addresses: dict[str, str] = Field(default_factory=dict)


def record_of(run: TaskRun) -> TaskRecord:
    return TaskRecord(
        task_id=run.id,
        status=run.status,
        container_id=run.container_id,
        restarts=run.restarts,
        addresses=run.addresses,
    )


def restored(task: TaskAssignment, record: TaskRecord, container_id: str | None) -> TaskRun:
    """The run as it was told last. One that was finished stays so, with the container that is left of it; any other
    is to be looked at again."""
    run = TaskRun(task, record.status, restarts=record.restarts, addresses=record.addresses)
    if not record.status.state.is_finished:
        return run
    return replace(run, phase=Phase.DONE, container_id=container_id)
