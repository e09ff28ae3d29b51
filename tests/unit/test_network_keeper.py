"""The keeper brings the newest picture about, says when it is there, and mends what others change."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.assignments import a_network as an_assigned_network
from support.keeper_stage import EMPTY, ONE, PEER, TWO, Stage, running, with_a_container
from support.pictures import a_network, a_peer, a_picture

from agent.network.departures import Departure
from agent.network.keeper import LOOK_EVERY, SHOWN_WITHIN
from agent.network.links import BridgePort, ContainerRoutes, Route
from agent.network.rules_port import Features, MemoryRules, RulesRefused
from agent.network.shown_rules import QUIET, TAMPERED
from agent.network.tunnel import NO_TUNNEL, wanted_tunnel
from agent.network.tunnel_keeper import TunnelKeeper
from agent.network.tunnel_port import MemoryTunnels
from agent.network.wanted import wanted
from swarmpy.errors import Unavailable
from swarmpy.network_map import Endpoint, MappedService


async def test_what_the_picture_says_is_brought_about_and_then_told() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        assert stage.links_are_as_wanted()
        assert "10.0.1.0/24" in stage.packet_rules.applied[-1]
        assert stage.names[-1] == ONE

        await stage.becomes(EMPTY)
        assert stage.kernel.kernel.vteps == {} == stage.kernel.kernel.routes
        assert stage.repaired == []


async def test_what_does_not_change_costs_the_kernel_nothing() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        performed, applied = len(stage.kernel.performed), len(stage.packet_rules.applied)
        await stage.becomes(ONE)
        assert (len(stage.kernel.performed), len(stage.packet_rules.applied)) == (performed, applied)


async def test_what_is_deleted_by_hand_is_back_at_once_when_the_kernel_tells_and_is_told() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        route = next(iter(stage.kernel.kernel.routes.values()))
        assert isinstance(route, Route)
        stage.kernel.lose(route)
        await stage.settled(lambda: bool(stage.repaired))
        assert stage.links_are_as_wanted()
        assert stage.repaired == [f"route 10.0.2.0/24 to node-2 on {route.device} was missing"]


async def test_what_the_kernel_does_not_tell_is_mended_within_the_time_between_two_looks() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        await stage.rests()
        applied = len(stage.packet_rules.applied)
        stage.packet_rules.tampered += 1
        stage.missing_engine_rules = ("iptables rule was missing",)
        stage.clock.advance(LOOK_EVERY)
        await stage.settled(lambda: len(stage.repaired) == 2)
        assert len(stage.packet_rules.applied) == applied + 1
        assert {*stage.repaired} == {TAMPERED, "iptables rule was missing"}


async def test_rules_that_changed_until_the_look_are_written_whole() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        applied = len(stage.packet_rules.applied)
        stage.clock.advance(LOOK_EVERY - QUIET / 2)
        await stage.becomes(TWO)
        stage.clock.advance(QUIET / 2)
        await stage.settled(lambda: len(stage.packet_rules.applied) == applied + 2)
        assert stage.packet_rules.applied[-1].startswith("add table bridge swarmpy\ndelete table")
        assert stage.repaired == []


class _Slow(MemoryRules):
    """Many rules are long to list."""

    def __init__(self) -> None:
        super().__init__()
        self.listed = asyncio.Event()
        self.asked = 0

    async def fingerprint(self) -> str | None:
        self.asked += 1
        await self.listed.wait()
        return await super().fingerprint()


async def test_no_change_waits_for_the_rules_to_be_listed_and_many_changes_are_listed_once() -> None:
    async with running(_Slow()) as stage:
        rules = stage.packet_rules
        assert isinstance(rules, _Slow)
        await stage.becomes(ONE)
        await stage.rests()
        await stage.settled(lambda: rules.asked == 1)
        for picture in (TWO, ONE, TWO):
            await stage.becomes(picture)
        rules.listed.set()
        await stage.rests()
        assert rules.asked == 2
        stage.clock.advance(LOOK_EVERY)
        await stage.settled(lambda: rules.asked == 3)
        assert stage.repaired == []


async def test_a_container_has_its_place_and_its_routes_as_soon_as_it_runs() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        for pid in (10, 11):
            performed = len(stage.kernel.performed)
            await stage.becomes(with_a_container(stage, pid))
            things = [operation.thing for operation in stage.kernel.performed[performed:]]
            assert [type(thing) for thing in things] == [BridgePort, ContainerRoutes]
            assert stage.kernel.kernel.ports[f"veth{pid}"].hairpin
            (way,) = stage.kernel.kernel.inside[pid].ways
            assert str(way) == "10.0.0.0/16 via 10.0.1.1"


async def test_a_bridge_is_given_the_mtu_of_its_containers_and_that_is_no_repair() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        picture, kernel = with_a_container(stage, 10), stage.kernel.kernel
        kernel.devices["veth10"] = 1500
        await stage.becomes(picture)
        assert kernel.bridges[a_network().bridge].mtu == 1500
        stage.clock.advance(LOOK_EVERY)
        await stage.rests()
        assert (kernel.bridges[a_network().bridge].mtu, stage.repaired) == (1500, [])


async def test_a_container_that_has_ended_is_nothing_to_repair_and_one_that_lost_its_routes_is() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        await stage.becomes(with_a_container(stage, 10))
        await stage.becomes(with_a_container(stage, 11))
        kernel = stage.kernel.kernel
        kernel.lose(kernel.inside[11])
        del kernel.containers[10], kernel.ports["veth10"], kernel.devices["veth10"]
        stage.clock.advance(LOOK_EVERY)
        await stage.settled(lambda: bool(stage.repaired))
        assert stage.repaired == [
            "set of routes in the container of task t11 was not as it is to be: ways none, not 10.0.0.0/16 via 10.0.1.1"
        ]
        assert stage.keeper.trouble == ""
        assert kernel.inside[11].ways


async def test_a_container_waits_until_its_network_is_served() -> None:
    async with running() as stage:
        await stage.becomes(a_picture(a_network(on_engine=False)))
        waiting = asyncio.ensure_future(stage.keeper.provide("net1"))
        await asyncio.sleep(0)
        assert not waiting.done()
        await stage.becomes(ONE)
        await waiting
        await stage.keeper.provide("net1")


async def test_a_network_that_is_not_served_in_time_is_tried_again() -> None:
    async with running() as stage:
        waiting = asyncio.ensure_future(stage.keeper.provide("net1"))
        await stage.settled(lambda: stage.shown != [])
        stage.clock.advance(SHOWN_WITHIN)
        with pytest.raises(Unavailable, match="network net1 is not set up in the kernel yet"):
            await waiting


async def test_a_node_whose_address_is_not_its_own_says_so_and_goes_on_when_it_is() -> None:
    async with running() as stage:
        there = stage.kernel.kernel.underlay
        stage.kernel.kernel.underlay = replace(there, address=there.address + 1)
        stage.keeper.wake()
        await stage.settled(lambda: "no device of this node has the address 192.0.2.1" in stage.keeper.trouble)
        assert stage.shown == []
        stage.kernel.kernel.underlay = there
        await stage.becomes(ONE)
        assert stage.keeper.trouble == ""


async def test_an_obstacle_to_one_peer_keeps_nobody_else_from_being_reached() -> None:
    async with running() as stage:
        kernel = stage.kernel.kernel
        (route,) = wanted(ONE).routes
        stranger = replace(route, device="eth0", via=None)
        kernel.routes[stranger.key] = stranger
        other = a_peer("node-3", "10.0.3.0/24", "192.0.2.3")
        await stage.becomes(a_picture(a_network(), peers=(PEER, other)))
        assert "10.0.2.0/24" in stage.keeper.trouble
        assert {one.subnet for one in wanted(stage.now).routes} == {one.subnet for one in kernel.routes.values()}


class _Stubborn(MemoryRules):
    """Refuses differences, as a kernel does whose rules are not what was thought."""

    async def apply(self, script: str) -> None:
        if "delete table" not in script:
            raise RulesRefused("no such chain")
        await super().apply(script)


async def test_rules_that_do_not_fit_what_is_there_are_written_whole() -> None:
    async with running(_Stubborn()) as stage:
        await stage.becomes(ONE)
        await stage.becomes(TWO)
        assert "10.0.7.0/24" in stage.packet_rules.applied[-1]


async def test_datagrams_to_a_back_end_that_left_are_not_remembered() -> None:
    service = MappedService(network_id="net1", service_id="s", names=("web",), vip="10.0.0.5")
    endpoint = Endpoint(network_id="net1", task_id="t", service_id="s", node_id="node-2", address="10.0.2.9")
    full = replace(ONE, map=replace(ONE.map, services={service.key: service}, endpoints={endpoint.key: endpoint}))
    async with running() as stage:
        await stage.becomes(full)
        assert stage.departures == []
        await stage.becomes(replace(full, map=replace(full.map, endpoints={})))
        await stage.settled(lambda: stage.departures == [Departure("10.0.2.9", "10.0.0.5")])


async def test_two_wishes_while_one_pass_runs_are_one_more_pass() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        before = len(stage.shown)
        for _ in range(5):
            stage.revision += 1
            stage.keeper.wake()
        await stage.settled(lambda: stage.shown[-1] == stage.revision)
        assert len(stage.shown) <= before + 2
        stage.clock.advance(timedelta(seconds=1))


async def test_an_encrypted_network_has_its_tunnel_and_gets_it_back(tmp_path: Path) -> None:
    tunnels, peer = MemoryTunnels(), PEER.model_copy(update={"wireguard_key": "k2"})
    sealed = a_picture(a_network(encrypted=True), peers=(peer,))
    async with running(tunnel=TunnelKeeper(tunnels, tmp_path / "wireguard.key")) as stage:
        stage.kernel.kernel.add_device("spwg0")
        key = await stage.keeper.wireguard_key()
        await stage.becomes(sealed)
        assert tunnels.tunnel == wanted_tunnel(sealed, key) != NO_TUNNEL
        assert stage.links_are_as_wanted()

        tunnels.tunnel = NO_TUNNEL
        stage.clock.advance(LOOK_EVERY)
        await stage.settled(lambda: bool(stage.repaired))
        assert stage.repaired == ["WireGuard device spwg0 was missing", "WireGuard peer node-2 was missing"]
        assert tunnels.tunnel == wanted_tunnel(sealed, key)

        await stage.keeper.clear()
        assert tunnels.tunnel == NO_TUNNEL


async def test_without_a_tunnel_an_encrypted_network_has_no_way_and_others_have_theirs() -> None:
    plain = a_network("plain", "10.0.7.0/24")
    async with running() as stage:
        assert await stage.keeper.wireguard_key() == ""
        peer = PEER.model_copy(update={"wireguard_key": "k2"})
        other = a_peer("node-2", "10.0.8.0/24", "192.0.2.2", "plain")
        await stage.becomes(a_picture(a_network(encrypted=True), plain, peers=(peer, other)))
        assert {route.device for route in stage.kernel.kernel.routes.values()} == {plain.vtep}
        assert stage.keeper.trouble.startswith("networks cannot be encrypted")


async def test_where_packet_rules_cannot_be_set_no_network_can_be_encrypted(tmp_path: Path) -> None:
    async with running(tunnel=TunnelKeeper(MemoryTunnels(), tmp_path / "wireguard.key")) as stage:
        assert await stage.keeper.wireguard_key()
    rules = MemoryRules(Features(rules=False))
    async with running(rules, TunnelKeeper(MemoryTunnels(), tmp_path / "wireguard.key")) as stage:
        stage.keeper.wake()
        await stage.settled(lambda: bool(stage.names))
        assert await stage.keeper.wireguard_key() == ""


async def test_loopback_addresses_are_routed_only_once_rules_keep_containers_from_them() -> None:
    kept: list[bool] = []

    class Watched(MemoryRules):
        async def apply(self, script: str) -> None:
            kept.append(any("route_localnet" in str(one.thing) for one in stage.kernel.performed))
            await super().apply(script)

    async with running(Watched()) as stage:
        await stage.becomes(ONE)
        assert kept == [False]
        assert _loopback_values(stage) == {"1"}
    async with running(MemoryRules(Features(rules=False))) as stage:
        stage.now = ONE
        stage.keeper.wake()
        await stage.settled(lambda: bool(stage.names))
        assert _loopback_values(stage) == {"0"}


def _loopback_values(stage: Stage) -> set[str]:
    there = stage.kernel.kernel.look(stage.now).sysctls
    return {setting.value for setting in there if setting.path.endswith("route_localnet")}


async def test_a_node_that_leaves_takes_all_of_its_own_away() -> None:
    async with running() as stage:
        await stage.becomes(ONE)
        await stage.keeper.clear()
        kernel = stage.kernel.kernel
        assert (kernel.bridges, kernel.vteps, kernel.routes, stage.engine_rules_are_gone) == ({}, {}, {}, True)
        assert stage.packet_rules.applied[-1].splitlines()[-1].startswith("delete table")


async def test_the_engine_makes_a_network_with_what_the_underlay_leaves_room_for() -> None:
    async with running() as stage:
        plain = an_assigned_network(1)
        assert (await stage.keeper.complete(plain)).mtu == 1450
        assert (await stage.keeper.complete(plain.model_copy(update={"mtu": 1280}))).mtu == 1280
        there = stage.kernel.kernel.underlay
        stage.kernel.kernel.underlay = replace(there, address=there.address + 1)
        with pytest.raises(Unavailable, match=r"no device of this node has the address 192\.0\.2\.1"):
            await stage.keeper.complete(plain)
