"""/events: a stream of JSON objects, one a line."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from manager.api import events
from manager.api.dependencies import Context
from manager.api.filters import Filters, parse_filters
from manager.api.journal import Journal, Listener
from swarmpy.clock import Clock, within
from swarmpy.errors import BadRequest
from swarmpy.models.event import Event
from swarmpy.shown import shown

router = APIRouter()


@router.get("/events")
async def stream_events(
    request: Request, context: Context, since: str | None = None, until: str | None = None, filters: str | None = None
) -> StreamingResponse:
    """Past events only when `since` or `until` asks for them; with `until` behind us the stream ends by itself."""
    journal: Journal = request.app.state.journal
    wanted = parse_filters(filters, events.FILTERS)
    lines = _lines(journal, context.clock, wanted, parse_moment("since", since), parse_moment("until", until))
    return StreamingResponse(lines, media_type="application/json")


def parse_moment(name: str, text: str | None) -> datetime | None:
    """Unix seconds, with or without a fraction, or RFC 3339."""
    if not text:
        return None
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as cause:
        raise BadRequest(f"invalid {name} {shown(text)}: use unix seconds or RFC 3339") from cause
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _lines(
    journal: Journal, clock: Clock, wanted: Filters, since: datetime | None, until: datetime | None
) -> AsyncIterator[bytes]:
    with journal.listening() as (past, listener):
        if since or until:
            for event in past:
                if events.passes(event, wanted) and _is_between(event, since, until):
                    yield _line(event)
        while True:
            try:
                event = await _next(listener, clock, until)
            except TimeoutError:
                return
            if events.passes(event, wanted):
                yield _line(event)


async def _next(listener: Listener, clock: Clock, until: datetime | None) -> Event:
    """Raises `TimeoutError` once `until` has passed."""
    if until is None:
        return await listener.next()
    left = until - clock.now()
    if left <= timedelta(0):
        raise TimeoutError
    return await within(clock, left, listener.next())


def _is_between(event: Event, since: datetime | None, until: datetime | None) -> bool:
    at = datetime.fromtimestamp(event.time_nano / 1e9, UTC)
    return (since is None or at >= since) and (until is None or at <= until)


def _line(event: Event) -> bytes:
    return event.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"
