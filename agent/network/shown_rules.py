"""What the kernel has of our packet rules, for all that is known: brings it to what is wanted, by the difference, and
notices other hands.

Other hands are noticed by a fingerprint, and with thousands of services that takes longer than a change does: it is
taken and compared beside the passes, and when no change came for a while. It says something only if nobody else touched
packet rules since our last script, which the kernel's generation tells; or else the next look writes the whole.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from agent.network.rules_port import PacketRules, RulesRefused
from agent.network.table import NO_RULES, Ruleset, render, script
from swarmpy.clock import Clock

QUIET = timedelta(seconds=1)
TAMPERED = "packet rules of swarmpy were changed by somebody else"


class ShownRules:
    """`on_doubt` is called when they are to be brought about once more."""

    def __init__(self, clock: Clock, rules: PacketRules) -> None:
        self._clock = clock
        self._rules = rules
        self._known = NO_RULES
        self._fingerprint = ""
        self._generation: int | None = None
        self._changes = 0
        self._to_take = asyncio.Event()
        self._is_tampered = self._are_in_force = False
        self.on_doubt: Callable[[], None] = lambda: None

    @property
    def are_in_force(self) -> bool:
        """The last ruleset was taken, and nobody is known to have changed it."""
        return self._are_in_force

    async def bring_about(self, ruleset: Ruleset) -> tuple[str, ...]:
        """Sentences of what was mended by it."""
        text = script(self._known, ruleset)
        if text:
            self._forget_fingerprint()
            self._are_in_force = False
            try:
                await self._apply(text)
            except RulesRefused:
                self._known = NO_RULES
                await self._apply(render(ruleset))
            finally:
                # One that was taken meanwhile may be of what was there before.
                self._forget_fingerprint()
            self._known = ruleset
        self._are_in_force = True
        mended, self._is_tampered = (TAMPERED,) if self._is_tampered else (), False
        return mended

    def look(self) -> None:
        """It is time to notice other hands. Where that cannot be, for changes came one after another, the next pass
        writes the whole."""
        if self._fingerprint:
            self._to_take.set()
        else:
            self._known = NO_RULES

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._to_take.wait()
            self._to_take.clear()
            before = self._changes
            if not self._fingerprint:
                await self._clock.sleep(QUIET)
            if before == self._changes:
                seen, generation = await self._rules.fingerprint(), await self._rules.generation()
                if before == self._changes:
                    self._compare(seen, generation)
                    continue
            self._to_take.set()

    def _forget_fingerprint(self) -> None:
        self._changes, self._fingerprint = self._changes + 1, ""
        self._to_take.set()

    async def _apply(self, text: str) -> None:
        before = await self._rules.generation()
        await self._rules.apply(text)
        after = await self._rules.generation()
        is_ours_alone = before is not None and after == (before + 1) % (1 << 32)
        self._generation = after if is_ours_alone else None

    def _compare(self, seen: str | None, generation: int | None) -> None:
        if seen is None:
            return
        if not self._fingerprint:
            if generation is not None and generation == self._generation:
                self._fingerprint = seen
        elif self._fingerprint != seen:
            self._known, self._fingerprint, self._is_tampered = NO_RULES, "", True
            self._are_in_force = False
            self.on_doubt()
