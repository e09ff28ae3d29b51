"""What the page shows of services and their tasks, in its order and its words. Pure.

Names, images, states and reasons only: environment, labels, commands and mounts may hold secrets and are left out.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from heapq import nlargest, nsmallest

from manager.api.lookup import visible_services
from manager.api.overview import hostname_of, is_trouble, service_line, trouble_of
from manager.api.status import ServiceLine
from manager.api.steps import Steps
from manager.api.views.tasks import is_error, status_of
from manager.objects import Service, Task
from manager.state import State
from swarmpy.states import TaskState

# Of a big service this many tasks are shown, those in trouble first.
TASKS_SHOWN = 12
# Attempts that ended badly tell why the next one waits.
FAILURES_SHOWN = 3


class Tone(IntEnum):
    """How much a thing needs the reader, the most first."""

    BAD = 0
    BUSY = 1
    GOOD = 2
    OVER = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class TaskRow:
    name: str
    id: str
    node: str
    state: str
    tone: Tone
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class ServiceCard:
    line: ServiceLine
    tone: Tone
    tasks: tuple[TaskRow, ...]
    hidden: int


def service_cards(state: State) -> Steps[list[ServiceCard]]:
    """Those in trouble first, then by name."""
    cards = []
    for service in visible_services(state):
        cards.append((yield from service_card(service, state)))
    return sorted(cards, key=lambda card: (card.tone, card.line.name))


def service_card(service: Service, state: State) -> Steps[ServiceCard]:
    line = yield from service_line(service, state)
    tone = _tone_of_service(line)
    shown, failed = [], []
    for task in tuple(state.tasks_of_service(service.id)):
        if task.is_live or is_trouble(task, state):
            shown.append(_ranked(task, state))
        elif task.state in (TaskState.FAILED, TaskState.REJECTED) and tone is not Tone.GOOD:
            failed.append(task)
        yield
    shown += [_ranked(task, state) for task in nlargest(FAILURES_SHOWN, failed, key=lambda task: task.updated_at)]
    first = nsmallest(TASKS_SHOWN, shown)
    return ServiceCard(line, tone, tuple(_row(task, state) for *_, task in first), len(shown) - len(first))


def _ranked(task: Task, state: State) -> tuple[Tone, int, datetime, str, Task]:
    """The smaller, the more it is worth showing; the id keeps tasks themselves from being compared."""
    return _tone_of_task(task, state), task.slot, task.created_at, task.id, task


def _tone_of_service(line: ServiceLine) -> Tone:
    if any(is_error(reason.code) for reason in line.reasons):
        return Tone.BAD
    return Tone.GOOD if line.healthy >= line.desired and not line.reasons else Tone.BUSY


def _tone_of_task(task: Task, state: State) -> Tone:
    if is_trouble(task, state):
        lost = task.state is TaskState.RUNNING
        return Tone.BAD if lost or (task.reason is not None and is_error(task.reason.code)) else Tone.BUSY
    if task.state.is_finished:
        return Tone.OVER
    return Tone.GOOD if task.is_wanted else Tone.BUSY


def _row(task: Task, state: State) -> TaskRow:
    status, tone = status_of(task), _tone_of_task(task, state)
    why = trouble_of(task, state) if is_trouble(task, state) else task.reason
    words = why.text if why else status.err or status.message or ""
    return TaskRow(
        name=f"{task.service_name}.{task.slot or hostname_of(state, task.node_id)}",
        id=task.id,
        node=hostname_of(state, task.node_id) if task.node_id else "",
        state=task.state.label,
        tone=tone,
        since=status.timestamp or task.created_at,
        reason="" if tone is Tone.GOOD else words,
    )
