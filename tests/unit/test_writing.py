"""Wishes that come at one time, on a store that takes its time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from support.builders import T0

from manager.admission.service import admit_service
from manager.ledger import Ledger
from manager.objects import Service
from manager.store.keys import LEADER
from manager.store.memory import MemoryDatabase
from manager.store.port import Batch, Fence, Put, Store, Unit
from manager.writing import carry_out
from swarmpy.clock import ManualClock
from swarmpy.models.service import ServiceSpec


class Slow:
    """A store whose answers come after everybody else has asked."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def commit(self, units: Sequence[Unit], fence: Fence | None = None) -> tuple[Batch, ...]:
        for _ in range(20):
            await asyncio.sleep(0)
        return await self._store.commit(units, fence)

    def watch(self, after: int) -> AsyncGenerator[Batch, None]:
        return self._store.watch(after)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def publishing(name: str, *numbers: int) -> ServiceSpec:
    ports = [
        {"TargetPort": 80, "PublishedPort": number, "PublishMode": "ingress", "Protocol": "tcp"} for number in numbers
    ]
    document = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}}, "EndpointSpec": {"Ports": ports}}
    return ServiceSpec.model_validate(document)


@asynccontextmanager
async def slow_ledger() -> AsyncIterator[Ledger]:
    clock = ManualClock()
    store = MemoryDatabase(clock).open()
    (born,) = await store.commit([Unit((Put(LEADER, b"n1"),))])
    ledger = Ledger(Slow(store), clock)  # type: ignore[arg-type]
    ledger.fence = Fence(LEADER, born.revision)
    yield ledger
    await store.close()


async def create(ledger: Ledger, name: str, *ports: int) -> Service:
    spec = publishing(name, *ports)
    return await carry_out(
        ledger, ManualClock(), lambda: admit_service(ledger.state, spec, service_id=name, now=T0, sealed_auth=None)
    )


async def test_many_wishes_for_ports_at_one_time_are_all_granted() -> None:
    async with slow_ledger() as ledger:
        # Each leaves its port open: they all want the same one.
        made = await asyncio.gather(*(create(ledger, f"web{number}", 0) for number in range(20)))

    given = [port.published_port for service in made for port in service.published_ports or ()]
    assert sorted(given, key=lambda number: number or 0) == list(range(30000, 30020))


async def test_a_wish_that_touches_much_is_granted_although_newcomers_never_cease() -> None:
    async with slow_ledger() as ledger:
        numbers = iter(range(40000, 40300))

        async def newcomers(after: int) -> None:
            for _ in range(after):
                await asyncio.sleep(0)
            for number in numbers:
                await create(ledger, f"web{number}", number)

        coming = [asyncio.create_task(newcomers(7 * number)) for number in range(3)]
        while len(ledger.state.services) < 10:
            await asyncio.sleep(0)
        many = await create(ledger, "many", *range(10000, 10032))
        is_first = next(numbers, None) is not None
        await asyncio.gather(*coming)

        assert len(many.published_ports or ()) == 32
        assert is_first
        # All but the one whose number was taken just now.
        assert len(ledger.state.services) == 300
