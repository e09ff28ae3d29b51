"""The databases that the contract suites run against."""

from collections.abc import AsyncGenerator, Iterator

import pytest
from support.dockerd import Dockerd, dockerd
from support.etcd import EtcdServer
from support.images import import_image
from support.stores import EtcdBench, MemoryBench, StoreBench

from manager.store.port import Store


@pytest.fixture(scope="session")
def etcd_server() -> Iterator[EtcdServer]:
    """Shared: tests keep apart by prefix, and leave it running."""
    with EtcdServer() as server:
        yield server


@pytest.fixture
async def memory_bench() -> AsyncGenerator[MemoryBench, None]:
    bench = MemoryBench()
    yield bench
    await bench.close()


@pytest.fixture
async def etcd_bench(etcd_server: EtcdServer) -> AsyncGenerator[EtcdBench, None]:
    bench = EtcdBench(etcd_server)
    await bench.start()
    yield bench
    await bench.close()


@pytest.fixture(params=["memory", pytest.param("etcd", marks=pytest.mark.etcd)])
def bench(request: pytest.FixtureRequest) -> StoreBench:
    """Each promise is kept by both."""
    chosen: StoreBench = request.getfixturevalue(f"{request.param}_bench")
    return chosen


@pytest.fixture
async def store(bench: StoreBench) -> Store:
    return await bench.open()


@pytest.fixture(scope="session")
def real_engine() -> Iterator[Dockerd]:
    """One engine for all; tests keep apart by node id and by network."""
    with dockerd() as running:
        import_image(running.host)
        yield running
