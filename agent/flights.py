"""Work that several ask for at the same time and that is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable


class Flights:
    """One flight per key; those who come while it is under way share its outcome. Keeps no outcome."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[None]] = {}

    async def share(self, key: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        """Raises what the work raises. One who is cancelled leaves the others their flight."""
        flight = self._under_way.get(key)
        if flight is None:
            flight = asyncio.ensure_future(self._fly(key, work))
            # An error that nobody waits for any more is nobody's.
            flight.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._under_way[key] = flight
        await asyncio.shield(flight)

    async def wait_until_over(self) -> None:
        """Until none is under way, however they end."""
        while flights := list(self._under_way.values()):
            await asyncio.wait(flights)

    async def _fly(self, key: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            del self._under_way[key]

    async def close(self) -> None:
        flights = list(self._under_way.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
