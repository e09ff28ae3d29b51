"""The agent's word with a manager: registration, assignments down, reports up, beats; again and again.

A gap or a lost connection means a new session, never a stopped task. Owns what has not been told yet.
Nothing on the event loop waits for the engine or the disk, so nothing keeps a beat from being sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from pydantic import ValidationError

from agent.channel import Channel, ChannelClosed, Connect
from agent.place import Place
from agent.runner import Runner
from agent.streams import LogStreams
from agent.task.assign import AssignedSet, amended, from_full
from swarmpy.clock import Clock, within
from swarmpy.errors import BadRequest, Conflict, Forbidden, NotTheLeader, SwarmpyError, TimedOut, Unavailable
from swarmpy.idgen import jitter
from swarmpy.logs import logger
from swarmpy.models.node import NodeDescription
from swarmpy.settings import AgentSettings
from swarmpy.together import together
from swarmpy.wire import (
    LONGEST_NOTE,
    MOST_NOTES,
    Applied,
    Bearings,
    Beat,
    Beaten,
    Changes,
    CloseStream,
    Described,
    FileAssignment,
    Files,
    FromAgent,
    FromManager,
    Full,
    Hello,
    Mapped,
    OpenLogs,
    Refused,
    Reports,
    TaskReport,
    Welcome,
    frames_of,
    from_manager,
)

log = logger("session")


@dataclass(frozen=True, slots=True)
class Portrait:
    """What the node is: what it tells Docker's clients, too, names of the volumes that tasks must be with, and of its
    network what it can, which subnets are others', and what does not work."""

    description: NodeDescription
    volumes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    wireguard_key: str = ""


Describe = Callable[[], Awaitable[Portrait]]

PATH = "/agent/session"
FIRST_PAUSE = timedelta(milliseconds=100)
LONGEST_PAUSE = timedelta(seconds=1)
ANSWER_WITHIN = timedelta(seconds=3)
# Reports of one change come close together: wait this long for company after the first.
GATHER = timedelta(milliseconds=20)
DESCRIBE_EVERY = timedelta(seconds=20)
# A manager that answers no beat for as many of them, and at least this long, is gone: early enough to find the next
# leader while that one does not count this node's silence yet.
SILENT_BEATS = 3
SILENCE = 3.0
# Sentences of what was mended, until a manager hears of them.
MOST_REPAIRS_KEPT = 10 * MOST_NOTES


