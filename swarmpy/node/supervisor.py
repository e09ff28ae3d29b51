"""Runs the node's processes together: started in order, ended in reverse. Never touches a container."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

from swarmpy.errors import BadRequest
from swarmpy.node.keeper import Keeper, background

# How long those that build on a child wait for it; then they start all the same, and say themselves what they miss.
PATIENCE = timedelta(seconds=15)


async def supervise(
    foundation: Sequence[Keeper],
    others: Sequence[Keeper],
    stop: asyncio.Event,
    announce: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Keep all children running until `stop` is set, then end them in reverse order.

    `foundation` children are waited for one by one, `others` start together; then `announce` runs beside them. A child
    that refuses to start ends the node: raises `BadRequest` with its words, once the rest has ended.
    """
    refusals: list[BadRequest] = []

    async def keep(keeper: Keeper) -> None:
        words = await keeper.run()
        if words is not None:
            refusals.append(BadRequest(f"the {keeper.child.name} refused to start: {words}"))
            stop.set()

    running: list[tuple[Keeper, asyncio.Task[None]]] = []
    async with asyncio.TaskGroup() as group, background(stop.wait()) as stopping:
        for keeper in foundation:
            running.append((keeper, group.create_task(keep(keeper))))
            async with background(keeper.serving.wait()) as serving:
                await _first({serving, stopping}, PATIENCE)
        if not stop.is_set():
            running += [(keeper, group.create_task(keep(keeper))) for keeper in others]
        announcing = group.create_task(announce())
        await stopping
        announcing.cancel()
        for keeper, task in reversed(running):
            keeper.stop.set()
            await task
    if refusals:
        raise refusals[0]


async def _first(tasks: set[asyncio.Task[None]], within: timedelta) -> None:
    await asyncio.wait(tasks, timeout=within.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
