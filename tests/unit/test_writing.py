"""Wishes that come at one time, on a store that takes its time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

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


def publishing(name: str, number: int) -> ServiceSpec:
    ports = [{"TargetPort": 80, "PublishedPort": number, "PublishMode": "ingress", "Protocol": "tcp"}]
    document = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}}, "EndpointSpec": {"Ports": ports}}
    return ServiceSpec.model_validate(document)


async def test_many_wishes_for_ports_at_one_time_are_all_granted() -> None:
    clock = ManualClock()
    store = MemoryDatabase(clock).open()
    (born,) = await store.commit([Unit((Put(LEADER, b"n1"),))])
    ledger = Ledger(Slow(store), clock)  # type: ignore[arg-type]
    ledger.fence = Fence(LEADER, born.revision)

    async def create(number: int) -> Service:
        name = f"web{number}"
        # Each leaves its port open: they all want the same one.
        spec = publishing(name, 0)
        return await carry_out(
            ledger, clock, lambda: admit_service(ledger.state, spec, service_id=name, now=T0, sealed_auth=None)
        )

    made = await asyncio.gather(*(create(number) for number in range(20)))

    given = [port.published_port for service in made for port in service.published_ports or ()]
    assert sorted(given, key=lambda number: number or 0) == list(range(30000, 30020))
    await store.close()
