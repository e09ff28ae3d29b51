"""The kernel's word on the processes of containers: that one has ended is known here, whatever the engine does."""

import asyncio
import os
from pathlib import Path
from typing import Protocol


class Processes(Protocol):
    async def until_ended(self, pid: int, container_id: str) -> bool:
        """False, at once, when that is no process of the container, or one that cannot be watched from here."""
        ...


class KernelProcesses:
    async def until_ended(self, pid: int, container_id: str) -> bool:
        try:
            # From here on the number may become another's, and this does not.
            watched = os.pidfd_open(pid)
        except OSError:
            return False
        try:
            if container_id not in Path(f"/proc/{pid}/cgroup").read_text():
                return False
            await _ended(watched)
        except OSError:
            return False
        finally:
            os.close(watched)
        return True


async def _ended(watched: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(watched, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(watched)