class Session:
    """`run` keeps one session at a time with one of the managers.

    `on_assigned` hears the revision of each set that the runner has taken over; whoever shows its network map answers
    with `note_mapped`. With nobody to show maps, each counts as shown at once.
    """

    def __init__(
        self,
        settings: AgentSettings,
        clock: Clock,
        runner: Runner,
        describe: Describe,
        connect: Connect,
        streams: LogStreams,
        place: Place,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._runner = runner
        self._describe = describe
        self._connect = connect
        self._streams = streams
        self._place = place
        self._portrait: Portrait | None = None
        self._untold: dict[str, TaskReport] = {}
        self._something_to_tell = asyncio.Event()
        # Revisions of this session: of its first set, its latest, and of the map that the node shows.
        self._first: int | None = None
        self._latest = self._mapped = 0
        self._map_shown = asyncio.Event()
        self._repaired: list[str] = []
        self.on_assigned: Callable[[int], None] = self.note_mapped
        self._id = ""
        self._beat_every = 1.0
        self._heard_at = 0.0
        self._welcomed = False

    def report(self, report: TaskReport) -> None:
        """To be told soon; of one task only the latest is."""
        self._untold[report.task_id] = report
        self._something_to_tell.set()

    def note_mapped(self, revision: int) -> None:
        """The node shows the network map of that set; the manager is told at once. A revision that is none of this
        session's sets is not told: the manager waits for what it said itself."""
        if self._first is not None and max(self._first, self._mapped + 1) <= revision <= self._latest:
            self._mapped = revision
            self._map_shown.set()

    def note_repairs(self, sentences: Sequence[str]) -> None:
        """What of the node's networks others had changed, and is mended; the manager is told."""
        self._repaired.extend(sentence[:LONGEST_NOTE] for sentence in sentences)
        # Without a manager they add up; the log has them all.
        del self._repaired[MOST_REPAIRS_KEPT:]
        self._runner.node_changed.set()

    async def run(self) -> None:
        """Until cancelled. Raises `BadRequest` when the manager will never have this agent, `Forbidden` when the node
        is no part of the cluster any more."""
        tried = 0
        while True:
            address = self._place.next_manager()
            self._welcomed = False
            try:
                await self._one_session(address)
            except Conflict as gap:
                log.info("session.renewed", reason=str(gap))
            except NotTheLeader as error:
                self._place.go_to(error.leader)
                self._log_loss(address, error, first=tried == 0)
            except (Unavailable, TimedOut, ChannelClosed, TimeoutError) as error:
                self._log_loss(address, error, first=tried == 0)
            finally:
                self._runner.attend(False)
                self._place.set_ready(False)
            tried = 0 if self._welcomed else tried + 1
            await self._clock.sleep(pause_after(tried, len(self._place.managers)) * (1 + 0.2 * jitter()))

    def _log_loss(self, address: str, error: Exception, *, first: bool) -> None:
        if self._welcomed or first:
            log.warning("manager.away", manager=address, error=str(error) or "no answer in time")

    async def _one_session(self, address: str) -> None:
        channel = await self._connect(address, PATH)
        try:
            await self._register(channel)
            self._welcomed = True
            self._heard_at = self._clock.monotonic()
            self._runner.attend(True)
            self._place.set_ready(True)
            log.info("session.opened", manager=address, session=self._id)
            await together(
                self._listen(channel, address),
                self._beat(channel),
                self._tell(channel),
                self._tell_maps(channel),
                self._describe_again(channel),
            )
        finally:
            await channel.close()

    async def _register(self, channel: Channel) -> None:
        # An engine that is slow or away must not keep a known node from its manager.
        portrait = self._portrait or await self._describe()
        # Hello tells the truth about all tasks: what was to be told before is in it.
        now, *later = frames_of(self._runner.reports())
        self._untold = {report.task_id: report for part in later for report in part}
        if later:
            self._something_to_tell.set()
        hello = Hello(
            address=self._settings.address,
            description=portrait.description,
            reports=now,
            volumes=portrait.volumes,
            features=portrait.features,
            routes=portrait.routes,
            limits=portrait.limits,
            wireguard_key=portrait.wireguard_key,
        )
        await self._send(channel, hello)
        answer = await within(self._clock, ANSWER_WITHIN, _receive(channel))
        match answer:
            case Welcome():
                self._id, self._beat_every = answer.session_id, answer.beat_every
                self._first, self._latest, self._mapped = None, 0, 0
                self._map_shown.clear()
                self._portrait = portrait
            case Refused():
                raise self._refusal(answer)
            case _:
                raise Unavailable(f"the manager answered hello with {answer.type}")

    async def _listen(self, channel: Channel, address: str) -> None:
        ahead: tuple[FileAssignment, ...] = ()
        while True:
            message = await _receive(channel)
            self._heard_at = self._clock.monotonic()
            if ahead and isinstance(message, Full | Changes):
                message, ahead = message.model_copy(update={"files": (*ahead, *message.files)}), ()
            match message:
                case Files():
                    ahead += message.files
                case Full():
                    self._first = message.revision if self._first is None else self._first
                    await self._apply(channel, from_full(message), full=True)
                case Changes():
                    await self._apply(channel, amended(self._runner.assigned, message), full=False)
                case Beaten():
                    self._beat_every = message.beat_every
                case OpenLogs():
                    self._streams.open(address, message)
                case CloseStream():
                    self._streams.close(message.stream_id)
                case Bearings():
                    self._place.learn(message.role, message.managers)
                case Refused():
                    raise self._refusal(message)

    async def _apply(self, channel: Channel, assigned: AssignedSet, *, full: bool) -> None:
        self._latest = assigned.revision
        self._runner.apply(assigned, full=full)
        await self._send(channel, Applied(session_id=self._id, revision=assigned.revision))
        self.on_assigned(assigned.revision)

    async def _beat(self, channel: Channel) -> None:
        while True:
            await self._send(channel, Beat(session_id=self._id))
            await self._clock.sleep(timedelta(seconds=self._beat_every))
            silent = self._clock.monotonic() - self._heard_at
            if silent > max(SILENCE, SILENT_BEATS * self._beat_every):
                raise Unavailable(f"nothing was heard of the manager for {silent:.0f} s")

    async def _tell(self, channel: Channel) -> None:
        while True:
            await self._something_to_tell.wait()
            await self._clock.sleep(GATHER)
            self._something_to_tell.clear()
            reports, self._untold = tuple(self._untold.values()), {}
            for part in frames_of(reports) if reports else ():
                await self._send(channel, Reports(session_id=self._id, reports=part))

    async def _tell_maps(self, channel: Channel) -> None:
        while True:
            await self._map_shown.wait()
            self._map_shown.clear()
            await self._send(channel, Mapped(session_id=self._id, revision=self._mapped))

    async def _describe_again(self, channel: Channel) -> None:
        """The manager is told of a changed description, and at once of an engine that is away or back."""
        told = ""
        while True:
            self._runner.node_changed.clear()
            portrait, trouble = self._portrait, self._runner.trouble
            if not trouble:
                with suppress(SwarmpyError):
                    portrait = await self._describe()
            repaired = tuple(self._repaired[:MOST_NOTES])
            if portrait is not None and (repaired or (portrait, trouble) != (self._portrait, told)):
                self._portrait, told = portrait, trouble
                news = Described(
                    session_id=self._id,
                    description=portrait.description,
                    trouble=trouble,
                    volumes=portrait.volumes,
                    features=portrait.features,
                    routes=portrait.routes,
                    limits=portrait.limits,
                    wireguard_key=portrait.wireguard_key,
                    repaired=repaired,
                )
                await self._send(channel, news)
                del self._repaired[: len(repaired)]
                if self._repaired:
                    continue
            with suppress(TimeoutError):
                await within(self._clock, DESCRIBE_EVERY, self._runner.node_changed.wait())

    def _refusal(self, message: Refused) -> SwarmpyError:
        if message.removed:
            self._place.forget()
            return Forbidden(message.reason)
        if message.leader:
            return NotTheLeader(message.reason, message.leader)
        if message.retry:
            return Unavailable(message.reason)
        return BadRequest(f"the manager refuses this agent: {message.reason}")

    async def _send(self, channel: Channel, message: FromAgent) -> None:
        await channel.send(message.model_dump_json())


def pause_after(tried: int, managers: int) -> timedelta:
    """Before the next attempt, `tried` having failed in a row. All managers are asked soon, one after the other: one
    of them leads, and while it does not hear of this node, the node's silence counts."""
    rounds, turn = divmod(tried, max(1, managers))
    return FIRST_PAUSE if turn else min(FIRST_PAUSE * (1 << min(rounds, 10)), LONGEST_PAUSE)


async def _receive(channel: Channel) -> FromManager:
    frame = await channel.receive()
    try:
        return from_manager.validate_json(frame)
    except ValidationError as error:
        raise Unavailable(f"the manager sent what this agent does not understand: {error.errors()[0]['msg']}") from None
