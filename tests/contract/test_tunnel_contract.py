"""What every holder of a WireGuard device promises: the one in memory, and `wg` with wireguard-go in a namespace."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from support.netlab import NetNode, netlab
from support.tunnels import TunnelNode, why_not

from agent.network.tunnel import NO_TUNNEL, Device, Put, Remove, Tunnel, TunnelPeer, plan_tunnel
from agent.network.tunnel_key import public_key_of
from agent.network.tunnel_port import MemoryTunnels, Tunnels
from agent.network.tunnel_wg import Wg
from swarmpy.errors import Unavailable

needs_wireguard = pytest.mark.skipif(bool(why_not()), reason=why_not())


@dataclass
class Bench:
    port: Tunnels
    key_file: Path
    want: Tunnel
    node: TunnelNode | None = None

    async def bring(self, want: Tunnel) -> None:
        for operation in plan_tunnel(want, await self.port.read()):
            await self.port.perform(operation, self.key_file)


@pytest.fixture(params=["memory", pytest.param("wireguard-go", marks=needs_wireguard)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    key_file = tmp_path / "wireguard.key"
    keys = [public_key_of(tmp_path / f"{number}.key") for number in (2, 3)]
    peers = frozenset(TunnelPeer(key, IPv4Address(f"192.0.2.{number}")) for number, key in enumerate(keys, 2))
    want = Tunnel(Device(public_key_of(key_file), 1440), peers)
    if request.param == "memory":
        yield Bench(MemoryTunnels(), key_file, want)
        return
    with netlab() as lab:
        node = TunnelNode(lab.node("node-1"))
        try:
            yield Bench(node.wg, key_file, want, node)
        finally:
            node.close()


async def test_a_device_that_nobody_gave_a_key_counts_as_none(bench: Bench) -> None:
    assert await bench.port.why_not() == ""
    assert await bench.port.read() == NO_TUNNEL


async def test_what_was_put_is_what_is_read(bench: Bench) -> None:
    await bench.bring(bench.want)

    assert await bench.port.read() == bench.want
    assert await bench.port.why_not() == ""


async def test_every_operation_may_be_repeated(bench: Bench) -> None:
    for want in (bench.want, Tunnel(bench.want.device), NO_TUNNEL):
        for operation in plan_tunnel(want, await bench.port.read()):
            await bench.port.perform(operation, bench.key_file)
            await bench.port.perform(operation, bench.key_file)
        assert await bench.port.read() == want


async def test_an_address_goes_from_one_key_to_the_next(bench: Bench, tmp_path: Path) -> None:
    await bench.bring(bench.want)
    (first, second) = bench.want.peers
    renewed = replace(first, public_key=public_key_of(tmp_path / "renewed.key"))
    want = replace(bench.want, peers=frozenset({renewed, second}))

    await bench.bring(want)

    assert await bench.port.read() == want


async def test_two_peers_change_their_addresses_with_each_other(bench: Bench) -> None:
    await bench.bring(bench.want)
    (first, second) = bench.want.peers
    crossed = frozenset({replace(first, address=second.address), replace(second, address=first.address)})
    want = replace(bench.want, peers=crossed)

    await bench.bring(want)
    await bench.bring(want)

    assert await bench.port.read() == want


async def test_a_device_that_is_down_or_too_large_is_put_right(bench: Bench) -> None:
    assert bench.want.device is not None
    await bench.bring(replace(bench.want, device=replace(bench.want.device, mtu=1500)))
    if bench.node is not None:
        bench.node.node.ip("link set spwg0 down")

    await bench.bring(bench.want)

    assert await bench.port.read() == bench.want


async def test_a_tunnel_that_was_removed_can_be_had_again(bench: Bench) -> None:
    await bench.bring(bench.want)
    assert bench.want.device is not None
    await bench.port.perform(Remove(bench.want.device), bench.key_file)
    assert await bench.port.read() == NO_TUNNEL

    await bench.bring(bench.want)

    assert await bench.port.read() == bench.want


@needs_wireguard
async def test_the_private_key_is_in_no_argument(tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = tmp_path / "wg"
    command.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    command.chmod(0o755)
    key_file = tmp_path / "wireguard.key"
    public = public_key_of(key_file)
    with netlab() as lab:
        node = lab.node("node-1")
        node.ip("link add name spwg0 type bridge")
        await _put(node, command, key_file, public)
    assert str(key_file) in said.read_text()
    assert key_file.read_text().strip() not in said.read_text()


async def _put(node: NetNode, command: Path, key_file: Path, public: str) -> None:
    await Wg((str(command),), node.enter).perform(Put(Device(public, 1440)), key_file)


@needs_wireguard
async def test_a_node_that_lacks_what_it_takes_says_what() -> None:
    with netlab() as lab:
        node = lab.node("node-1")
        assert "install wireguard-tools" in await Wg(("wg-is-not-here",), node.enter).why_not()

        inside = ("nsenter", f"--net=/proc/{node.pid}/ns/net", "wg")
        node.ip("link add name spwg0 type bridge")
        assert "the device spwg0 is not of WireGuard" in await Wg(inside, node.enter).why_not()


@needs_wireguard
async def test_a_kernel_without_wireguard_is_told_from_one_that_has_it(tmp_path: Path) -> None:
    key_file = tmp_path / "wireguard.key"
    device = Device(public_key_of(key_file), 1440)
    with netlab() as lab:
        node = lab.node("node-1")
        wg = Wg(("nsenter", f"--net=/proc/{node.pid}/ns/net", "wg"), node.enter)
        if reason := await wg.why_not():
            with pytest.raises(Unavailable, match="the kernel has no WireGuard, and no wireguard-go serves"):
                await wg.perform(Put(device), key_file)
            assert reason.startswith("the kernel has no WireGuard")
        else:
            await wg.perform(Put(device), key_file)
            assert await wg.read() == Tunnel(device)
            await wg.perform(Remove(device), key_file)
            assert "spwg0" not in node.run("ip", "link")
