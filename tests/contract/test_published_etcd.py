"""Keys outside the store's prefix, in a real etcd: written under the leader's fence, in portions, read back whole."""

from collections.abc import Iterator

import pytest
from support.etcd import EtcdServer

from manager.store.etcd import open_etcd_store
from manager.store.etcd_published import open_etcd_published
from manager.store.keys import LEADER
from manager.store.port import Fence, Put, Unit
from swarmpy.clock import SystemClock
from swarmpy.errors import LeadershipLost

pytestmark = pytest.mark.etcd


@pytest.fixture
def server() -> Iterator[EtcdServer]:
    with EtcdServer() as server:
        yield server


async def test_names_are_written_while_the_term_lasts_and_are_no_part_of_the_store(server: EtcdServer) -> None:
    store = await open_etcd_store(server.settings(), SystemClock())
    published = open_etcd_published(server.settings(), SystemClock())
    try:
        batches = await store.commit([Unit((Put(LEADER, b"n1", modified=0),))])
        fence = Fence(LEADER, batches[0].revision)
        many = {f"/skydns/local/swarm/x{number}": b'{"host":"10.0.0.1"}' for number in range(300)}
        await published.write(many, (), fence)
        assert await published.load("/skydns/local/swarm/") == many
        await published.write({}, tuple(many)[1:], fence)
        assert await published.load("/skydns/") == {"/skydns/local/swarm/x0": many["/skydns/local/swarm/x0"]}
        assert [entry.key for entry in (await store.load()).entries] == [LEADER]
        with pytest.raises(LeadershipLost):
            await published.write({}, ("/skydns/local/swarm/x0",), Fence(LEADER, fence.created + 1))
        assert await published.load("/skydns/")
    finally:
        await store.close()
        await published.close()
