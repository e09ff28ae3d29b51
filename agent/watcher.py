"""Follows the engine: its events wake, a full listing now and then corrects. Tells the runner what it sees.

Also takes away what no task of this node needs any more: stray containers and networks, and only its own.
"""

from collections.abc import Iterable
from contextlib import aclosing
from datetime import timedelta

from agent.engine.port import Engine, EngineEvent, News
from agent.exits import exit_seen
from agent.runner import Runner
from agent.task.events import BecameHealthy, BecameUnhealthy, Event, Exited, Vanished
from agent.task.facts import Health, ListedContainer
from agent.task.listing import Look, strays, unlike
from agent.task.names import network_id_of
from agent.task.run import Phase, TaskRun
from swarmpy.clock import Clock
from swarmpy.errors import Conflict, SwarmpyError
from swarmpy.logs import logger
from swarmpy.together import together

log = logger("watcher")

FIRST_PAUSE = timedelta(milliseconds=500)
LONGEST_PAUSE = timedelta(seconds=5)


class Watcher:
    def __init__(self, engine: Engine, clock: Clock, node_id: str, runner: Runner, relist_every: timedelta) -> None:
        self._engine = engine
        self._clock = clock
        self._node_id = node_id
        self._runner = runner
        self._relist_every = relist_every
        self._exit_codes: dict[str, int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        await together(self._follow_events(), self._relist())

    async def _follow_events(self) -> None:
        pause, away = FIRST_PAUSE, False
        while True:
            try:
                async with aclosing(self._engine.events(self._node_id)) as events:
                    async for event in events:
                        pause = FIRST_PAUSE
                        if event is None:
                            away = self._back(away)
                            await self._correct()
                        else:
                            self._hear(event)
            except SwarmpyError as error:
                if not away:
                    log.warning("engine.away", error=str(error))
                away = True
                self._runner.note_trouble(str(error))
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _back(self, was_away: bool) -> bool:
        if was_away:
            log.info("engine.back")
        self._runner.note_trouble("")
        self._runner.forget_networks()
        return False

    async def _relist(self) -> None:
        failed = ""
        while True:
            await together(self._clock.sleep(self._relist_every), self._runner.look_again.wait())
            self._runner.look_again.clear()
            try:
                await self._correct()
                if failed:
                    self._runner.note_trouble("")
                failed = ""
            except SwarmpyError as error:
                if failed != str(error):
                    log.warning("engine.listing_failed", error=str(error))
                failed = str(error)
                self._runner.note_trouble(failed)

    # Events.

    def _hear(self, event: EngineEvent) -> None:
        run = self._runner.run_of(event.task_id)
        if run is None or run.container_id != event.container_id:
            return
        match event.news:
            case News.HEALTHY:
                self._runner.feed(run.id, BecameHealthy())
            case News.UNHEALTHY:
                self._runner.work.begin("", self._look_at_health(run))
            case News.DIED if run.phase is Phase.STOPPING:
                self._runner.feed(run.id, Exited(event.exit_code, alone=self._runner.is_alone))
            case News.DIED:
                self._exit_codes[event.container_id] = event.exit_code
                self._runner.work.begin("", self._look_at_exit(run, event.exit_code))
            case News.DESTROYED:
                self._runner.feed(run.id, self._destroyed(run, event.container_id))

    def _destroyed(self, run: TaskRun, container_id: str) -> Event:
        """A removal by force kills first: then the exit has been heard of, and is still being looked at."""
        code = self._exit_codes.pop(container_id, None)
        if code is not None and Phase.STARTING <= run.phase <= Phase.STOPPING:
            return Exited(code, removed=True, alone=self._runner.is_alone)
        return Vanished()

    async def _look_at_exit(self, run: TaskRun, code: int | None = None) -> None:
        """Why it ended, as the engine has it; the event knows only the code."""
        if run.container_id is None:
            return
        try:
            event = await exit_seen(self._engine, run.container_id, alone=self._runner.is_alone, code=code)
        except SwarmpyError:
            return  # the next listing shows it
        finally:
            self._exit_codes.pop(run.container_id, None)
        self._feed_if_same_container(run, event)

    async def _look_at_health(self, run: TaskRun) -> None:
        """The last words of the health check."""
        if run.container_id is None:
            return
        try:
            facts = await self._engine.inspect(run.container_id)
        except SwarmpyError:
            return
        if facts.health is Health.UNHEALTHY:
            self._feed_if_same_container(run, BecameUnhealthy(facts.health_output))

    def _feed_if_same_container(self, run: TaskRun, event: Event | None) -> None:
        now = self._runner.run_of(run.id)
        if event is not None and now is not None and now.container_id == run.container_id:
            self._runner.feed(run.id, event)

    # Listings.

    async def _correct(self) -> None:
        """Compare everything with the engine's own list."""
        before = dict(self._runner.runs)
        found = await self._engine.containers(self._node_id)
        self._runner.see_addresses(found)
        # What has moved while the list was made is not compared: the list is older.
        steady = {id: run for id, run in before.items() if self._runner.runs.get(id) is run}
        for task_id, look in tuple(unlike(steady, found)):
            self._correct_one(steady[task_id], look)
        if self._runner.knows_everything:
            await self._remove_strays(strays(self._runner.runs, found))
            await self._remove_networks()

    def _correct_one(self, run: TaskRun, look: Look) -> None:
        match look:
            case Look.GONE:
                self._runner.feed(run.id, Vanished())
            case Look.EXITED:
                self._runner.work.begin("", self._look_at_exit(run))
            case Look.HEALTHY:
                self._runner.feed(run.id, BecameHealthy())
            case Look.UNHEALTHY:
                self._runner.work.begin("", self._look_at_health(run))
            case Look.REVIVED:
                log.warning("container.started_by_hand", task=run.id)
                self._runner.work.begin("", self._kill(run))

    async def _kill(self, run: TaskRun) -> None:
        """A finished task runs again by somebody's hand: as a second replica it would do harm."""
        if run.container_id is None:
            return
        try:
            await self._engine.signal(run.container_id, "SIGKILL")
        except SwarmpyError as error:
            log.warning("container.not_killed", task=run.id, error=str(error))

    async def _remove_strays(self, found: Iterable[ListedContainer]) -> None:
        for container in found:
            log.info("container.stray_removed", container=container.id[:12], task=container.task_id)
            await self._engine.remove(container.id)

    async def _remove_networks(self) -> None:
        for name in await self._engine.networks(self._node_id):
            id = network_id_of(name)
            if id is None or self._runner.needs_network(id):
                continue
            try:
                await self._runner.remove_network(id, name)
            except Conflict as error:
                # Somebody's own container sits in it: it goes when that has gone.
                log.info("network.kept", network=name, reason=str(error))
                continue
            log.info("network.removed", network=name)
