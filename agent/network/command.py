"""A command of the machine, such as `nft`, run to its end within a limit; what came of it is a value and no error."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process, SubprocessStreamProtocol
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

# What shells say of the same.
_NOT_STARTED, _STOPPED = 127, 124
# Seconds: what hangs in the kernel dies when that lets go of it.
_DIES_WITHIN = 1.0
# Bytes of its output that are held before they are taken.
_HELD = 1 << 16


class Failure(Enum):
    """Why a command has no code of its own."""

    NOT_THERE = auto()
    NOT_STARTED = auto()
    TOO_LONG = auto()


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` is 0 where all went well; `complaint` is what it said of errors, or a sentence on its `failure`."""

    code: int
    output: str
    complaint: str
    failure: Failure | None = None


async def run(command: Sequence[str], *, limit: float, given: str = "") -> Ended:
    """`given` is its standard input. After `limit` seconds it is killed with all that it has started, as when whoever
    waits is cancelled; what left its session, or stays when it has ended, is not waited for."""
    starting = asyncio.ensure_future(_start(command, PIPE if given else DEVNULL))
    try:
        transport, process = await asyncio.shield(starting)
    except OSError as error:
        failure = Failure.NOT_THERE if isinstance(error, FileNotFoundError) else Failure.NOT_STARTED
        return Ended(_NOT_STARTED, "", f"{command[0]} cannot be started: {error.strerror}", failure)
    except asyncio.CancelledError:
        # A start that is cancelled waits for all that holds the pipes.
        with suppress(OSError):
            await _end(*await starting)
        raise
    try:
        async with asyncio.timeout(limit):
            output, complaint = await process.communicate(given.encode() if given else None)
    except TimeoutError:
        return Ended(_STOPPED, "", f"{command[0]} took longer than {limit:g} s", Failure.TOO_LONG)
    finally:
        await _end(transport, process)
    return Ended(process.returncode or 0, output.decode(errors="replace"), complaint.decode(errors="replace"))


async def _start(command: Sequence[str], source: int) -> tuple[asyncio.SubprocessTransport, Process]:
    """As asyncio's own, which does not tell the transport."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(_HELD, loop), *command, stdin=source, stdout=PIPE, stderr=PIPE,
        start_new_session=True,
    )  # fmt: skip
    return transport, Process(transport, protocol, loop)


async def _end(transport: asyncio.SubprocessTransport, process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    # A process counts as ended when its pipes are closed, and others may hold their other ends.
    for number in (0, 1, 2):
        pipe = transport.get_pipe_transport(number)
        if pipe is not None:
            pipe.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_DIES_WITHIN):
            await process.wait()
