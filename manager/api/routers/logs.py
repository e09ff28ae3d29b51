"""/services/{id}/logs and /tasks/{id}/logs."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from math import nan
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import StreamingResponse

from manager.api.context import ApiContext
from manager.api.dependencies import Context, Picture
from manager.api.filters import parse_flag
from manager.api.log_lines import MULTIPLEXED, RAW, STDERR, LineLayout
from manager.api.log_reader import FindTasks, Incomplete, LogReader, Wanted
from manager.api.lookup import find_service, find_task
from manager.objects import Task
from swarmpy.errors import BadRequest
from swarmpy.models.base import rfc3339
from swarmpy.models.task import TaskSpec
from swarmpy.shown import shown
from swarmpy.wire import LogOptions

router = APIRouter()

# What engines can still read: a moment in seconds, and the digits of a number of lines.
_FAR = 2.0**53
_DIGITS = 19


@dataclass(frozen=True, slots=True)
class LogQuery:
    options: LogOptions
    details: bool


async def _log_query(
    stdout: str | None = None,
    stderr: str | None = None,
    follow: str | None = None,
    since: str | None = None,
    timestamps: str | None = None,
    tail: str | None = None,
    details: str | None = None,
) -> LogQuery:
    options = LogOptions(
        stdout=parse_flag("stdout", stdout),
        stderr=parse_flag("stderr", stderr),
        follow=parse_flag("follow", follow),
        since=_seconds(since),
        timestamps=parse_flag("timestamps", timestamps),
        tail=_tail(tail),
    )
    if not (options.stdout or options.stderr):
        raise BadRequest("you must choose at least one stream: stdout=1, stderr=1 or both")
    return LogQuery(options, parse_flag("details", details))


Query = Annotated[LogQuery, Depends(_log_query)]


@router.get("/services/{wanted}/logs")
async def service_logs(wanted: str, query: Query, context: Context, state: Picture) -> StreamingResponse:
    service = find_service(state, wanted)

    def find() -> Wanted:
        """Until the service's record is gone its last tasks may still have something to say."""
        tasks = [task for task in state.tasks_of_service(service.id) if _has_log(task)]
        return Wanted(tasks, more=service.id in state.services)

    return _answer(context, query, service.spec.task_template, find)


@router.get("/tasks/{wanted}/logs")
async def task_logs(wanted: str, query: Query, context: Context, state: Picture) -> StreamingResponse:
    task = find_task(state, wanted)
    revision = state.specs.get(f"{task.service_id}/{task.spec_version}")

    def find() -> Wanted:
        known = state.tasks.get(task.id)
        if known is None:
            return Wanted([], more=False)
        has_log = _has_log(known)
        return Wanted([known] if has_log else [], more=not has_log and not known.state.is_finished)

    return _answer(context, query, revision.template if revision else TaskSpec(), find)


def _has_log(task: Task) -> bool:
    """Only a task that got as far as a container has one."""
    container = task.status.container_status
    return bool(task.node_id and container and container.container_id)


def _answer(context: ApiContext, query: LogQuery, template: TaskSpec, find: FindTasks) -> StreamingResponse:
    tty = bool(template.container_spec and template.container_spec.tty)
    layout = LineLayout(tty=tty, timestamps=query.options.timestamps, details=query.details)
    body = _body(context, LogReader(context, find, query.options), layout)
    return StreamingResponse(body, media_type=RAW if tty else MULTIPLEXED)


async def _body(context: ApiContext, reader: LogReader, layout: LineLayout) -> AsyncIterator[bytes]:
    async with aclosing(reader.read()) as entries:
        async for entry in entries:
            if isinstance(entry, Incomplete):
                yield layout.render(entry.task, STDERR, _complaint(context, entry, layout))
            else:
                yield layout.render(entry.task, entry.stream, entry.data)


def _complaint(context: ApiContext, entry: Incomplete, layout: LineLayout) -> bytes:
    node = context.ledger.state.nodes.get(entry.task.node_id)
    where = node.description.hostname if node else entry.task.node_id
    text = f"swarmpy: the log of task {entry.task.id} on node {where} is incomplete: {entry.cause}\n"
    return (f"{rfc3339(context.clock.now())} {text}" if layout.timestamps else text).encode()


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = nan
    if not abs(seconds) <= _FAR:
        raise BadRequest(f"invalid since {shown(text or '')}: use unix seconds")
    return seconds


def _tail(text: str | None) -> int | None:
    """None is all; clients also write -1 for it."""
    if text in (None, "", "all", "-1"):
        return None
    if text is not None and text.isdecimal() and len(text) < _DIGITS:
        return int(text)
    raise BadRequest(f"invalid tail {shown(text or '')}: use all or a number of lines")
