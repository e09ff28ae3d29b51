"""Work that is under way in the background, by owner. An error that no part of it expected is told, never lost."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Work:
    def __init__(self) -> None:
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}
        self._crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, owner: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.setdefault(owner, set()).add(task)
        task.add_done_callback(lambda done: self._ended(owner, done))

    def end(self, owner: str) -> None:
        """Cancel what is under way for this owner, but not the work that asks for it."""
        for task in self._tasks.get(owner, set()) - {asyncio.current_task()}:
            task.cancel()

    async def wait_until_crashed(self) -> None:
        """Raises what the crashed work raised."""
        await asyncio.shield(self._crashed)

    async def close(self) -> None:
        tasks = [task for owned in self._tasks.values() for task in owned]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, owner: str, task: asyncio.Task[None]) -> None:
        owned = self._tasks[owner]
        owned.discard(task)
        if not owned:
            del self._tasks[owner]
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._crashed.done():
            self._crashed.set_exception(error)
