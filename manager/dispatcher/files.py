"""Which secrets and configs a node is told: those that its tasks are given while they are to run. Pure."""

import base64
from collections.abc import Callable, Iterable, Set

from manager.admission.secret import referred_ids
from manager.objects import Config, Secret
from manager.state import State
from swarmpy.models.base import Driver
from swarmpy.states import TaskState
from swarmpy.wire import FileAssignment, TaskAssignment

# What was sealed; None when it cannot be read.
UnsealData = Callable[[str], bytes | None]


def files_of(tasks: Iterable[TaskAssignment]) -> Set[str]:
    """Ids of all that these tasks are given. A task that is to stop has what it needs already, or needs it no more."""
    return frozenset(
        id
        for task in tasks
        if task.desired_state <= TaskState.COMPLETE
        for id in referred_ids(task.spec.container_spec)
    )


def opened(state: State, ids: Set[str], unseal: UnsealData) -> tuple[FileAssignment, ...]:
    """Those that are there and can be read; the agent says of a task that lacks one why it does not run."""
    found = (state.secrets.get(id) or state.configs.get(id) for id in sorted(ids))
    told = (_told(kept, unseal) for kept in found if kept is not None)
    return tuple(file for file in told if file is not None)


def _told(kept: Secret | Config, unseal: UnsealData) -> FileAssignment | None:
    data = unseal(kept.sealed)
    if data is None:
        return None
    templating: Driver | None = kept.spec.templating
    return FileAssignment(
        id=kept.id,
        name=kept.spec.name or "",
        is_secret=isinstance(kept, Secret),
        data=base64.b64encode(data).decode(),
        is_template=bool(templating and templating.name),
    )
