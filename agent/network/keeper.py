"""Keeps this node's links, packet rules and names as its picture says, and mends what others change.

Level-triggered: whatever happened, the newest picture is brought about, and what is there already costs nothing. What
the kernel has is remembered from one pass to the next, and read again now and then, when the kernel tells of a change
that was not ours, and after anything failed. A container's port and routes can only be put when its process is there:
that is a few hundredths of a second later.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

from agent.network.conntrack import Forgotten
from agent.network.departures import Departure, departed
from agent.network.drawing import mtu_of
from agent.network.links import BridgePort, Links, describe, leftovers, plan
from agent.network.picture import NO_PICTURE, Picture, Underlay, bridge_mac
from agent.network.port import KernelPort
from agent.network.rules import rules_of, why_not
from agent.network.rules_port import Features, PacketRules
from agent.network.shown_rules import ShownRules
from agent.network.table import NO_RULES, Ruleset, Table, script
from agent.network.tunnel_keeper import TunnelKeeper, no_tunnel
from agent.network.wanted import wanted
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


class Names(Protocol):
    """Answers the names of the picture, at the gateways of those of its networks that the engine has."""

    async def show(self, picture: Picture) -> None: ...


class Connections(Protocol):
    async def forget(self, departures: Sequence[Departure]) -> Forgotten: ...


class EngineRules(Protocol):
    async def mend(self) -> tuple[str, ...]:
        """What the engine's own packet filter must let pass; the answer says what was missing."""
        ...

    async def remove(self) -> None:
        """All that `mend` puts there."""
        ...


class Node(Protocol):
    """What the keeper reads of the node's tasks."""

    def picture(self, underlay: Underlay) -> tuple[Picture, int]:
        """As of now, and the revision that it reflects."""
        ...

    def bridges(self) -> frozenset[str]:
        """Those that the engine has, or may be making just now."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the keeper works on."""

    kernel: KernelPort
    rules: PacketRules
    names: Names
    connections: Connections
    engine_rules: EngineRules


