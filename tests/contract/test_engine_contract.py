"""What the agent relies on in an engine: the same for the fake and for Docker."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from support.dockerd import Dockerd
from support.engines import (
    EXITS_7,
    PRINTS,
    RUNS,
    RUNS_ON,
    TURNS_HEALTHY,
    TURNS_UNHEALTHY,
    EngineBench,
    FakeBench,
    RealBench,
    Wish,
)

from agent.engine.port import Engine, EngineEvent, News
from agent.task.facts import Health, Life
from agent.task.mounts import VolumeFacts
from agent.task.names import network_name
from swarmpy.errors import Conflict, NotFound, Unavailable
from swarmpy.ids import id_from_number
from swarmpy.models.base import Driver
from swarmpy.models.mount import Mount, VolumeOptions
from swarmpy.wire import LogOptions, NetworkAssignment

LIMIT = 20


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.docker)])
async def bench(request: pytest.FixtureRequest) -> AsyncGenerator[EngineBench, None]:
    bench: FakeBench | RealBench
    if request.param == "fake":
        bench = FakeBench()
    else:
        dockerd: Dockerd = request.getfixturevalue("real_engine")
        bench = RealBench(dockerd)
    yield bench
    await bench.close()


@pytest.fixture
def engine(bench: EngineBench) -> Engine:
    return bench.engine


class Newsfeed:
    """The engine's news since the test began to listen."""

    def __init__(self, events: AsyncGenerator[EngineEvent | None, None]) -> None:
        self._events = events

    async def of(self, container_id: str, news: News) -> EngineEvent:
        async with asyncio.timeout(LIMIT):
            async for event in self._events:
                if event and event.container_id == container_id and event.news is news:
                    return event
        raise AssertionError("the engine's events ended")


@asynccontextmanager
async def listening(bench: EngineBench) -> AsyncIterator[Newsfeed]:
    async with aclosing(bench.engine.events(bench.node_id)) as events:
        assert await anext(events) is None
        yield Newsfeed(events)


async def started(bench: EngineBench, wish: Wish, network: NetworkAssignment | None = None) -> str:
    container = await bench.engine.create(bench.request(wish, network))
    await bench.engine.start(container)
    return container


async def test_it_describes_its_machine(engine: Engine) -> None:
    info = await engine.describe()

    assert info.os == "linux"
    assert info.nano_cpus >= 1_000_000_000
    assert info.memory_bytes > 0
    assert info.api_version >= (1, 41)


async def test_a_created_container_waits_to_be_started_and_is_found_by_name_and_by_node(bench: EngineBench) -> None:
    request = bench.request(RUNS)

    container = await bench.engine.create(request)

    facts = await bench.engine.inspect(container)
    assert facts.life is Life.CREATED
    assert facts.task_id == request.config["Labels"]["swarmpy.task"]
    assert await bench.engine.find(request.name) == facts
    assert [(c.id, c.life) for c in await bench.engine.containers(bench.node_id)] == [(container, Life.CREATED)]


async def test_containers_of_another_node_are_not_listed(bench: EngineBench) -> None:
    await bench.engine.create(bench.request(RUNS))

    assert await bench.engine.containers(id_from_number(1)) == ()


async def test_a_name_can_be_used_once(bench: EngineBench) -> None:
    request = bench.request(RUNS)
    await bench.engine.create(request)

    with pytest.raises(Conflict):
        await bench.engine.create(request)


async def test_no_container_is_found_by_a_name_that_nobody_has(engine: Engine) -> None:
    assert await engine.find("web.1.nobody") is None


async def test_a_started_container_runs_and_may_be_started_again(bench: EngineBench) -> None:
    container = await started(bench, RUNS)

    await bench.engine.start(container)

    facts = await bench.engine.inspect(container)
    assert facts.life is Life.RUNNING
    assert facts.pid > 0
    assert facts.health is None


async def test_an_exit_is_told_with_its_code(bench: EngineBench) -> None:
    async with listening(bench) as news:
        container = await started(bench, EXITS_7)

        assert (await news.of(container, News.DIED)).exit_code == 7

    facts = await bench.engine.inspect(container)
    assert (facts.life, facts.exit_code) == (Life.EXITED, 7)


