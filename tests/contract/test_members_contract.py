"""What every list of members promises."""

from collections.abc import AsyncGenerator

import pytest
from support.members import (
    FIRST,
    EtcdMembersBench,
    MembersBench,
    MemoryMembersBench,
    eventually,
    grow,
    member_named,
    voters,
)

from manager.members.port import Member, MemberList
from swarmpy.errors import Conflict, NotFound, Unavailable


@pytest.fixture(params=["memory", pytest.param("etcd", marks=pytest.mark.etcd)])
async def bench(request: pytest.FixtureRequest) -> AsyncGenerator[MembersBench, None]:
    chosen: MemoryMembersBench | EtcdMembersBench
    if request.param == "memory":
        chosen = MemoryMembersBench()
    else:
        chosen = EtcdMembersBench()
        await chosen.begin()
    yield chosen
    await chosen.close()


@pytest.fixture
def members(bench: MembersBench) -> MemberList:
    return bench.list_of(FIRST)


async def newcomer(members: MemberList) -> Member:
    return next(member for member in await members.members() if not member.votes)


async def test_the_first_member_is_alone_and_votes(bench: MembersBench, members: MemberList) -> None:
    (only,) = await members.members()

    assert (only.name, only.peer_urls, only.votes) == (FIRST, (bench.url(FIRST),), True)


async def test_a_new_member_has_no_name_and_no_vote_and_is_told_all(bench: MembersBench, members: MemberList) -> None:
    told = await members.add(bench.url("n2"), "n2")

    assert sorted(told) == [(FIRST, bench.url(FIRST)), ("n2", bench.url("n2"))]
    added = await newcomer(members)
    assert (added.is_started, added.peer_urls) == (False, (bench.url("n2"),))


async def test_adding_twice_is_adding_once(bench: MembersBench, members: MemberList) -> None:
    told = await members.add(bench.url("n2"), "n2")

    assert await members.add(bench.url("n2"), "n2") == told
    assert len(await members.members()) == 2


async def test_one_new_member_at_a_time(bench: MembersBench, members: MemberList) -> None:
    await members.add(bench.url("n2"), "n2")

    with pytest.raises(Unavailable, match="try again"):
        await members.add(bench.url("n3"), "n3")


async def test_a_member_that_has_not_started_may_not_vote(bench: MembersBench, members: MemberList) -> None:
    await members.add(bench.url("n2"), "n2")

    with pytest.raises(Unavailable, match="the new member has not learnt all yet"):
        await members.promote((await newcomer(members)).id)


async def test_letting_one_vote_that_votes_is_no_error(members: MemberList) -> None:
    (only,) = await members.members()
    await members.promote(only.id)

    assert await members.members() == (only,)


async def test_what_is_no_member_cannot_vote_nor_move(bench: MembersBench, members: MemberList) -> None:
    with pytest.raises(NotFound):
        await members.promote(12345)
    with pytest.raises(NotFound):
        await members.readdress(12345, bench.url("n2"))


async def test_a_member_that_never_came_is_removed_and_twice_is_once(bench: MembersBench, members: MemberList) -> None:
    await members.add(bench.url("n2"), "n2")
    added = await newcomer(members)
    await members.remove(added.id)
    await members.remove(added.id)

    assert await voters(members) == [FIRST]
    assert len(await members.members()) == 1


async def test_a_member_with_data_is_not_added_once_more(bench: MembersBench, members: MemberList) -> None:
    with pytest.raises(Conflict, match="remove it first"):
        await members.add(bench.url(FIRST), "n2")
    with pytest.raises(Conflict, match="remove it first"):
        await members.add(bench.url("n2"), FIRST)


async def test_a_member_moves_to_another_url_but_not_to_a_taken_one(bench: MembersBench, members: MemberList) -> None:
    (first,) = await members.members()
    await members.readdress(first.id, bench.url("n3"))
    await members.readdress(first.id, bench.url("n3"))

    (moved,) = await members.members()
    assert (moved.id, moved.name, moved.peer_urls, moved.votes) == (first.id, FIRST, (bench.url("n3"),), True)
    # A change that comes while the one before it is being carried out is dropped without an answer.
    await eventually(lambda: members.add(bench.url("n2"), "n2"))
    with pytest.raises(Conflict):
        await members.readdress(first.id, bench.url("n2"))


async def test_a_member_that_does_not_vote_yet_does_not_move(bench: MembersBench, members: MemberList) -> None:
    await members.add(bench.url("n2"), "n2")
    added = await newcomer(members)

    with pytest.raises(Unavailable, match="try again when it does"):
        await members.readdress(added.id, bench.url("n3"))
    assert await newcomer(members) == added


async def test_a_dead_member_is_no_hindrance_and_can_be_removed(bench: MembersBench, members: MemberList) -> None:
    await grow(bench, "n2")
    await grow(bench, "n3")
    dead = await member_named(members, "n3")
    bench.kill("n3")
    await eventually(lambda: members.remove(dead.id))

    assert await voters(members) == [FIRST, "n2"]


async def test_a_healthy_member_is_not_removed_when_the_rest_would_have_no_majority(
    bench: MembersBench, members: MemberList
) -> None:
    await grow(bench, "n2")
    await grow(bench, "n3")
    bench.kill("n3")

    with pytest.raises(Unavailable):
        await members.remove((await member_named(members, "n2")).id)
    assert await voters(members) == [FIRST, "n2", "n3"]


async def test_without_a_majority_nothing_can_be_changed(bench: MembersBench, members: MemberList) -> None:
    await grow(bench, "n2")
    second = await member_named(members, "n2")
    bench.kill("n2")

    with pytest.raises(Unavailable):
        await members.remove(second.id)
    with pytest.raises(Unavailable):
        await members.add(bench.url("n3"), "n3")


async def test_a_closed_list_is_away_for_good(bench: MembersBench, members: MemberList) -> None:
    await members.close()

    with pytest.raises(Unavailable, match="closed"):
        await members.members()
