"""The leader keeps the list of members in step with the records of nodes, through whatever the database refuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from support.builders import a_manager, a_node
from support.stepping import advance, settle

from manager.ledger import Ledger
from manager.members.admit import admit
from manager.members.keeper import MemberKeeper
from manager.members.memory import MemoryMembers
from manager.members.port import Member, MemberList
from manager.objects import Node
from manager.store.codec import encode
from manager.store.keys import key_of
from manager.store.memory import MemoryDatabase, MemoryStore
from manager.store.port import Delete, Put, Unit
from swarmpy.clock import ManualClock
from swarmpy.errors import LeadershipLost


def url(name: str) -> str:
    return f"https://{name}:2380"


class Term:
    """A leader `n1` that does nothing but keep the members."""

    def __init__(self, clock: ManualClock, store: MemoryStore) -> None:
        self.clock = clock
        self.members = MemoryMembers(Member(1, "n1", (url("n1"),)))
        self._store = store
        self._ledger = Ledger(store, clock)
        self._tasks = [asyncio.create_task(self._ledger.follow())]

    def start(self, members: MemberList | None) -> "asyncio.Task[None]":
        keeping = asyncio.create_task(MemberKeeper(self._ledger, members, self.clock, node_id="n1").run())
        self._tasks.append(keeping)
        return keeping

    async def record(self, node: Node) -> None:
        await self._store.commit([Unit((Put(key_of(node), encode(node)),))])

    async def forget(self, node: Node) -> None:
        await self._store.commit([Unit((Delete(key_of(node)),))])

    async def join(self, name: str) -> None:
        """As a voting member."""
        await self.record(a_manager(name))
        await admit(self.members, name, url(name))
        self.members.start(name, url(name))
        await advance(self.clock, seconds=1)

    async def names(self) -> list[str]:
        return [member.name for member in await self.members.members() if member.votes]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, LeadershipLost):
                await task


@asynccontextmanager
async def a_term() -> AsyncIterator[Term]:
    clock = ManualClock()
    store = MemoryDatabase(clock).open()
    term = Term(clock, store)
    try:
        await term.record(a_manager("n1"))
        await settle(clock)
        yield term
    finally:
        await term.stop()
        await store.close()


async def test_a_member_that_started_soon_votes() -> None:
    async with a_term() as term:
        term.start(term.members)
        await term.join("n2")

        assert await term.names() == ["n1", "n2"]


async def test_a_manager_that_is_long_to_come_soon_votes_when_it_does() -> None:
    async with a_term() as term:
        term.start(term.members)
        await term.record(a_manager("n2"))
        await advance(term.clock, seconds=60)
        await admit(term.members, "n2", url("n2"))
        term.members.start("n2", url("n2"))
        await advance(term.clock, seconds=1)

        assert await term.names() == ["n1", "n2"]


async def test_a_demoted_managers_member_is_removed_at_once() -> None:
    async with a_term() as term:
        term.start(term.members)
        await term.join("n2")
        await term.record(a_node("n2"))
        await settle(term.clock)

        assert await term.names() == ["n1"]


async def test_what_a_node_that_is_gone_left_is_removed_at_the_start_of_the_next_term() -> None:
    async with a_term() as term:
        first = term.start(term.members)
        await term.join("n2")
        first.cancel()
        await term.forget(a_node("n2"))
        await settle(term.clock)
        assert await term.names() == ["n1", "n2"]
        term.start(term.members)
        await settle(term.clock)

        assert await term.names() == ["n1"]


async def test_what_cannot_be_removed_yet_is_removed_later() -> None:
    async with a_term() as term:
        term.start(term.members)
        await term.join("n2")
        await term.join("n3")
        term.members.stop("n3")
        await term.record(a_node("n2"))
        await advance(term.clock, seconds=60)
        # For the records all are ready; it is the database that refuses.
        assert await term.names() == ["n1", "n2", "n3"]
        term.members.start("n3", url("n3"))
        await advance(term.clock, seconds=5)

        assert await term.names() == ["n1", "n3"]


async def test_a_lost_majority_is_survived() -> None:
    async with a_term() as term:
        keeping = term.start(term.members)
        await term.join("n2")
        term.members.stop("n2")
        await advance(term.clock, seconds=60)
        assert not keeping.done()
        term.members.start("n2", url("n2"))
        await term.record(a_node("n2"))
        await advance(term.clock, seconds=5)

        assert await term.names() == ["n1"]


async def test_a_member_that_never_starts_makes_room_after_five_minutes() -> None:
    async with a_term() as term:
        term.start(term.members)
        await admit(term.members, "n2", url("n2"))
        await advance(term.clock, seconds=299)
        assert len(await term.members.members()) == 2
        await advance(term.clock, seconds=2)

        assert len(await term.members.members()) == 1


async def test_a_leader_that_is_to_be_no_manager_gives_its_term_up() -> None:
    async with a_term() as term:
        keeping = term.start(term.members)
        await term.join("n2")
        await term.record(a_node("n1"))
        await settle(term.clock)

        with pytest.raises(LeadershipLost, match="this node is to be a manager no more"):
            await keeping
        assert await term.names() == ["n1", "n2"]


async def test_with_the_operators_own_database_it_only_waits() -> None:
    async with a_term() as term:
        keeping = term.start(None)
        await term.record(a_node("n1"))
        await advance(term.clock, seconds=60)

        assert not keeping.done()


async def test_a_node_that_lost_its_data_is_admitted_under_a_new_id() -> None:
    async with a_term() as term:
        term.start(term.members)
        await term.join("n2")
        (_, before) = await term.members.members()
        await term.join("n2")
        await advance(term.clock, seconds=5)
        (_, after) = await term.members.members()

        assert (after.name, after.votes) == ("n2", True)
        assert after.id != before.id