@dataclass(slots=True)
class _Shown:
    """What is there, for all that is known. `links` None: not known. `ports` are by the container's pid."""

    picture: Picture = NO_PICTURE
    links: Links | None = None
    ports: Mapping[int, frozenset[BridgePort]] = field(default_factory=dict)
    networks: frozenset[str] = field(default_factory=frozenset)


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
        self._shown = _Shown()
        self._rules = ShownRules(clock, parts.rules)
        self._rules.on_doubt = self.wake
        self._wake = asyncio.Event()
        self._departures: list[Departure] = []
        self._departed = asyncio.Event()
        self._passed = asyncio.Condition()
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
        self.wake()
        try:
            async with self._passed:
                await within(self._clock, SHOWN_WITHIN, self._passed.wait_for(lambda: self._serves(network_id)))
        except TimeoutError:
            raise Unavailable(self.trouble or f"network {network_id} is not set up in the kernel yet") from None

    async def run(self) -> None:
        """Until cancelled."""
        self._features = await self._parts.rules.probe()
        beside = (self._rules.run(), self._look_now_and_then(), self._hear_the_kernel(), self._forget_departed())
        await together(self._follow(), *beside)

    async def clear(self) -> None:
        """Take away all of ours, as when the node leaves its cluster."""
        kernel = self._parts.kernel
        have = await kernel.read(NO_PICTURE)
        for operation in (*plan(Links(), have), *leftovers(Links(), have, frozenset())):
            await kernel.perform(operation)
        await self._tunnel.clear()
        features = await self._parts.rules.probe()
        tables = {"ip": Table(), "bridge": Table()} if features.bridge else {"ip": Table()}
        if features.rules:
            await self._parts.rules.apply(script(Ruleset(tables), NO_RULES))
        await self._parts.engine_rules.remove()

    def _serves(self, network_id: str) -> bool:
        return network_id in self._shown.networks

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                trouble = await self._bring_about()
            except SwarmpyError as error:
                trouble = str(error)
            self._note(trouble)
            if trouble:
                self._shown.links, self._is_suspicious = None, False
                with suppress(TimeoutError):
                    await within(self._clock, TRY_AGAIN_AFTER, self._wake.wait())
                self._wake.set()

    async def _look_now_and_then(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY)
            self._is_suspicious = True
            self._rules.look()
            self._wake.set()

    async def _hear_the_kernel(self) -> None:
        while True:
            with suppress(Unavailable):
                await self._parts.kernel.wait_until_changed()
                self._is_suspicious = True
                self._wake.set()
            await self._clock.sleep(TRY_AGAIN_AFTER)

    # One pass.

    async def _bring_about(self) -> str:
        """What of it the kernel refused, if anything; the rest is there."""
        underlay = await self._parts.kernel.underlay_of(self._address)
        picture, revision = self._node.picture(underlay)
        is_suspicious, self._is_suspicious = self._is_suspicious, False
        mended = await self._mended_by_hand(picture) if is_suspicious else ()
        sealing = await self._tunnel.bring_about(picture)
        # Rules first: links open what they close.
        mended += await self._bring_rules_about(picture)
        trouble = await self._bring_links_about(picture)
        await self._parts.names.show(picture)
        self._departures.extend(departed(self._shown.picture, picture))
        self._departed.set()
        self._shown.picture = picture
        async with self._passed:
            self._shown.networks = frozenset(id for id, network in picture.networks.items() if network.on_engine)
            self._passed.notify_all()
        self.on_shown(revision)
        if mended:
            log.warning("network.repaired", what="; ".join(mended))
            self.on_repair(mended)
        return sealing or trouble

    async def _mended_by_hand(self, picture: Picture) -> tuple[str, ...]:
        """What differs from what was brought about last; it is mended with the rest of the pass."""
        before = self._shown
        had = before.links
        before.links = is_there = await self._parts.kernel.read(before.picture, had.ports if had else frozenset())
        sealing = await self._tunnel.differences()
        missing = await self._parts.engine_rules.mend()
        if had is None:
            return ()
        # What was in containers that have ended is gone, and not missing.
        alive = {container.pid for container in is_there.containers}
        had = replace(
            had,
            ports=frozenset(port for pid, ports in before.ports.items() if pid in alive for port in ports) & had.ports,
            containers=frozenset(container for container in had.containers if container.pid in alive),
        )
        # Somebody may have plugged them in elsewhere.
        before.ports = {}
        return (*sealing, *map(describe, plan(had, is_there)), *missing)

    async def _ports_of(self, picture: Picture) -> frozenset[BridgePort]:
        """Only those of new containers are looked for."""
        pids = {task.pid for task in picture.tasks.values() if task.pid}
        known = {pid: ports for pid, ports in self._shown.ports.items() if pid in pids}
        self._shown.ports = {**known, **await self._parts.kernel.ports_of(pids - known.keys(), picture.networks)}
        return frozenset(port for ports in self._shown.ports.values() for port in ports)

    async def _bring_links_about(self, picture: Picture) -> str:
        shown, kernel = self._shown, self._parts.kernel
        if shown.links is None:
            shown.ports = {}
        ports = await self._ports_of(picture)
        if shown.links is None:
            shown.links = await kernel.read(picture, ports)
            await self._parts.engine_rules.mend()
        want = wanted(picture, ports, has_rules=self._rules.are_in_force)
        have, shown.links = shown.links, None
        obstacles: list[SwarmpyError] = []
        for operation in (*plan(want, have), *leftovers(want, have, self._node.bridges())):
            log.debug("network.operation", what=describe(operation))
            try:
                await kernel.perform(operation)
            except SwarmpyError as error:
                if isinstance(error, NotFound) and isinstance(operation.thing, BridgePort):
                    # Its container has ended meanwhile.
                    shown.ports = {}
                else:
                    # One peer's trouble is not the others'.
                    obstacles.append(error)
        shown.links = None if obstacles else want
        return str(obstacles[0]) if obstacles else ""

    async def _bring_rules_about(self, picture: Picture) -> tuple[str, ...]:
        macs = {id: bridge_mac(network.subnet) for id, network in picture.networks.items() if network.on_engine}
        if not self._features.rules:
            return ()
        return await self._rules.bring_about(rules_of(picture, macs, self._features))

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