async def test_a_signal_ends_a_container(bench: EngineBench) -> None:
    container = await started(bench, RUNS)
    async with listening(bench) as news:
        await bench.engine.signal(container, "SIGTERM")

        assert (await news.of(container, News.DIED)).exit_code == 143


async def test_a_container_that_ignores_signals_is_killed(bench: EngineBench) -> None:
    container = await started(bench, RUNS_ON)
    async with listening(bench) as news:
        await bench.engine.signal(container, "SIGTERM")
        assert (await bench.engine.inspect(container)).life is Life.RUNNING
        await bench.engine.signal(container, "SIGKILL")

        assert (await news.of(container, News.DIED)).exit_code == 137


async def test_a_container_that_does_not_run_takes_no_signal(bench: EngineBench) -> None:
    container = await bench.engine.create(bench.request(RUNS))

    with pytest.raises(Conflict):
        await bench.engine.signal(container, "SIGTERM")


async def test_health_is_told_when_it_turns_good(bench: EngineBench) -> None:
    async with listening(bench) as news:
        container = await started(bench, TURNS_HEALTHY)
        await news.of(container, News.HEALTHY)

    assert (await bench.engine.inspect(container)).health is Health.HEALTHY
    (listed,) = await bench.engine.containers(bench.node_id)
    assert listed.health is Health.HEALTHY


async def test_health_is_told_when_it_turns_bad_and_with_its_last_words(bench: EngineBench) -> None:
    async with listening(bench) as news:
        container = await started(bench, TURNS_UNHEALTHY)
        assert (await bench.engine.inspect(container)).health in (Health.STARTING, Health.UNHEALTHY)
        await news.of(container, News.UNHEALTHY)

    facts = await bench.engine.inspect(container)
    assert (facts.health, facts.health_output) == (Health.UNHEALTHY, "no answer")


async def test_a_running_container_is_removed_by_force_and_that_is_told(bench: EngineBench) -> None:
    container = await started(bench, RUNS)
    async with listening(bench) as news:
        await bench.engine.remove(container)
        await news.of(container, News.DESTROYED)

    await bench.engine.remove(container)
    with pytest.raises(NotFound):
        await bench.engine.inspect(container)


async def test_what_is_not_there_cannot_be_started(engine: Engine) -> None:
    with pytest.raises(NotFound):
        await engine.start("0" * 64)


async def test_an_image_that_is_nowhere_is_told_in_dockers_words(engine: Engine) -> None:
    with pytest.raises(NotFound, match=r"^No such image: missing:1 \(pulling it failed: "):
        await engine.ensure_image("missing:1", None, lambda progress: None)


async def test_an_image_that_is_here_needs_no_registry(bench: EngineBench) -> None:
    image = bench.request(RUNS).config["Image"]

    await bench.engine.ensure_image(image, None, lambda progress: pytest.fail("pulled"))


async def test_a_container_gets_an_address_in_the_subnet_of_its_network(bench: EngineBench) -> None:
    network = bench.a_network()
    await bench.engine.ensure_network(network, bench.node_id)
    await bench.engine.ensure_network(network, bench.node_id)

    container = await started(bench, RUNS, network)

    prefix = network.subnet.removesuffix("0/24")
    address = (await bench.engine.inspect(container)).addresses[network.id]
    assert address.startswith(prefix)
    assert address.endswith("/24")
    assert address != f"{network.gateway}/24"


async def test_what_a_container_was_made_with_is_told_before_it_starts_and_not_after_its_end(
    bench: EngineBench,
) -> None:
    network = bench.a_network()
    await bench.engine.ensure_network(network, bench.node_id)
    wished = IPv4Network(network.subnet)[9]
    request = bench.request(RUNS, network)
    joined = tuple(replace(each, address=wished) for each in request.networks)
    container = await bench.engine.create(replace(request, networks=joined))

    made = {network.id: f"{wished}/32"}
    assert (await bench.engine.inspect(container)).addresses == made
    assert [found.addresses for found in await bench.engine.containers(bench.node_id)] == [made]
    await bench.engine.start(container)
    assert (await bench.engine.inspect(container)).addresses == {network.id: f"{wished}/24"}
    async with listening(bench) as news:
        await bench.engine.signal(container, "SIGKILL")
        await news.of(container, News.DIED)
    assert [found.addresses for found in await bench.engine.containers(bench.node_id)] == [{}]


