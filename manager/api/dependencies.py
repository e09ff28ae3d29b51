"""What endpoints ask for: the context, the picture of the cluster, leave to write, and not to stand in the way."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Request

from manager import writing
from manager.admission.admitted import Admitted, Value
from manager.api.context import ApiContext
from manager.api.steps import Steps
from manager.state import State
from manager.store.port import Revision
from swarmpy.errors import BadRequest, Unavailable
from swarmpy.shown import shown

Made = TypeVar("Made")

# Seconds for which one request may keep all others waiting.
_PORTION = 0.005


async def _context(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


Context = Annotated[ApiContext, Depends(_context)]


async def _picture(context: Context) -> State:
    """The state in memory; while the store is away, the last one known, and a header of the answer says so."""
    if not context.ledger.synced.is_set():
        raise Unavailable(
            "this manager has not read the cluster's state from etcd yet"
            + (f": {context.ledger.stale_reason}" if context.ledger.stale_reason else "; try again in a moment")
        )
    return context.ledger.state


Picture = Annotated[State, Depends(_picture)]


async def carry_out(context: ApiContext, admit: Callable[[], Admitted[Value]]) -> Value:
    """Write what `admit` makes of the picture: see `manager.writing`."""
    return await writing.carry_out(context.ledger, context.clock, admit)


async def in_portions(steps: Steps[Made]) -> Made:
    """What the steps make, with other work let in every few milliseconds. What they look at may be gone by the time
    its turn comes; they must bear that."""
    began = perf_counter()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made: Made = end.value
            return made
        if perf_counter() - began > _PORTION:
            await asyncio.sleep(0)
            began = perf_counter()


class Kept(Generic[Made]):
    """What was made of the picture last, while the picture is the same: several viewers cost as much as one."""

    def __init__(self) -> None:
        self._revision: Revision | None = None
        self._made: Made | None = None

    async def of(self, state: State, steps: Callable[[State], Steps[Made]]) -> Made:
        if self._made is not None and self._revision == state.revision:
            return self._made
        revision = state.revision
        made = await in_portions(steps(state))
        if revision == state.revision:
            # Else it mixes two pictures: good enough to be shown once.
            self._revision, self._made = revision, made
        return made


def parse_version(kind: str, text: str | None) -> int:
    """The `version` that an update was made from."""
    try:
        return int(text or "")
    except ValueError as cause:
        raise BadRequest(
            f"invalid {kind} version {shown(text or '')}: it must be the number that inspect shows"
        ) from cause
