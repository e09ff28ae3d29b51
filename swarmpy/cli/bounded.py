"""Reading what people name: never more than it may hold, and no wait in silence.

What cannot be read raises `OSError`; what holds too much, or is no text, `ValueError` with the reason.
"""

import io
import os
import select
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import click

from swarmpy.errors import BadRequest

STDIN = "-"
LARGEST_TEXT = 16 << 20
# By section of a stack file. The cluster takes no more either.
LARGEST_DATA = {"secrets": 512_000, "configs": 1_024_000}
# A pipe that nobody writes into yet is nothing to speak of for so long.
_PATIENCE_MS = 2000


def named(file: str) -> str:
    return "standard input" if file == STDIN else file


def read_text(file: str | Path, largest: int = LARGEST_TEXT) -> str:
    """UTF-8, with any ends of lines."""
    data = read_bytes(file, largest)
    try:
        return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8").read()
    except UnicodeDecodeError:
        raise ValueError("is no UTF-8 text") from None


def _told(text: str) -> None:
    click.echo(f"swarmpy: {text}", err=True)


def read_bytes(
    file: str | Path, largest: int, *, patience_ms: int = _PATIENCE_MS, say: Callable[[str], None] = _told
) -> bytes:
    """Of the file, of a pipe or a device as well; `-` is standard input. Of a pipe that nobody writes into for
    `patience_ms` it is said what is waited for."""
    if file == STDIN:
        data = sys.stdin.buffer.read(largest + 1)
    else:
        with os.fdopen(_opened(file, patience_ms, say), "rb") as stream:
            data = stream.read(largest + 1)
    if len(data) > largest:
        raise ValueError(f"holds more than {_size(largest)}, and no more is read")
    return data


def check_standard_input(*files: str) -> None:
    """It can be read once only."""
    if files.count(STDIN) > 1:
        raise BadRequest(f"standard input ({STDIN}) is given {files.count(STDIN)} times, and can be read only once")


def _opened(file: str | Path, patience_ms: int, say: Callable[[str], None]) -> int:
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(patience_ms):
                say(f"{file} is a pipe: waiting until someone writes into it")
                poll.poll()
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count} bytes"
