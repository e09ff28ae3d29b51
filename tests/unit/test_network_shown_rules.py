"""What the kernel has of our rules, while listing them and changing them get in each other's way."""

import asyncio

from agent.network.rules_port import MemoryRules
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

    async def fingerprint(self) -> str:
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
