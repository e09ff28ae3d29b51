"""What must outlive the agent's process of each run: a document, and back. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address

from pydantic import Field

from agent.task.run import Phase, TaskRun
from swarmpy.models.base import Document
from swarmpy.models.task import TaskStatus
from swarmpy.wire import TaskAssignment


class TaskRecord(Document):
    """`addresses` are what was reported, as the engine says it; `taken` those that are held for it, by network id: an
    engine does not say them of a container that does not run."""

    task_id: str
    status: TaskStatus
    container_id: str | None = None
    restarts: int = 0
    addresses: dict[str, str] = Field(default_factory=dict)
    taken: dict[str, str] = Field(default_factory=dict)


def record_of(run: TaskRun, taken: Mapping[str, IPv4Address]) -> TaskRecord:
    return TaskRecord(
        task_id=run.id,
        status=run.status,
        container_id=run.container_id,
        restarts=run.restarts,
        addresses=run.addresses,
        taken={network_id: str(address) for network_id, address in taken.items()},
    )


def restored(task: TaskAssignment, record: TaskRecord, container_id: str | None) -> TaskRun:
    """The run as it was told last. One that was finished stays so, with the container that is left of it; any other
    is to be looked at again."""
    run = TaskRun(task, record.status, restarts=record.restarts, addresses=record.addresses)
    if not record.status.state.is_finished:
        return run
    return replace(run, phase=Phase.DONE, container_id=container_id)
