"""How much of the leader's time farewells take."""

import asyncio
from collections.abc import KeysView
from datetime import timedelta

from support.picture import a_network, a_node, a_service, a_task, picture
from support.stepping import come_to_rest

from manager.dispatcher.maps import Maps
from manager.dispatcher.session import Session
from manager.ledger import Ledger
from manager.objects import TaskNetwork
from manager.store.memory import MemoryDatabase
from swarmpy.clock import ManualClock
from swarmpy.states import TaskState

COST = timedelta(milliseconds=34)


class SlowToJudge(dict[str, Session]):
    """Whoever looks at who is connected has spent that much time when he knows it."""

    def __init__(self, clock: ManualClock, *sessions: Session) -> None:
        super().__init__({session.node_id: session for session in sessions})
        self.looks = 0
        self._clock = clock

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        self.looks += 1
        self._clock.advance(COST)
        return super().keys()


async def test_farewells_that_are_costly_to_judge_are_judged_less_often() -> None:
    clock = ManualClock()
    store = MemoryDatabase(clock).open()
    ledger, session = Ledger(store, clock), Session("s1", "n1", None)  # type: ignore[arg-type]
    reached = {"networks": (TaskNetwork(network_id="net", address="10.0.0.5/16"),), "updated_at": clock.now()}
    leaving = a_task("t1", desired_state=TaskState.SHUTDOWN).model_copy(update=reached)
    ledger.state = picture(a_network(subnets={"n1": "10.0.0.0/16"}), a_node(), a_service(), leaving)
    sessions = SlowToJudge(clock, session)
    maps = Maps(ledger, clock, sessions)
    await maps.begin()
    running = asyncio.create_task(maps.run())
    await come_to_rest()
    sessions.looks, began = 0, clock.monotonic()
    while clock.monotonic() < began + 1.5:
        maps.note_mapped(session, 0)
        clock.advance(timedelta(milliseconds=5))
        await come_to_rest()

    assert maps.withheld == {"t1"}
    assert 4 <= sessions.looks <= 1.5 / 0.034 / 5
    running.cancel()
    await store.close()
