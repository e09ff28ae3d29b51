"""Keeps this node's links, packet rules and names as its picture says, and mends what others change.

Level-triggered: whatever happened, the newest picture is brought about, and what is there already costs nothing. Each
part is attempted by itself, and what one of them refuses is told. What others change is noticed when the kernel tells,
and when it is looked for now and then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from agent.network.departures import Departure, departed
from agent.network.drawing import mtu_of
from agent.network.parts import Node, Parts
from agent.network.picture import NO_PICTURE, Picture, bridge_mac
from agent.network.rules import rules_of, why_not
from agent.network.rules_port import Features
from agent.network.shown_links import ShownLinks
from agent.network.shown_rules import ShownRules
from agent.network.table import NO_RULES, Ruleset, Table, script
from agent.network.tunnel_keeper import TunnelKeeper, no_tunnel
from swarmpy.clock import Clock, within
from swarmpy.errors import NotFound, SwarmpyError, Unavailable
from swarmpy.logs import logger
from swarmpy.together import together
from swarmpy.wire import NetworkAssignment

log = logger("network")

# What somebody deleted is to be back within 15 s, a listing of thousands of rules and the mending included.
LOOK_EVERY = timedelta(seconds=10)
TRY_AGAIN_AFTER = timedelta(seconds=1)
# A container waits so long for its network to be shown before it is tried again.
SHOWN_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class _Served:
    """By the pass of that number: networks whose containers have all that is theirs."""

    by_pass: int = 0
    networks: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Pass:
    """What comes of one: sentences of what was refused, and of what others had changed."""

    troubles: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)

    def note(self, trouble: str) -> None:
        if trouble:
            self.troubles.append(trouble)

    async def attempt(self, work: Awaitable[None]) -> bool:
        """Did it come to its end?"""
        try:
            await work
        except SwarmpyError as error:
            self.note(str(error))
            return False
        return True


class NetworkKeeper:
    """`on_shown` hears the revision of each picture that is brought about, `on_repair` sentences of what was mended,
    `on_trouble` that `limits` are others now."""

    def __init__(
        self, clock: Clock, node: Node, parts: Parts, address: str, tunnel: TunnelKeeper | None = None
    ) -> None:
        self._clock = clock
        self._node = node
        self._parts = parts
        self._address = address
        self._tunnel = tunnel or no_tunnel()
        self._features = Features()
        self._links = ShownLinks(parts.kernel, node.bridges)
        self._rules = ShownRules(clock, parts.rules)
        self._rules.on_doubt = self.wake
        self._wake = asyncio.Event()
        self._departures: list[Departure] = []
        self._departed = asyncio.Event()
        self._passed = asyncio.Condition()
        self._passes = 0
        self._served = _Served()
        self._departed_from = NO_PICTURE
        self._underlay = NO_PICTURE.underlay
        self._engine_rules_are_looked_at = self._engine_rules_are_known = False
        self._is_suspicious = False
        self.trouble = ""
        self.on_shown: Callable[[int], None] = lambda revision: None
        self.on_repair: Callable[[Sequence[str]], None] = lambda sentences: None
        self.on_trouble: Callable[[], None] = lambda: None

    @property
    def limits(self) -> tuple[str, ...]:
        """What does not work here, in sentences."""
        return (*why_not(self._features), *filter(None, (self.trouble,)))

    async def wireguard_key(self) -> str:
        """By which peers reach this node in encrypted networks; empty where it can have none."""
        key = await self._tunnel.public_key()
        # Without packet rules nothing keeps others from sending in the clear what looks like such a network's.
        return key if self._features.rules else ""

    def wake(self) -> None:
        """The picture may be another."""
        self._wake.set()

    async def complete(self, network: NetworkAssignment) -> NetworkAssignment:
        """With the MTU that the underlay leaves room for, where none was wished."""
        try:
            underlay = await self._parts.kernel.underlay_of(self._address)
        except NotFound as error:
            raise Unavailable(str(error)) from None
        return network.model_copy(update={"mtu": mtu_of(network, underlay)})

    async def provide(self, network_id: str) -> None:
        """Until containers of that network, which the engine has, are served. Raises `Unavailable` when that takes too
        long; trying again is right."""
        # One that runs just now may have begun before the engine had the network.
        asked_in = self._passes
        self.wake()

        def is_served() -> bool:
            return self._served.by_pass > asked_in and network_id in self._served.networks

        try:
            async with self._passed:
                await within(self._clock, SHOWN_WITHIN, self._passed.wait_for(is_served))
        except TimeoutError:
            raise Unavailable(self.trouble or f"network {network_id} is not set up in the kernel yet") from None

    async def run(self) -> None:
        """Until cancelled."""
        self._features = await self._parts.rules.probe()
        beside = (self._rules.run(), self._look_now_and_then(), self._hear_the_kernel(), self._forget_departed())
        await together(self._follow(), *beside)

    async def clear(self) -> None:
        """Take away all of ours, as when the node leaves its cluster."""
        await self._links.clear()
        await self._tunnel.clear()
        features = await self._parts.rules.probe()
        tables = {"ip": Table(), "bridge": Table()} if features.bridge else {"ip": Table()}
        if features.rules:
            await self._parts.rules.apply(script(Ruleset(tables), NO_RULES))
        await self._parts.engine_rules.remove()

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            trouble = await self._bring_about()
            self._note(trouble)
            if trouble:
                with suppress(TimeoutError):
                    await within(self._clock, TRY_AGAIN_AFTER, self._wake.wait())
                self._wake.set()

    async def _look_now_and_then(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY)
            self._is_suspicious = True
            self._rules.look()
            await self._probe_again()
            self._wake.set()

    async def _probe_again(self) -> None:
        """`nft` may be installed meanwhile, or its module loaded."""
        if not self._features.rules:
            self._features = await self._parts.rules.probe()
            if self._features.rules:
                self.on_trouble()

    async def _hear_the_kernel(self) -> None:
        while True:
            # What keeps the node from working, the passes tell.
            with suppress(SwarmpyError):
                await self._parts.kernel.wait_until_changed()
                self._is_suspicious = True
                self._wake.set()
            await self._clock.sleep(TRY_AGAIN_AFTER)

    # One pass.

    async def _bring_about(self) -> str:
        """What of it was refused, if anything; the rest is there. No part waits for another one's health."""
        self._passes += 1
        done = _Pass()
        has_underlay = await done.attempt(self._find_underlay())
        told = self._node.picture(self._underlay)
        if told is None:
            # What is there is the work of whoever knew more.
            return ""
        picture, revision = told
        has_kernel = has_underlay and await self._bring_kernel_about(picture, done)
        has_names = await done.attempt(self._parts.names.show(picture))
        await done.attempt(self._look_at_engine_rules(done))
        if has_kernel and has_names:
            await self._say_served(picture)
            if self._features.rules:
                self.on_shown(revision)
        if done.mended:
            log.warning("network.repaired", what="; ".join(done.mended))
            self.on_repair(tuple(done.mended))
        return next(iter(done.troubles), "")

    async def _find_underlay(self) -> None:
        self._underlay = await self._parts.kernel.underlay_of(self._address)

    async def _bring_kernel_about(self, picture: Picture, done: _Pass) -> bool:
        """Links for all that can be reached, and the rules, as far as this kernel has any."""
        is_suspicious, self._is_suspicious = self._is_suspicious, False
        if is_suspicious:
            self._engine_rules_are_looked_at = False
            await done.attempt(self._look_at_links(done))
            done.mended.extend(await self._tunnel.differences())
        done.note(await self._tunnel.bring_about(picture))
        # Rules first: links open what they close.
        has_rules = await done.attempt(self._bring_rules_about(picture, done))
        has_links = await done.attempt(self._bring_links_about(picture, done))
        if has_rules:
            self._departures.extend(departed(self._departed_from, picture))
            self._departed.set()
            self._departed_from = picture
        return has_links and has_rules

    async def _look_at_links(self, done: _Pass) -> None:
        done.mended.extend(await self._links.differences())

    async def _bring_links_about(self, picture: Picture, done: _Pass) -> None:
        done.note(await self._links.bring_about(picture, has_rules=self._rules.are_in_force))

    async def _bring_rules_about(self, picture: Picture, done: _Pass) -> None:
        macs = {id: bridge_mac(network.subnet) for id, network in picture.networks.items() if network.on_engine}
        if self._features.rules:
            done.mended.extend(await self._rules.bring_about(rules_of(picture, macs, self._features)))

    async def _look_at_engine_rules(self, done: _Pass) -> None:
        if not self._engine_rules_are_looked_at:
            missing = await self._parts.engine_rules.mend()
            self._engine_rules_are_looked_at = True
            # At first none of them is there, and that is nobody's doing.
            done.mended.extend(missing if self._engine_rules_are_known else ())
            self._engine_rules_are_known = True

    async def _say_served(self, picture: Picture) -> None:
        networks = frozenset(id for id, network in picture.networks.items() if network.on_engine)
        async with self._passed:
            self._served = _Served(self._passes, networks)
            self._passed.notify_all()

    async def _forget_departed(self) -> None:
        """Beside the passes: kernels with many connections take their time, and the next picture must not wait."""
        while True:
            await self._departed.wait()
            self._departed.clear()
            gone, self._departures = tuple(self._departures), []
            forgotten = await self._parts.connections.forget(gone)
            if forgotten.why_not:
                log.warning("network.connections_kept", reason=forgotten.why_not)

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            if trouble:
                log.error("network.not_set_up", reason=trouble)
            else:
                log.info("network.set_up_again")
            self.trouble = trouble
            self.on_trouble()
