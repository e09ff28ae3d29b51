"""Tasks as Docker shows them. Pure.

A listing may hold ten thousand tasks of a few wishes, so the wish, the bulk of the document, is written out once.
"""

from typing import Any

from manager.api.views.networks import attached_network
from manager.objects import Reason, ReasonCode, Task, TaskNetwork
from manager.state import State
from swarmpy.models import task as docker
from swarmpy.models.base import rfc3339

# These tell of something wrong or missing, so clients show them as the task's error; the others explain a normal wait
# or end.
_ERRORS = frozenset(
    {
        ReasonCode.NO_NODE,
        ReasonCode.NO_ADDRESS,
        ReasonCode.NODE_DOWN,
        ReasonCode.ENGINE,
        ReasonCode.EXITED,
        ReasonCode.UNHEALTHY,
        ReasonCode.GAVE_UP,
    }
)


class TaskViews:
    """Documents of tasks over one state. It keeps what it has written of wishes and networks: use one a request."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._specs: dict[str, dict[str, Any]] = {}
        self._networks: dict[str, dict[str, Any]] = {}

    def document(self, task: Task) -> dict[str, Any]:
        """As `swarmpy.models.task.Task` would be written, in a tenth of the time."""
        document: dict[str, Any] = {
            "ID": task.id,
            "Version": {"Index": task.version},
            "CreatedAt": rfc3339(task.created_at),
            "UpdatedAt": rfc3339(task.updated_at),
            "Labels": {},
            "Spec": self._spec(task),
            "ServiceID": task.service_id,
            "Status": status_of(task).to_docker(),
            "DesiredState": task.desired_state.label,
        }
        if task.slot:
            document["Slot"] = shown_slot(task)
        if task.node_id:
            document["NodeID"] = task.node_id
        if task.networks:
            document["NetworksAttachments"] = [self._attachment(joined) for joined in task.networks]
        if task.generic:
            document["AssignedGenericResources"] = [resource.to_docker() for resource in task.generic]
        if task.job_iteration is not None:
            document["JobIteration"] = {"Index": task.job_iteration}
        if task.reason is not None:
            document["Reason"] = _reason(task.reason)
        return document

    def _spec(self, task: Task) -> dict[str, Any]:
        key = f"{task.service_id}/{task.spec_version}"
        if key not in self._specs:
            revision = self._state.specs.get(key)
            self._specs[key] = revision.template.to_docker() if revision else {}
        return self._specs[key]

    def _attachment(self, joined: TaskNetwork) -> dict[str, Any]:
        """Of a network without an address yet there is none to show: an empty text would break clients."""
        if joined.network_id not in self._networks:
            network = self._state.networks.get(joined.network_id)
            self._networks[joined.network_id] = attached_network(joined.network_id, network)
        shown: dict[str, Any] = {"Network": self._networks[joined.network_id]}
        return {**shown, "Addresses": [joined.address]} if joined.address else shown


def shown_slot(task: Task) -> int:
    """Of a task that has a slot. Docker counts those of jobs from 0, and its client waits for just these; where it
    leaves a 0 out, we say it, for a global job has no slot at all."""
    return task.slot if task.job_iteration is None else task.slot - 1


def status_of(task: Task) -> docker.TaskStatus:
    """The agent's words; where it has none, those of the reason. That a container is ready and waits for other services
    the agent does not know."""
    status, reason = task.status, task.reason
    added: dict[str, Any] = {}
    if status.timestamp is None:
        added["timestamp"] = task.created_at
    if reason is not None and not status.err and is_error(reason.code):
        added["err"] = reason.text
    is_held = reason is not None and reason.code is ReasonCode.WAITING_DEPENDENCY
    if not status.message or is_held:
        added["message"] = reason.text if reason is not None else task.state.label
    return status.model_copy(update=added) if added else status


def is_error(code: str) -> bool:
    return code in _ERRORS


def _reason(reason: Reason) -> dict[str, Any]:
    return docker.TaskReason(
        code=reason.code.value, text=reason.text, since=reason.since, nodes=reason.nodes or None
    ).to_docker()


def full_name(task: Task) -> str:
    """`service.slot.id`, of a global service `service.node.id`: what the name filter compares."""
    return f"{task.service_name}.{task.slot or task.node_id}.{task.id}"
