"""The tunnel under encrypted networks: what is wanted, what is planned, what is said; and that no key gets out."""

import stat
from base64 import b64decode
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pictures import a_network, a_peer, a_picture

from agent.network.picture import Picture
from agent.network.rules import rules_of
from agent.network.tunnel import (
    NO_TUNNEL,
    Device,
    Put,
    Remove,
    Tunnel,
    TunnelPeer,
    describe_operation,
    plan_tunnel,
    wanted_tunnel,
)
from agent.network.tunnel_keeper import TunnelKeeper
from agent.network.tunnel_key import public_key_of
from agent.network.tunnel_port import MemoryTunnels
from agent.network.tunnel_wg import parsed
from agent.network.wanted import wanted
from swarmpy.network_map import Peer

SECRET = a_network("secret", "10.0.1.0/24", encrypted=True, mtu=1390, ranges=(IPv4Network("10.0.0.0/16"),))
PLAIN = a_network("plain", "10.1.1.0/24")
OWN = "b3duIGtleSBvZiB0aGlzIG5vZGUgaXMgMzIgYnl0ZXM="


def a_sealed_peer(number: int, key: str, *, address: str = "", network: str = "secret") -> Peer:
    peer = a_peer(f"node-{number}", f"10.0.{number}.0/24", address or f"192.0.2.{number}", network)
    return peer.model_copy(update={"wireguard_key": key})


def peers_of(*peers: Peer) -> set[tuple[str, str]]:
    want = wanted_tunnel(a_picture(SECRET, PLAIN, peers=peers), OWN)
    return {(peer.public_key, str(peer.address)) for peer in want.peers}


# What is wanted


def test_a_node_without_encrypted_networks_wants_no_tunnel() -> None:
    assert wanted_tunnel(a_picture(PLAIN), OWN) == NO_TUNNEL
    assert wanted_tunnel(a_picture(SECRET), "") == NO_TUNNEL


def test_the_peers_are_those_of_encrypted_networks_by_their_underlay_addresses() -> None:
    mine = a_sealed_peer(1, OWN)
    plain = a_peer("node-4", "10.1.4.0/24", "192.0.2.4", "plain")
    assert peers_of(mine, a_sealed_peer(2, "k2"), a_sealed_peer(3, ""), plain) == {("k2", "192.0.2.2")}
    assert wanted_tunnel(a_picture(SECRET), OWN).device == Device(OWN, mtu=1440)


@pytest.mark.parametrize(
    "peers",
    [
        (a_sealed_peer(2, "k2"), a_sealed_peer(3, "k2")),
        (a_sealed_peer(2, "k2"), a_sealed_peer(3, "k3", address="192.0.2.2")),
        (a_sealed_peer(2, OWN),),
        (a_sealed_peer(2, "k2", address="192.0.2.1"),),
    ],
    ids=("one key", "one address", "this node's key", "this node's address"),
)
def test_what_two_nodes_claim_is_neithers(peers: tuple[Peer, ...]) -> None:
    assert peers_of(*peers, a_sealed_peer(4, "k4")) == {("k4", "192.0.2.4")}


def test_a_node_on_two_encrypted_networks_is_one_peer() -> None:
    other = replace(SECRET, id="other", subnet=IPv4Network("10.2.1.0/24"))
    peers = (a_sealed_peer(2, "k2"), a_sealed_peer(2, "k2", network="other"))
    assert len(wanted_tunnel(a_picture(SECRET, other, peers=peers), OWN).peers) == 1


def test_links_of_an_encrypted_network_lead_by_the_tunnel_and_to_peers_with_a_key_alone() -> None:
    links = wanted(a_picture(SECRET, PLAIN, peers=(a_sealed_peer(2, "k2"), a_sealed_peer(3, ""))))
    below = {vtep.device: (vtep.underlay_device, vtep.mtu) for vtep in links.vteps}
    assert below == {SECRET.vtep: ("spwg0", 1390), PLAIN.vtep: ("eth0", 1450)}
    assert {(entry.by, entry.underlay) for entry in links.fdb} == {("spwg0", IPv4Address("192.0.2.2"))}
    assert {str(route.subnet) for route in links.routes} == {"10.0.2.0/24"}
    assert {setting.value for setting in links.sysctls if setting.device == "spwg0"} == {"0"}


def test_what_was_wished_to_be_larger_than_the_tunnel_carries_is_cut() -> None:
    (vtep,) = wanted(a_picture(replace(SECRET, mtu=9000))).vteps
    assert vtep.mtu == 1390


def test_encrypted_networks_are_sealed_and_plain_ones_have_no_such_rules() -> None:
    assert "sealed_leaving" not in rules_of(a_picture(PLAIN), {}).tables["ip"].chains
    chains = rules_of(a_picture(SECRET, PLAIN), {}).tables["ip"].chains
    assert chains["sealed_arriving"].rules == (f'iifname != "spwg0" udp dport 4789 @th,96,24 {SECRET.vni} drop',)
    assert chains["sealed_leaving"].rules == (
        f'oifname != "spwg0" udp dport 4789 @th,96,24 {SECRET.vni} drop',
        f'ip daddr 10.0.0.0/16 oifname != {{ "lo", "{SECRET.bridge}", "{SECRET.vtep}" }} drop',
    )


# What is planned

DEVICES = st.builds(Device, st.sampled_from(["a", "b"]), st.sampled_from([1440, 1500]), st.booleans())
PEERS = st.dictionaries(st.integers(1, 5), st.sampled_from("klmno"), max_size=5).map(
    lambda found: frozenset(
        TunnelPeer(key, IPv4Address(f"192.0.2.{number}"))
        for number, key in found.items()
        if list(found.values()).count(key) == 1
    )
)
TUNNELS = st.one_of(st.just(NO_TUNNEL), st.builds(Tunnel, DEVICES, PEERS))


