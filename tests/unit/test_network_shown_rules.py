"""What the kernel has of our rules, while listing them and changing them get in each other's way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.network.rules_port import MemoryRules, RulesRefused
from agent.network.shown_rules import QUIET, TAMPERED, ShownRules
from agent.network.table import Chain, Ruleset, Table
from swarmpy.clock import ManualClock


class _Heavy(MemoryRules):
    """A script takes until it is let through; the rules are what they were until then."""

    def __init__(self) -> None:
        super().__init__()
        self.may_pass = asyncio.Event()
        self.may_pass.set()
        self.listed = 0

    async def apply(self, script: str) -> None:
        await self.may_pass.wait()
        await super().apply(script)

    async def fingerprint(self) -> str | None:
        self.listed += 1
        return await super().fingerprint()


def rules(text: str) -> Ruleset:
    return Ruleset({"ip": Table({"one": Chain((text,))})})


async def rest(clock: ManualClock) -> None:
    for _ in range(4):
        clock.advance(QUIET)
        for _ in range(20):
            await asyncio.sleep(0)


async def test_rules_that_are_listed_while_they_change_are_not_taken_for_another_hand() -> None:
    clock, kernel = ManualClock(), _Heavy()
    shown = ShownRules(clock, kernel)
    doubts: list[None] = []
    shown.on_doubt = lambda: doubts.append(None)
    work = asyncio.ensure_future(shown.run())
    await shown.bring_about(rules("accept"))

    kernel.may_pass.clear()
    change = asyncio.ensure_future(shown.bring_about(rules("drop")))
    await rest(clock)
    assert kernel.listed == 1
    kernel.may_pass.set()
    await change
    await rest(clock)
    shown.look()
    await rest(clock)

    assert (kernel.listed, doubts) == (3, [])
    kernel.tampered += 1
    shown.look()
    await rest(clock)
    assert len(doubts) == 1
    assert await shown.bring_about(rules("drop")) == (TAMPERED,)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


@asynccontextmanager
async def running(kernel: MemoryRules) -> AsyncIterator[tuple[ManualClock, ShownRules]]:
    clock = ManualClock()
    shown = ShownRules(clock, kernel)
    work = asyncio.ensure_future(shown.run())
    try:
        yield clock, shown
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


@pytest.mark.parametrize("hand", ["tampered", "others"])
async def test_what_others_do_right_after_our_change_is_not_what_is_compared_with(hand: str) -> None:
    kernel = MemoryRules()
    async with running(kernel) as (clock, shown):
        await shown.bring_about(rules("accept"))
        setattr(kernel, hand, 1)
        await rest(clock)
        shown.look()
        await shown.bring_about(rules("accept"))
        assert kernel.applied[-1].startswith("add table ip swarmpy\ndelete table")
        await rest(clock)
        written = len(kernel.applied)
        shown.look()
        await shown.bring_about(rules("accept"))
        assert len(kernel.applied) == written


class _Unlisted(MemoryRules):
    can_be_listed = True

    async def fingerprint(self) -> str | None:
        return await super().fingerprint() if self.can_be_listed else None


async def test_a_listing_that_failed_says_nothing() -> None:
    kernel = _Unlisted()
    async with running(kernel) as (clock, shown):
        doubts: list[None] = []
        shown.on_doubt = lambda: doubts.append(None)
        await shown.bring_about(rules("accept"))
        await rest(clock)
        kernel.can_be_listed = False
        shown.look()
        await rest(clock)
        assert doubts == []
        kernel.can_be_listed, kernel.tampered = True, 1
        assert shown.are_in_force
        shown.look()
        await rest(clock)
        assert (doubts, shown.are_in_force) == ([None], False)


class _Closed(MemoryRules):
    async def apply(self, script: str) -> None:
        raise RulesRefused("the kernel did not take the packet rules: no")


async def test_rules_are_in_force_once_they_were_taken() -> None:
    shown = ShownRules(ManualClock(), MemoryRules())
    assert not shown.are_in_force
    await shown.bring_about(rules("accept"))
    assert shown.are_in_force
    refused = ShownRules(ManualClock(), _Closed())
    with pytest.raises(RulesRefused):
        await refused.bring_about(rules("accept"))
    assert not refused.are_in_force
