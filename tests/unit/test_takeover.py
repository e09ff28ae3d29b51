"""A new leader draws its pictures a little at a time, and lets agents in once they are drawn."""

import asyncio

from support.picture import a_network, a_node, a_service, a_task, picture

from manager.dispatcher.map_entries import whole_map
from manager.dispatcher.maps import Maps
from manager.dispatcher.news import News
from manager.ledger import Ledger
from manager.objects import AnyObject, TaskNetwork
from manager.store.codec import encode
from manager.store.keys import key_of
from manager.store.memory import MemoryDatabase
from manager.store.port import Put, Unit
from swarmpy.clock import ManualClock
from swarmpy.network_map import IndexedMap


async def test_others_have_their_turn_while_the_maps_are_drawn_and_what_they_write_is_in_them() -> None:
    clock = ManualClock()
    store = MemoryDatabase(clock).open()
    ledger = Ledger(store, clock)
    following = asyncio.create_task(ledger.follow())
    tasks = [
        a_task(f"t{number}").model_copy(
            update={"networks": (TaskNetwork(network_id="net", address=f"10.0.{number // 250}.{number % 250}/16"),)}
        )
        for number in range(3000)
    ]
    ground: tuple[AnyObject, ...] = (
        a_network(subnets={"n1": "10.0.0.0/16"}),
        a_node(address="192.0.2.1:2377"),
        a_service(),
    )
    await store.commit([Unit((Put(key_of(value), encode(value)),)) for value in (*ground, *tasks)])
    while not ledger.state.revision >= 1 or len(ledger.state.tasks) < 3000:
        await asyncio.sleep(0)
    maps = Maps(ledger, clock, {})
    turns = 0

    async def write() -> None:
        nonlocal turns
        moved = tasks[0].model_copy(update={"networks": ()})
        await store.commit([Unit((Put(key_of(moved), encode(moved)),))])
        while True:
            turns += 1
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    async with News(ledger, {}, maps).following():
        assert turns > 6
        shown = maps.atlas.whole("n1")[0]
        assert IndexedMap.of(shown) == IndexedMap.of(whole_map(picture(*ledger.state.objects()), "n1"))
        assert len(shown.endpoints) == 2999
    for task in (writing, following):
        task.cancel()
    await store.close()