async def test_a_network_that_is_not_there_cannot_be_joined(bench: EngineBench) -> None:
    with pytest.raises(NotFound):
        await started(bench, RUNS, bench.a_network())


async def test_a_network_with_another_range_is_in_the_way(bench: EngineBench) -> None:
    network = bench.a_network()
    await bench.engine.ensure_network(network, bench.node_id)
    other = network.model_copy(update={"subnet": "10.199.0.0/24", "gateway": "10.199.0.1"})

    with pytest.raises(Conflict, match="another range"):
        await bench.engine.ensure_network(other, bench.node_id)


async def test_a_network_that_overlaps_another_is_refused_and_the_other_is_named(bench: EngineBench) -> None:
    network = bench.a_network()
    await bench.engine.ensure_network(network, bench.node_id)
    other = network.model_copy(update={"id": id_from_number(77), "name": "other"})

    with pytest.raises(Conflict, match=f"network other cannot have .*{network_name(network)} overlaps it"):
        await bench.engine.ensure_network(other, bench.node_id)


async def test_a_network_goes_once_nobody_uses_it(bench: EngineBench) -> None:
    network = bench.a_network()
    await bench.engine.ensure_network(network, bench.node_id)
    container = await started(bench, RUNS, network)
    assert await bench.engine.networks(bench.node_id) == (network_name(network),)

    with pytest.raises(Conflict):
        await bench.engine.remove_network(network_name(network))
    await bench.engine.remove(container)
    await bench.engine.remove_network(network_name(network))
    await bench.engine.remove_network(network_name(network))

    assert await bench.engine.networks(bench.node_id) == ()


async def lines_of(engine: Engine, container: str, options: LogOptions) -> list[tuple[int, bytes]]:
    async with aclosing(engine.logs(container, options, tty=False)) as lines:
        return [(line.stream, line.line) async for line in lines]


async def test_logs_are_given_line_by_line(bench: EngineBench) -> None:
    container = await started(bench, PRINTS)

    async with asyncio.timeout(LIMIT):
        while len(lines := await lines_of(bench.engine, container, LogOptions(timestamps=False))) < 2:
            await asyncio.sleep(0.02)

    assert lines == [(1, b"one\n"), (1, b"two\n")]
    assert await lines_of(bench.engine, container, LogOptions(timestamps=False, tail=1)) == [(1, b"two\n")]


async def test_logs_of_a_container_that_is_gone_are_not_found(engine: Engine) -> None:
    with pytest.raises(NotFound):
        await lines_of(engine, "0" * 64, LogOptions())


async def test_an_engine_that_does_not_answer_is_named_in_one_sentence(bench: EngineBench) -> None:
    engine = await bench.unreachable()

    with pytest.raises(Unavailable, match=r"^the Docker engine at \S+ is not reachable \([^)]+\): is it running\?$"):
        await engine.describe()


async def test_volumes_are_made_with_a_container_and_told_by_label(bench: EngineBench) -> None:
    name, label = f"volume-of-{bench.node_id}", "test.kept=true"
    options = VolumeOptions(
        labels={"test.kept": "true"}, driver_config=Driver(options={"type": "tmpfs", "device": "tmpfs"})
    )
    wish = replace(RUNS, fields={"mounts": (Mount(source=name, target="/d", volume_options=options),)})
    assert name not in await bench.engine.volumes(label)
    assert await bench.engine.volume(name) is None

    container = await bench.engine.create(bench.request(wish))
    assert name in await bench.engine.volumes(label)
    assert await bench.engine.volume(name) == VolumeFacts("local", {"type": "tmpfs", "device": "tmpfs"})
    assert name not in await bench.engine.volumes("test.kept=false")

    await bench.engine.remove(container)
    assert name in await bench.engine.volumes(label)
