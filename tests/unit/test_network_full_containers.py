"""A container whose inside takes too long to read is left as it is until somebody looks; all others are served."""

import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

import pytest
from support.keeper_stage import ONE as PICTURE
from support.pictures import a_network

from agent.network.fake import FakeKernel
from agent.network.links import BridgePort, ContainerRoutes, Links, Operation
from agent.network.picture import LocalNetwork, LocalTask, Picture
from agent.network.shown_links import ShownLinks
from agent.network.turns import ALL, ONE, Turns
from swarmpy.errors import TimedOut

FULL, PLAIN = 10, 11
NETWORK = a_network()


class Filling(FakeKernel):
    """Those in `full` cannot be read in time; nor, once they were, can those in `filled_since` be written to."""

    def __init__(self) -> None:
        super().__init__()
        self.full: set[int] = set()
        self.filled_since: set[int] = set()
        self.asked: list[int] = []

    async def ports_of(
        self, tasks: Iterable[LocalTask], networks: Mapping[str, LocalNetwork]
    ) -> Mapping[int, frozenset[BridgePort]]:
        asked = tuple(tasks)
        self.asked += (task.pid for task in asked)
        return await super().ports_of((task for task in asked if task.pid not in self.full), networks)

    async def read(self, picture: Picture, ports: Set[BridgePort] = frozenset()) -> Links:
        found = await super().read(picture, ports)
        return replace(found, containers=frozenset(each for each in found.containers if each.pid not in self.full))

    async def perform(self, operation: Operation) -> None:
        if isinstance(operation.thing, ContainerRoutes):
            self.asked.append(operation.thing.pid)
            if operation.thing.pid in self.full | self.filled_since:
                raise TimedOut("what is inside takes too long to read")
        await super().perform(operation)


def a_stage(kernel: Filling) -> tuple[ShownLinks, Picture]:
    tasks = {}
    for pid in (FULL, PLAIN):
        address, device = NETWORK.subnet[pid], f"veth{pid}"
        kernel.kernel.devices[device] = 1450
        kernel.kernel.containers[pid] = {address: device}
        kernel.kernel.ports[device] = BridgePort(device, NETWORK.bridge, hairpin=False)
        tasks[f"t{pid}"] = LocalTask(f"t{pid}", "s", {NETWORK.id: address}, pid=pid)
    networks = {
        id: replace(network, ranges=(NETWORK.subnet.supernet(new_prefix=16),))
        for id, network in PICTURE.networks.items()
    }
    return ShownLinks(kernel, frozenset), replace(PICTURE, networks=networks, tasks=tasks)


async def test_it_is_tried_once_and_again_when_somebody_looks() -> None:
    kernel = Filling()
    kernel.full.add(FULL)
    links, picture = a_stage(kernel)
    for _ in range(3):
        assert await links.bring_about(picture, has_rules=True) == ""
    assert kernel.asked.count(FULL) == 1
    assert kernel.kernel.ports[f"veth{PLAIN}"].hairpin
    assert not kernel.kernel.ports[f"veth{FULL}"].hairpin

    # Looking says that it is still so.
    assert await links.differences() == ()
    await links.bring_about(picture, has_rules=True)
    assert kernel.asked.count(FULL) == 1
    kernel.full.clear()
    await links.differences()
    await links.bring_about(picture, has_rules=True)
    assert kernel.kernel.ports[f"veth{FULL}"].hairpin


async def test_one_that_is_filled_after_it_was_read_is_left_as_well() -> None:
    kernel = Filling()
    kernel.filled_since.add(FULL)
    links, picture = a_stage(kernel)
    for _ in range(3):
        await links.bring_about(picture, has_rules=True)
    # Read once, and once written to.
    assert kernel.asked.count(FULL) == 2


async def test_one_that_is_filled_between_two_looks_is_not_written_to() -> None:
    kernel = Filling()
    links, picture = a_stage(kernel)
    await links.bring_about(picture, has_rules=True)
    kernel.full.add(FULL)
    kernel.asked.clear()

    assert await links.differences() == ()
    for _ in range(3):
        await links.bring_about(picture, has_rules=True)
    assert kernel.asked.count(FULL) == 0
    assert kernel.kernel.ports[f"veth{PLAIN}"].hairpin


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_those_that_take_long_share_a_time_and_have_their_turns_last() -> None:
    turns, slow = Turns(), (1, 2, 3, 4)
    given = {}
    for pid, seconds in turns.through((*slow, 5)):
        given[pid] = seconds
        work(seconds if pid in slow else 0)
    assert list(given) == [*slow, 5]
    # Nobody knew of them; the first two use up what there is, and one that takes no time has enough all the same.
    assert given[1] == ONE
    assert given[5] < ONE
    assert sum(given[pid] for pid in slow) < ALL + 0.15

    for expected in ([5, 1, 2], [5, 3, 4]):
        seen = []
        for pid, seconds in turns.through((*slow, 5)):
            seen.append(pid)
            work(seconds if pid in slow else 0)
        assert seen == expected


@pytest.mark.parametrize("pids", [(), (7,), (7, 8)])
def test_one_that_is_fast_again_or_has_ended_is_like_all_others(pids: tuple[int, ...]) -> None:
    turns = Turns()
    for _, seconds in turns.through((7, 8)):
        work(seconds)
    turns.keep_only({*pids})
    for _ in turns.through((7, 8)):
        work(0)
    assert [pid for pid, _ in turns.through((7, 8, 9))] == [7, 8, 9]
