"""Being asked to stop while a command waits. CI systems do it with SIGTERM, people with Ctrl-C; both mean the same."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM raises `KeyboardInterrupt` within."""
    if threading.current_thread() is not threading.main_thread():
        # Python takes no handler there, nor does a signal interrupt it.
        yield
        return
    former = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
