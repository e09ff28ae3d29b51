"""etcd with several members and TLS between them, run by the node's own command."""

import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from functools import partial

import pytest
from support.certificates import Authority
from support.members import FIRST, EtcdMembersBench, eventually, grow, member_named, voters
from support.stores import put, values

from manager.members.admit import admit
from manager.store.etcd_members import check_fit
from manager.store.port import Store
from swarmpy.errors import BadRequest, Unavailable
from swarmpy.node.etcd import PEER_NAME, has_member_data, member_is_gone, wipe_member

pytestmark = pytest.mark.etcd


@pytest.fixture
async def bench() -> AsyncGenerator[EtcdMembersBench, None]:
    members = EtcdMembersBench()
    await members.begin()
    yield members
    await members.close()


async def written(store: Store, key: str) -> None:
    """A commit whose answer is lost is made again: these keys are of one writer."""
    await eventually(lambda: store.commit([put(key)]))


async def test_one_member_becomes_three_that_agree_and_two_carry_on(bench: EtcdMembersBench) -> None:
    first = await bench.store_of(FIRST)
    await written(first, "one")
    await grow(bench, "n2")
    await written(await bench.store_of("n2"), "two")
    await grow(bench, "n3")
    await written(await bench.store_of("n3"), "three")
    stores = [await bench.store_of(name) for name in (FIRST, "n2", "n3")]
    for store in stores:
        assert set(await eventually(partial(values, store))) == {"one", "two", "three"}
    assert [await voters(bench.list_of(name)) for name in bench.processes] == [[FIRST, "n2", "n3"]] * 3

    bench.kill(FIRST)
    await written(stores[1], "four")
    assert set(await eventually(lambda: values(stores[2]))) == {"one", "two", "three", "four"}


async def test_the_cluster_writes_on_while_a_new_member_is_long_to_come(bench: EtcdMembersBench) -> None:
    store = await bench.store_of(FIRST)
    await bench.list_of(FIRST).add(bench.url("n2"), "n2")

    await store.commit([put("meanwhile")])
    assert set(await values(store)) == {"meanwhile"}


async def test_a_member_that_died_comes_back_with_the_command_it_first_had(bench: EtcdMembersBench) -> None:
    await grow(bench, "n2")
    await grow(bench, "n3")
    bench.kill(FIRST)
    await written(await bench.store_of("n2"), "meanwhile")
    bench.processes[FIRST].launch()
    store = await bench.store_of(FIRST)

    assert set(await eventually(lambda: values(store))) == {"meanwhile"}
    assert await voters(bench.list_of(FIRST)) == [FIRST, "n2", "n3"]


async def test_all_members_at_once_may_stop_and_start(bench: EtcdMembersBench) -> None:
    await grow(bench, "n2")
    await written(await bench.store_of("n2"), "before")
    for name in bench.processes:
        bench.kill(name)
    for process in bench.processes.values():
        process.launch()
    store = await bench.store_of(FIRST)

    assert set(await eventually(lambda: values(store))) == {"before"}


async def test_a_removed_member_ends_is_recognised_and_joins_again_once_wiped(bench: EtcdMembersBench) -> None:
    members = bench.list_of(FIRST)
    await grow(bench, "n2")
    await grow(bench, "n3")
    removed = bench.processes["n3"]
    assert not member_is_gone(removed.lines)
    former = await member_named(members, "n3")
    await eventually(lambda: members.remove(former.id))

    assert await removed.exit_code() == 0
    assert member_is_gone(removed.lines)
    assert not any(member_is_gone(bench.processes[name].lines) for name in (FIRST, "n2"))

    assert has_member_data(removed.data_dir)
    wipe_member(removed.data_dir)
    await grow(bench, "n3")
    assert await voters(members) == [FIRST, "n2", "n3"]
    assert (await member_named(members, "n3")).id != former.id


async def test_a_member_removed_while_it_was_down_ends_at_its_next_start(bench: EtcdMembersBench) -> None:
    members = bench.list_of(FIRST)
    await grow(bench, "n2")
    await grow(bench, "n3")
    former = await member_named(members, "n3")
    bench.kill("n3")
    await eventually(lambda: members.remove(former.id))
    bench.processes["n3"].launch()

    assert await bench.processes["n3"].exit_code() == 0
    assert member_is_gone(bench.processes["n3"].lines)


async def test_a_node_that_lost_its_data_joins_under_a_new_id(bench: EtcdMembersBench) -> None:
    members = bench.list_of(FIRST)
    await grow(bench, "n2")
    await grow(bench, "n3")
    former = await member_named(members, "n3")
    bench.kill("n3")
    wipe_member(bench.processes["n3"].data_dir)
    told = await eventually(lambda: admit(members, "n3", bench.url("n3")))
    bench.start("n3", told)

    (added,) = [member.id for member in await members.members() if not member.votes]
    await eventually(lambda: members.promote(added))
    assert added != former.id
    assert len(await members.members()) == 3


@pytest.mark.parametrize("stranger", ["worker", "foreign"])
async def test_a_peer_of_another_name_or_authority_is_refused_and_told(bench: EtcdMembersBench, stranger: str) -> None:
    """The list says that it may come; its certificate does not."""
    members = bench.list_of(FIRST)
    told = await members.add(bench.url("n2"), "n2")
    if stranger == "worker":
        bench.start("n2", told, pair=bench.authority.issue("swarmpy-worker"))
    else:
        (bench.directory / "foreign").mkdir()
        foreign = Authority(bench.directory / "foreign")
        bench.start("n2", told, pair=foreign.issue(PEER_NAME), authority=foreign)

    assert await bench.processes["n2"].exit_code() == 1
    assert any("rejected connection" in line for line in bench.processes[FIRST].lines)
    assert any("failed to start etcd" in line for line in bench.processes["n2"].lines)
    with pytest.raises(Unavailable):
        await members.promote(next(member.id for member in await members.members() if not member.votes))


@pytest.mark.parametrize("version", ["3.5.0", "3.5.1", "3.5.2"])
def test_a_release_that_can_corrupt_data_gets_no_second_member(version: str) -> None:
    with pytest.raises(BadRequest, match=f"etcd {re.escape(version)} is not fit for several managers"):
        check_fit(version)


@pytest.mark.parametrize("version", ["3.4.23", "3.5.3", "3.6.0-rc.1"])
def test_sound_releases_get_more(version: str) -> None:
    check_fit(version)


async def test_a_lease_survives_the_death_of_the_member_that_led(bench: EtcdMembersBench) -> None:
    await grow(bench, "n2")
    await grow(bench, "n3")
    lease = await eventually(lambda: _granted(bench))
    bench.kill(FIRST)
    store = await bench.store_of("n2")

    assert await eventually(lambda: store.keep_alive(lease)) > timedelta(0)


async def _granted(bench: EtcdMembersBench) -> int:
    return await (await bench.store_of("n2")).grant(timedelta(seconds=30))