@given(TUNNELS, TUNNELS, st.integers(0, 12))
async def test_a_plan_leads_from_anywhere_to_what_is_wanted_however_often_it_is_broken_off(
    have: Tunnel, want: Tunnel, done: int
) -> None:
    memory = MemoryTunnels(have)
    for operation in plan_tunnel(want, have)[:done]:
        await memory.perform(operation, Path())
    for operation in plan_tunnel(want, memory.tunnel):
        await memory.perform(operation, Path())
        await memory.perform(operation, Path())
    assert memory.tunnel == want
    assert plan_tunnel(want, want) == ()


def test_operations_say_what_they_mend() -> None:
    device, peer = Device(OWN, 1440), TunnelPeer("k2", IPv4Address("192.0.2.2"), "node-2")
    operations = (Put(device), Put(device, replace(device, mtu=1)), Remove(peer), Put(peer))
    assert [describe_operation(operation) for operation in operations] == [
        "WireGuard device spwg0 was missing",
        "WireGuard device spwg0 was not as it is to be",
        "WireGuard peer node-2 was there, and is not to be",
        "WireGuard peer node-2 was missing",
    ]


# The key


def test_a_nodes_key_is_made_once_and_is_for_root_alone(tmp_path: Path) -> None:
    file = tmp_path / "agent" / "wireguard.key"
    public = public_key_of(file)
    assert public_key_of(file) == public
    assert len(b64decode(public)) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert public_key_of(tmp_path / "other.key") != public


@pytest.mark.parametrize("content", ["", "no key", "AAAA"])
def test_a_file_that_has_no_key_is_given_one(tmp_path: Path, content: str) -> None:
    file = tmp_path / "wireguard.key"
    file.write_text(content)
    assert public_key_of(file) == public_key_of(file)
    assert len(b64decode(file.read_bytes())) == 32


def test_what_is_read_of_a_device_holds_no_private_key() -> None:
    private = "cHJpdmF0ZSBrZXkgb2YgdGhpcyBub2RlIGlzIDMyIGI="
    dump = (
        f"{private}\t{OWN}\t51820\toff\n"
        "k2\t(none)\t198.51.100.9:1234\t192.0.2.2/32\t1795621547\t10\t20\toff\n"
        "k3\t(none)\t(none)\t192.0.2.3/32,192.0.2.4/32\t0\t0\t0\toff\n"
        "k4\t(none)\t(none)\t(none)\t0\t0\t0\toff\n"
    )
    found = parsed(dump, 1440, True)
    assert private not in repr(found)
    assert found.device == Device(OWN, 1440)
    assert {peer.public_key: peer.address for peer in found.peers} == {
        "k2": IPv4Address("192.0.2.2"), "k3": None, "k4": None,
    }  # fmt: skip
    assert parsed("(none)\t(none)\t0\toff\n", 1440, False) == NO_TUNNEL


# Keeping it


def keeper(tunnels: MemoryTunnels, folder: Path) -> TunnelKeeper:
    return TunnelKeeper(tunnels, folder / "wireguard.key")


SEALED: Picture = a_picture(SECRET, peers=(a_sealed_peer(2, "k2"),))


async def test_the_tunnel_comes_with_the_first_encrypted_network_and_goes_with_the_last(tmp_path: Path) -> None:
    tunnels = MemoryTunnels()
    keeping = keeper(tunnels, tmp_path)
    assert await keeping.bring_about(a_picture(PLAIN)) == ""
    assert tunnels.performed == []
    assert not (tmp_path / "wireguard.key").exists()

    assert await keeping.bring_about(SEALED) == ""
    assert tunnels.tunnel == wanted_tunnel(SEALED, public_key_of(tmp_path / "wireguard.key"))

    assert await keeping.bring_about(a_picture(PLAIN)) == ""
    assert tunnels.tunnel == NO_TUNNEL


async def test_what_others_change_is_told_and_mended(tmp_path: Path) -> None:
    tunnels = MemoryTunnels()
    keeping = keeper(tunnels, tmp_path)
    await keeping.bring_about(SEALED)
    assert await keeping.differences() == ()
    there, tunnels.tunnel = tunnels.tunnel, replace(tunnels.tunnel, peers=frozenset())

    assert await keeping.differences() == ("WireGuard peer node-2 was missing",)
    await keeping.bring_about(SEALED)

    assert tunnels.tunnel == there


async def test_where_the_kernel_has_no_wireguard_nobody_is_told_a_key_and_networks_say_why(tmp_path: Path) -> None:
    tunnels = MemoryTunnels(trouble="the kernel has no WireGuard")
    keeping = keeper(tunnels, tmp_path)
    assert await keeping.public_key() == ""
    assert await keeping.bring_about(a_picture(PLAIN)) == ""
    assert await keeping.bring_about(SEALED) == "networks cannot be encrypted: the kernel has no WireGuard"

    tunnels.trouble = ""
    assert await keeping.public_key() == public_key_of(tmp_path / "wireguard.key")
    assert await keeping.bring_about(SEALED) == ""


async def test_a_folder_that_takes_no_key_is_a_reason_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keeping = TunnelKeeper(MemoryTunnels(), tmp_path / "file" / "wireguard.key")
    assert await keeping.public_key() == ""
    assert "cannot be written" in await keeping.bring_about(SEALED)


async def test_a_node_that_leaves_takes_the_tunnel_away(tmp_path: Path) -> None:
    tunnels = MemoryTunnels()
    keeping = keeper(tunnels, tmp_path)
    await keeping.bring_about(SEALED)
    await keeping.clear()
    assert tunnels.tunnel == NO_TUNNEL
