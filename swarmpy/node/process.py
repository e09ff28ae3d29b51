"""One running process of the node: started so that it cannot outlive us, its output passed on line by line."""

import asyncio
import ctypes
import os
import signal
from collections import deque
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

PR_SET_PDEATHSIG = 1
# A longer line is passed on in pieces.
LINE_LIMIT = 64 * 1024
# Loaded here, for between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True)

Say = Callable[[str], None]
NO_VARIABLES: Mapping[str, str] = {}
# etcd obeys ETCD_*, which would overrule our command line; secrets go by file; the rest is how a supervisor of ours
# speaks with us alone.
NOT_INHERITED = ("ETCD_", "SWARMPY_", "NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_")


class Process:
    """A child process. `last_line` is the latest that it said; `ended` is done when it has ended and all it said is
    passed on, and gives its exit code, negative for a signal."""

    def __init__(self, process: asyncio.subprocess.Process, say: Say) -> None:
        self._process = process
        self._lines: deque[str] = deque(maxlen=1)
        self.ended = asyncio.create_task(self._follow(say))

    @classmethod
    async def start(
        cls,
        command: tuple[str, ...],
        directory: Path,
        say: Say,
        variables: Mapping[str, str] = NO_VARIABLES,
        descriptors: Collection[int] = (),
    ) -> "Process":
        """With these variables beside the usual ones, and these descriptors of ours, under the same numbers. Raises
        `OSError` when the program cannot be run."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env={**environment(os.environ), **variables},
            pass_fds=tuple(descriptors),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_LIMIT,
            # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the children in order.
            start_new_session=True,
            preexec_fn=_dying_with(os.getpid()),
        )
        return cls(process, say)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def last_line(self) -> str:
        return self._lines[0] if self._lines else ""

    def signal(self, number: signal.Signals) -> None:
        """Send it; one that has ended already is left in peace."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def _follow(self, say: Say) -> int:
        # Side by side: when its output can no longer be passed on, that must show at once.
        code, _ = await asyncio.gather(self._process.wait(), self._pass_on(say))
        return code

    async def _pass_on(self, say: Say) -> None:
        stream = self._process.stdout
        assert stream is not None
        while line := await _next_line(stream):
            text = line.decode(errors="replace").rstrip()
            if text:
                self._lines.append(text)
                say(text)


async def _next_line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as rest:
        return rest.partial
    except asyncio.LimitOverrunError as overrun:
        return await stream.readexactly(overrun.consumed)


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What children inherit."""
    return {name: value for name, value in ours.items() if not name.startswith(NOT_INHERITED)}


def _dying_with(parent: int) -> Callable[[], None]:
    """Runs in the child before exec: the kernel kills it when the supervisor is gone, however that ended."""

    def arrange() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
