"""One manager but for its servers: the parts, put together. The same in the daemon and in tests."""

from collections.abc import Callable, Sequence
from datetime import datetime

from manager.api.context import ApiContext
from manager.ca.registrar import Registrar
from manager.ca.sealing import Sealer
from manager.control.election import Election
from manager.control.history import compact_history
from manager.control.loop import ControlLoop
from manager.dispatcher.report_writer import ReportWriter
from manager.dispatcher.sessions import Sessions
from manager.dispatcher.streams import LogBroker
from manager.ledger import Ledger
from manager.members.keeper import MemberKeeper
from manager.members.port import MemberList
from manager.objects import AnyObject
from manager.publish_names import NamePublisher
from manager.skydns import Layout
from manager.store.codec import put
from manager.store.port import Store, Unit
from manager.store.published import PublishedKeys
from swarmpy.clock import Clock
from swarmpy.idgen import Mint
from swarmpy.settings import ManagerSettings
from swarmpy.together import together

FirstObjects = Callable[[datetime], Sequence[AnyObject]]


class Manager:
    """`run` is its whole life; the API and the door are given `api_context`, `sessions`, `logs` and `registrar`.

    `first_objects` are written where the store holds no cluster yet; `members` is None where the operators bring their
    etcd, `published` where no names are written for others."""

    def __init__(
        self,
        settings: ManagerSettings,
        store: Store,
        sealer: Sealer,
        clock: Clock,
        mint: Mint,
        *,
        first_objects: FirstObjects,
        members: MemberList | None = None,
        published: PublishedKeys | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.mint = mint
        self.sealer = sealer
        self._first_objects = first_objects
        self._members = members
        self._published = published
        self.ledger = Ledger(store, clock)
        self.reports = ReportWriter(self.ledger, clock)
        self.sessions = Sessions(self.ledger, clock, mint, settings, self.reports, sealer)
        self.logs = LogBroker(self.ledger, clock, mint, self.sessions.send)
        self.registrar = Registrar(self.ledger, clock, sealer, members)
        self.election = Election(store, self.ledger, clock, node_id=settings.node_id, ttl=settings.leader_ttl)

    async def run(self) -> None:
        """Follow, stand for election, lead: until cancelled, or until something goes wrong that nobody foresaw."""
        await together(self.ledger.follow(), self.election.run(self._lead))

    async def _lead(self) -> None:
        await self._found()
        loop = ControlLoop(self.ledger, self.clock, self.mint, self.sessions, self.settings)
        keeper = MemberKeeper(self.ledger, self._members, self.clock, node_id=self.settings.node_id)
        layout = Layout(self.settings.publish_names, self.settings.publish_names_folder)
        names = NamePublisher(self.ledger, self._published, self.clock, layout)
        history = compact_history(self.store, self.ledger, self.clock)
        await together(loop.run(), self.sessions.lead(), keeper.run(), names.run(), history)

    async def _found(self) -> None:
        if self.ledger.state.cluster is None:
            objects = self._first_objects(self.clock.now())
            await self.ledger.commit([Unit(tuple(put(value, create=True) for value in objects))])

    def api_context(self) -> ApiContext:
        return ApiContext(
            ledger=self.ledger,
            clock=self.clock,
            mint=self.mint,
            logs=self.logs,
            sealer=self.sealer,
            node_sessions=self.sessions,
            settings=self.settings,
            members=self._members,
        )
