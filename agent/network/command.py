"""A command of the machine, such as `nft`, run to its end within a limit; what came of it is a value and no error."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

# What shells say of the same.
_NOT_STARTED, _STOPPED = 127, 124


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
    """`given` is its standard input. After `limit` seconds it is killed, as when whoever waits is cancelled."""
    pipe = asyncio.subprocess.PIPE
    source = pipe if given else asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=source, stdout=pipe, stderr=pipe)
    except OSError as error:
        failure = Failure.NOT_THERE if isinstance(error, FileNotFoundError) else Failure.NOT_STARTED
        return Ended(_NOT_STARTED, "", f"{command[0]} cannot be started: {error.strerror}", failure)
    try:
        async with asyncio.timeout(limit):
            output, complaint = await process.communicate(given.encode() if given else None)
    except TimeoutError:
        return Ended(_STOPPED, "", f"{command[0]} took longer than {limit:.0f} s", Failure.TOO_LONG)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return Ended(process.returncode or 0, output.decode(errors="replace"), complaint.decode(errors="replace"))
