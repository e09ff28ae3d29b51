"""What the agent must know after a restart, on disk: its last assignment, what became of each task,
and which addresses rest.

Registry credentials, secrets and configs are left out; a task that still needs them waits for the manager's word.
"""

import asyncio
import os
import threading
from collections.abc import Iterable, Mapping
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path

from pydantic import ValidationError

from agent.task.assign import AssignedSet
from agent.task.files import wanted_files
from agent.task.records import TaskRecord
from swarmpy.clock import Clock
from swarmpy.logs import logger
from swarmpy.models.base import Document
from swarmpy.network_map import IndexedMap, NetworkMap
from swarmpy.wire import NetworkAssignment, TaskAssignment

log = logger("cache")

FORMAT = 1
FILE_NAME = "agent.json"
# One change seldom comes alone.
GATHER = timedelta(milliseconds=50)


class Memory(Document):
    """`without_credentials` names the tasks that need what was left out before their container is there. `volumes` are
    those that tasks must be with, as the tasks said. `resting` are addresses that were given back a moment ago, each
    with the moment by the clock that counts from the machine's start; None where none were kept.
    """

    format: int = FORMAT
    node_id: str
    tasks: tuple[TaskAssignment, ...] = ()
    networks: tuple[NetworkAssignment, ...] = ()
    map: NetworkMap = NetworkMap()
    records: tuple[TaskRecord, ...] = ()
    without_credentials: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    resting: dict[IPv4Address, float] | None = None

    def assigned(self) -> AssignedSet:
        """What can be taken up without a manager. Revision 0: whatever comes next must be a full set."""
        begun = {record.task_id for record in self.records if record.container_id or record.status.state.is_finished}
        waiting = set(self.without_credentials) - begun
        tasks = {task.id: task for task in self.tasks if task.id not in waiting}
        networks = {network.id: network for network in self.networks}
        return AssignedSet(0, tasks, networks, map=IndexedMap.of(self.map))


def memory_of(
    node_id: str,
    assigned: AssignedSet,
    records: Iterable[TaskRecord],
    volumes: Iterable[str] = (),
    resting: Mapping[IPv4Address, float] | None = None,
) -> Memory:
    return Memory(
        node_id=node_id,
        tasks=tuple(task.model_copy(update={"pull_auth": None}) for task in assigned.tasks.values()),
        networks=tuple(assigned.networks.values()),
        map=assigned.map.as_document(),
        records=tuple(records),
        without_credentials=tuple(task.id for task in assigned.tasks.values() if task.pull_auth or wanted_files(task)),
        volumes=tuple(sorted(volumes)),
        resting=None if resting is None else dict(resting),
    )


class Cache:
    """One file, written whole beside the old one and put in its place; readable by its owner alone."""

    def __init__(self, folder: Path, node_id: str, clock: Clock) -> None:
        self._path = folder / FILE_NAME
        self._node_id = node_id
        self._clock = clock
        self._stale = asyncio.Event()
        self._writing = threading.Lock()
        self._takes = True
        self._asked = 0
        self._written = 0

    def load(self) -> Memory:
        """Nothing, when there is no file, or it is torn, or of another node: then the manager tells everything."""
        nothing = Memory(node_id=self._node_id)
        try:
            memory = Memory.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return nothing
        except (OSError, ValidationError) as error:
            log.warning("cache.unreadable", path=str(self._path), error=str(error).splitlines()[0])
            return nothing
        return memory if memory.node_id == self._node_id and memory.format == FORMAT else nothing

    def mark_stale(self) -> None:
        self._stale.set()

    async def save(self, memory: Memory) -> bool:
        """On disk when this returns; False, and a word in the log, when the disk does not take it. A save that is
        cancelled may go on in its thread, but never over a later one."""
        self._asked += 1
        try:
            await asyncio.to_thread(self._write, memory, self._asked)
        except OSError as error:
            if self._takes:
                log.error("cache.not_written", path=str(self._path), error=error.strerror or str(error))
            self._takes = False
            return False
        if not self._takes:
            log.info("cache.written_again", path=str(self._path))
        self._takes = True
        return True

    async def wait_until_stale(self) -> None:
        """Something has changed, and what belongs to it has had time to change too."""
        await self._stale.wait()
        await self._clock.sleep(GATHER)
        self._stale.clear()

    def _write(self, memory: Memory, number: int) -> None:
        with self._writing:
            if number < self._written:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside = self._path.with_suffix(".new")
            beside.unlink(missing_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(memory.model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            self._written = number
