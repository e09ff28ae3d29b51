"""Each part of a node's networks is brought about by itself: what one refuses is told, and stops no other."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from support.keeper_stage import EMPTY, ONE, TWO, running, with_a_container

from agent.network.keeper import LOOK_EVERY, TRY_AGAIN_AFTER
from agent.network.rules_port import Features, MemoryRules, RulesRefused
from agent.network.wanted import wanted
from swarmpy.errors import Forbidden, Unavailable


async def test_the_engines_rules_are_mended_by_themselves() -> None:
    async with running() as stage:
        stage.engine_refuses = Unavailable("iptables took longer than 15 s")
        await stage.becomes(ONE)
        assert stage.links_are_as_wanted()
        assert "10.0.1.0/24" in stage.packet_rules.applied[-1]
        assert stage.names[-1] == ONE
        await stage.settled(lambda: stage.keeper.trouble == "iptables took longer than 15 s")

        stage.engine_refuses = None
        await stage.rests()
        await stage.settled(lambda: stage.keeper.trouble == "")
        assert stage.repaired == []


class _Refusing(MemoryRules):
    refuses = True

    async def apply(self, script: str) -> None:
        if self.refuses:
            raise RulesRefused("the kernel did not take the packet rules: no such file")
        await super().apply(script)


async def test_names_and_links_are_there_without_rules_but_count_as_shown_only_with_them() -> None:
    rules = _Refusing()
    async with running(rules) as stage:
        stage.now = ONE
        stage.keeper.wake()
        await stage.settled(lambda: "did not take the packet rules" in stage.keeper.trouble)
        assert stage.kernel.kernel.look(ONE) == wanted(ONE, has_rules=False)
        assert stage.names[-1] == ONE
        assert stage.shown == []

        rules.refuses = False
        await stage.rests()
        await stage.settled(lambda: stage.shown[-1:] == [stage.revision])


async def test_names_need_no_kernel() -> None:
    async with running() as stage:
        there = stage.kernel.kernel.underlay
        stage.kernel.kernel.underlay = replace(there, address=there.address + 1)
        stage.now = ONE
        stage.keeper.wake()
        await stage.settled(lambda: bool(stage.names))
        assert stage.names[-1].networks == ONE.networks
        assert stage.shown == []


async def test_a_kernel_that_gets_its_rules_later_shows_maps_from_then_on() -> None:
    rules = MemoryRules(Features(rules=False, reason="nft cannot be started"))
    async with running(rules) as stage:
        stage.now = ONE
        stage.keeper.wake()
        await stage.settled(lambda: bool(stage.names))
        await stage.keeper.provide("net1")
        assert stage.shown == []
        assert stage.keeper.limits != ()

        rules.features = Features()
        stage.clock.advance(LOOK_EVERY)
        await stage.settled(lambda: stage.shown == [stage.revision])
        assert "10.0.1.0/24" in rules.applied[-1]
        assert stage.keeper.limits == ()


async def test_while_nobody_has_said_what_is_to_be_all_stays_as_it_is() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        kernel, applied = stage.kernel.kernel, list(stage.packet_rules.applied)
        there = kernel.look(ONE)
        stage.is_known, stage.now = False, EMPTY
        stage.keeper.wake()
        await stage.rests()
        assert kernel.look(ONE) == there
        assert (stage.packet_rules.applied, len(stage.names)) == (applied, 1)

        stage.is_known = True
        await stage.becomes(EMPTY)
        assert kernel.routes == {}


async def test_a_kernel_that_tells_nothing_ends_nothing() -> None:
    async def forbidden() -> None:
        raise Forbidden("the kernel's links and routes may not be read or changed: the agent needs root")

    async with running() as stage:
        stage.kernel.wait_until_changed = forbidden  # type: ignore[method-assign]
        await stage.becomes(ONE)
        stage.clock.advance(TRY_AGAIN_AFTER)
        await stage.becomes(TWO)


async def test_a_network_that_the_engine_has_since_the_last_pass_is_waited_for() -> None:
    """An earlier picture may have had it, and it was removed and made again."""
    async with running() as stage:
        await stage.becomes(ONE)
        await stage.becomes(EMPTY)
        stage.now = ONE
        before = len(stage.shown)
        await stage.keeper.provide("net1")
        assert len(stage.shown) == before + 1
        waiting = asyncio.ensure_future(stage.keeper.provide("net1"))
        await stage.settled(waiting.done)
        assert len(stage.shown) == before + 2


async def test_a_device_that_is_said_to_be_in_two_networks_is_moved_to_neither() -> None:
    async with running() as stage:
        await stage.becomes(TWO)
        kernel, address = stage.kernel.kernel, IPv4Address("10.0.7.9")
        here = with_a_container(stage, 10)
        kernel.containers[10][address] = "veth10"
        before = kernel.ports["veth10"]
        both = {"net1": IPv4Address("10.0.1.10"), "net2": address}
        await stage.becomes(replace(TWO, tasks={"t10": replace(here.tasks["t10"], addresses=both)}))
        assert kernel.ports["veth10"] == before
        assert stage.keeper.trouble == ""


async def test_a_containers_own_trouble_is_not_the_nodes() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        here = with_a_container(stage, 10)
        lost = {"net1": IPv4Address("10.0.1.10"), "net2": IPv4Address("10.0.7.9")}
        two = replace(
            TWO, networks={id: replace(TWO.networks[id], ranges=(IPv4Network("10.0.0.0/16"),)) for id in lost}
        )
        await stage.becomes(replace(two, tasks={"t10": replace(here.tasks["t10"], addresses=lost)}))
        assert stage.keeper.trouble == ""
        stage.clock.advance(LOOK_EVERY)
        await stage.becomes(stage.now)
        assert (stage.keeper.trouble, stage.repaired) == ("", [])
