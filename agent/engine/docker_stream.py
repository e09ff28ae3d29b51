"""A blocking stream of the engine, read by its own thread, for an asyncio reader. Knows nothing of what flows."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

T = TypeVar("T", covariant=True)
U = TypeVar("U")

# Items that wait for their reader; then the thread waits, and with it the engine.
DEPTH = 64


class Cancellable(Protocol[T]):
    """Ends its iteration when closed from another thread."""

    def __iter__(self) -> Iterator[T]: ...
    def close(self) -> None: ...


class _End:
    """Last in the queue."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


class Reader(Generic[U]):
    """Gives what the stream gives, until its end; the error it ended with is raised at its place. Always close it."""

    def __init__(self, stream: Cancellable[U]) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[U | _End] = asyncio.Queue(DEPTH)
        self._thread: threading.Thread | None = None
        self._ended = False

    def __aiter__(self) -> "Reader[U]":
        if self._thread is None:
            self._thread = threading.Thread(target=self._pump, name="engine-stream", daemon=True)
            self._thread.start()
        return self

    async def __anext__(self) -> U:
        item = await self._queue.get()
        if not isinstance(item, _End):
            return item
        self._ended = True
        if item.error is not None:
            raise item.error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if self._ended:
            return
        self._stream.close()
        # The thread may wait for room in the queue: make some until it has said its last.
        while self._thread is not None and not self._ended:
            self._ended = isinstance(await self._queue.get(), _End)

    def _pump(self) -> None:
        failure: Exception | None = None
        try:
            for item in self._stream:
                self._put(item)
        except Exception as error:
            failure = error
        self._put(_End(failure))

    def _put(self, item: U | _End) -> None:
        putting = self._queue.put(item)
        try:
            waiting = asyncio.run_coroutine_threadsafe(putting, self._loop)
        except RuntimeError:
            putting.close()  # the loop has ended before its reader: nobody listens any more
            return
        waiting.result()
