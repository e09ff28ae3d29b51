"""The agents' sessions with the leader: registration, beats, assignments down, reports up.

Owns who is connected and who was heard when. Does not judge silence (the orchestrator does), nor decide what a node
runs.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from manager.ca.sealing import Sealer
from manager.dispatcher.channel import Channel, ChannelClosed
from manager.dispatcher.maps import Maps
from manager.dispatcher.news import REMOVED, News
from manager.dispatcher.registration import check_description, check_routes, described, registered
from manager.dispatcher.report_writer import ReportWriter
from manager.dispatcher.session import Session, Source
from manager.ledger import Ledger
from manager.node_grace import grace_of
from manager.objects import Node
from manager.store.codec import put
from manager.store.port import Unit
from manager.writing import write
from swarmpy.clock import Clock, within
from swarmpy.errors import BadRequest, Conflict, LeadershipLost, Unavailable
from swarmpy.idgen import Mint
from swarmpy.logs import logger
from swarmpy.settings import ManagerSettings
from swarmpy.together import together
from swarmpy.tokens import parse_address
from swarmpy.wire import (
    PROTOCOL,
    Applied,
    Beat,
    Beaten,
    Described,
    FromAgent,
    FromManager,
    Goodbye,
    Hello,
    Mapped,
    Refused,
    Reports,
    Welcome,
)

log = logger("dispatcher")


class _Removed(BadRequest):
    """The node has no record."""


class Sessions:
    """`reports` writes what agents say of their tasks. Only the leader serves; others send agents elsewhere."""

    # Above this many beats a second in all, each node beats slower.
    BEATS_PER_SECOND = 500
    HELLO_WITHIN = timedelta(seconds=10)

    def __init__(
        self, ledger: Ledger, clock: Clock, mint: Mint, settings: ManagerSettings, reports: ReportWriter, sealer: Sealer
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._mint = mint
        self._settings = settings
        self._reports = reports
        self._sealer = sealer
        self._sessions: dict[str, Session] = {}
        self._applied: dict[str, int] = {}
        self._heard: dict[str, float] = {}
        self._maps = Maps(ledger, clock, self._sessions)
        self._news = News(ledger, self._sessions, self._maps)
        # Silence before this counts for nobody: we were not there to hear.
        self._listening_since = 0.0
        self._serving = False

    # what others ask

    def is_connected(self, node_id: str) -> bool:
        return node_id in self._sessions

    def applied_revision(self, node_id: str) -> int | None:
        return self._applied.get(node_id)

    def mapped_revision(self, node_id: str) -> int | None:
        return self._maps.mapped.get(node_id)

    def heard_at(self) -> Mapping[str, datetime]:
        """When each node was last heard in this term. Blind to steps of the wall clock."""
        return {node_id: self._at(tick) for node_id, tick in self._heard.items()}

    def listening_since(self) -> datetime:
        """From when on silence counts: since this manager leads, or last woke from a pause; not before `lead` runs."""
        return self._at(self._listening_since) if self._serving else self._clock.now()

    def silence_allowed(self) -> timedelta:
        """After this a node counts as down: three beats at least, also where beats are slow."""
        cluster = self._ledger.state.cluster
        grace = grace_of(cluster.spec if cluster else None, self._settings.node_grace)
        return max(grace, timedelta(seconds=3 * self._beat_every()))

    async def send(self, node_id: str, message: FromManager) -> None:
        """To the node's agent, now. Raises `Unavailable` when it has no session."""
        session = self._sessions.get(node_id)
        if session is None:
            raise Unavailable(f"the agent of node {self._name_of(node_id)} is not connected; see `swarmpy node ls`")
        try:
            await session.channel.send(message)
        except ChannelClosed as cause:
            raise Unavailable(f"the agent of node {self._name_of(node_id)} has just left; try again") from cause

    # the leader's part

    async def lead(self) -> None:
        """Accept agents and keep them told, until cancelled; then send all away, to find the next leader."""
        self._heard.clear()
        self._applied.clear()
        async with self._news.following():
            self._listening_since = self._clock.monotonic()
            self._serving = True
            try:
                await together(self._news.run(), self._maps.run(), self._notice_own_pauses(), self._reports.run())
            finally:
                self._serving = False
                sessions = tuple(self._sessions.values())
                self._sessions.clear()
                await asyncio.gather(*(session.channel.close() for session in sessions))

    async def _notice_own_pauses(self) -> None:
        """A manager that was stopped for a while has heard nobody: that is not the nodes' silence."""
        period = self._settings.beat_every
        last = self._clock.monotonic()
        while True:
            await self._clock.sleep(period)
            now = self._clock.monotonic()
            if now - last > 2 * period.total_seconds():
                log.warning("dispatcher.paused", seconds=round(now - last, 1))
                self._listening_since = now
            last = now

    # one agent

    async def serve(self, channel: Channel, node_id: str) -> None:
        """One connection, from its Hello to its end. `node_id` is whose certificate opened it."""
        try:
            hello = await self._let_in(channel, node_id)
            if hello is not None:
                await self._converse(Session(self._mint(), node_id, channel), hello)
        except ChannelClosed:
            pass
        except BadRequest as error:
            log.warning("session.refused", reason=str(error))
            await _refuse(channel, str(error), retry=True)
        finally:
            await channel.close()

    async def _let_in(self, channel: Channel, node_id: str) -> Hello | None:
        """The agent's hello, its node on record; None when it was refused."""
        try:
            hello = await within(self._clock, self.HELLO_WITHIN, channel.receive())
        except TimeoutError:
            await _refuse(channel, f"no hello came within {self.HELLO_WITHIN.total_seconds():g} s", retry=True)
            return None
        if not isinstance(hello, Hello):
            await _refuse(channel, "the first message must be a hello", retry=False)
            return None
        if hello.protocol != PROTOCOL:
            reason = f"this manager speaks protocol {PROTOCOL}, the agent {hello.protocol}; install the same version"
            await _refuse(channel, reason, retry=False)
            return None
        try:
            self._must_serve()
            check_description(hello.description)
            check_routes(hello.routes)
            if hello.address:
                # Other nodes will be told it.
                parse_address(hello.address, "the address of this node", 0)
            await self._register(node_id, hello)
            # The agent is about to be told everything: it gives up what that does not name.
            await self._ledger.confirm()
            self._must_serve()
        except _Removed as error:
            await channel.send(Refused(reason=str(error), retry=False, removed=True))
            return None
        except (Unavailable, Conflict) as error:
            await channel.send(Refused(reason=str(error), retry=True, leader=self._leader_elsewhere()))
            return None
        return hello

    def _must_serve(self) -> None:
        if not self._serving:
            raise LeadershipLost("this manager does not lead the cluster")

    async def _converse(self, session: Session, hello: Hello) -> None:
        old = self._sessions.get(session.node_id)
        self._sessions[session.node_id] = session
        self._hear(session, hello)
        self._maps.note_arrival(session.node_id, hello.reports)
        try:
            if old is not None:
                log.info("session.replaced", node=session.node_id)
                old.replace()
            await session.channel.send(self._welcome(session))
            self._news.orient(session)
            log.info("session.opened", node=session.node_id, hostname=hello.description.hostname)
            maps = self._maps
            source = Source(self._ledger.state, self._unseal, maps.atlas, maps.withheld, self._news.catch_up)
            telling = session.tell(source)
            await together(telling, self._listen(session), session.wait_until_replaced())
        finally:
            if self._sessions.get(session.node_id) is session:
                del self._sessions[session.node_id]
                self._maps.note_departure(session.node_id)
                log.info("session.closed", node=session.node_id)

    def _welcome(self, session: Session) -> Welcome:
        cluster = self._ledger.state.cluster
        cluster_id = cluster.id if cluster else ""
        return Welcome(session_id=session.id, cluster_id=cluster_id, beat_every=self._beat_every())

    async def _listen(self, session: Session) -> None:
        while True:
            message = await session.channel.receive()
            if isinstance(message, Hello) or message.session_id != session.id:
                raise BadRequest("the message belongs to another session")
            self._hear(session, message)
            match message:
                case Beat():
                    await session.channel.send(Beaten(beat_every=self._beat_every()))
                case Described():
                    check_description(message.description)
                    check_routes(message.routes or ())
                    await self._describe(session, message)
                case Goodbye():
                    log.info("session.ended", node=session.node_id, reason=message.reason)
                    return

    def _hear(self, session: Session, message: FromAgent) -> None:
        self._heard[session.node_id] = self._clock.monotonic()
        match message:
            case Hello() | Reports():
                self._reports.add(session.node_id, message.reports)
            case Applied():
                self._applied[session.node_id] = message.revision
            case Mapped():
                self._maps.note_mapped(session, message.revision)

    def _beat_every(self) -> float:
        return max(self._settings.beat_every.total_seconds(), len(self._sessions) / self.BEATS_PER_SECOND)

    # the node's record

    async def _register(self, node_id: str, hello: Hello) -> None:
        def decide() -> Node | None:
            known = self._known(node_id)
            if known is None:
                raise _Removed(REMOVED)
            return registered(known, hello, self._clock.now())

        await self._write_node(decide)

    async def _describe(self, session: Session, news: Described) -> None:
        node_id = session.node_id
        try:
            await self._write_node(lambda: described(self._known(node_id), news, self._clock.now()))
        except (Unavailable, Conflict) as error:
            # The term ends with the store, or others keep writing; the agent tells the next leader, in its hello.
            log.info("node.not_described", node=node_id, reason=str(error))
            await session.channel.close()

    async def _write_node(self, decide: Callable[[], Node | None]) -> None:
        def units() -> Sequence[Unit]:
            node = decide()
            return () if node is None else (Unit((put(node),)),)

        await write(self._ledger, self._clock, units)

    def _unseal(self, sealed: str) -> bytes | None:
        """Without the credential the pull may still succeed; if not, its error says more than ours could. A task that
        lacks a secret says so."""
        try:
            return self._sealer.unseal(sealed)
        except Unavailable as error:
            log.warning("secret.not_unsealed", reason=str(error))
            return None

    def _at(self, tick: float) -> datetime:
        return self._clock.now() - timedelta(seconds=self._clock.monotonic() - tick)

    def _known(self, node_id: str) -> Node | None:
        return self._ledger.state.nodes.get(node_id)

    def _leader_elsewhere(self) -> str:
        state = self._ledger.state
        return state.leader_door if state.leader != self._settings.node_id else ""

    def _name_of(self, node_id: str) -> str:
        node = self._known(node_id)
        return node.description.hostname or node_id if node else node_id


async def _refuse(channel: Channel, reason: str, *, retry: bool) -> None:
    try:
        await channel.send(Refused(reason=reason, retry=retry))
    except ChannelClosed:
        return
