"""One manager but for its servers: the parts, put together. The same in the daemon and in tests."""

from manager.api.context import ApiContext
from manager.ca.sealing import Sealer
from manager.control.election import Election
from manager.control.history import compact_history
from manager.control.loop import ControlLoop
from manager.dispatcher.report_writer import ReportWriter
from manager.dispatcher.sessions import Sessions
from manager.dispatcher.streams import LogBroker
from manager.ledger import Ledger
from manager.store.port import Store
from swarmpy.clock import Clock
from swarmpy.idgen import Mint
from swarmpy.settings import ManagerSettings
from swarmpy.together import together


class Manager:
    """`run` is its whole life; the API and the agents' door are given `api_context`, `sessions` and `logs`."""

    def __init__(self, settings: ManagerSettings, store: Store, sealer: Sealer, clock: Clock, mint: Mint) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.mint = mint
        self.sealer = sealer
        self.ledger = Ledger(store, clock)
        self.reports = ReportWriter(self.ledger, clock)
        self.sessions = Sessions(self.ledger, clock, mint, settings, self.reports, sealer)
        self.logs = LogBroker(self.ledger, clock, mint, self.sessions.send)
        self.election = Election(store, self.ledger, clock, node_id=settings.node_id, ttl=settings.leader_ttl)

    async def run(self) -> None:
        """Follow, stand for election, lead: until cancelled, or until something goes wrong that nobody foresaw."""
        await together(self.ledger.follow(), self.election.run(self._lead))

    async def _lead(self) -> None:
        loop = ControlLoop(self.ledger, self.clock, self.mint, self.sessions, self.settings)
        await together(loop.run(), self.sessions.lead(), compact_history(self.store, self.ledger, self.clock))

    def api_context(self) -> ApiContext:
        return ApiContext(
            ledger=self.ledger,
            clock=self.clock,
            mint=self.mint,
            logs=self.logs,
            sealer=self.sealer,
            node_sessions=self.sessions,
            settings=self.settings,
        )
