"""A whole agent over an engine in memory, to which a test does what it does to a `ScriptedAgent`, by the same words."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from support.cluster import Cluster
from support.real_agent import RealAgent

from agent.cache import FILE_NAME
from swarmpy.states import TaskState

_ENDS = {TaskState.COMPLETE: 0, TaskState.FAILED: 1}


class AtOnce(ThreadPoolExecutor):
    """Does on the event loop what was meant for a thread, so that a history can be told again."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


class EngineAgent(RealAgent):
    def __init__(self, cluster: Cluster, name: str, folder: Path) -> None:
        super().__init__(cluster, name, folder)
        self.node_id = name
        self._memory = folder / name / FILE_NAME

    @property
    def is_up(self) -> bool:
        return self._task is not None

    @property
    def running(self) -> set[str]:
        """Ids of the tasks whose containers are up."""
        return {facts.task_id for facts in self.engine.running()}

    async def crash(self) -> None:
        """kill -9: what it would have written down while it ended is lost."""
        memory = self._memory.read_bytes() if self._memory.exists() else None
        await self._end()
        if memory is None:
            self._memory.unlink(missing_ok=True)
        else:
            self._memory.write_bytes(memory)

    async def reboot(self) -> None:
        """The machine goes: its disk and its containers are there when it comes back, and nothing runs."""
        await self.crash()
        for facts in self.engine.running():
            self.engine.crash(facts.id)

    def reconnect(self) -> None:
        """The network is back; the old connections are not."""
        super().reconnect()
        for channel in self._channels:
            channel.drop()

    def finish(self, task_id: str, state: TaskState) -> None:
        """The container ends by itself."""
        facts = next(facts for facts in self.engine.running() if facts.task_id == task_id)
        self.engine.crash(facts.id, _ENDS[state])

    def sicken(self, task_id: str) -> None:
        """The container's health check fails."""
        facts = next(facts for facts in self.engine.running() if facts.task_id == task_id)
        self.engine.turn_unhealthy(facts.id, "no answer")

    def check_alive(self) -> None:
        """An agent that crashed raises here what it died of."""
        if self._task is not None and self._task.done():
            self._task.result()
            raise AssertionError(f"agent {self.node_id} ended by itself")
