"""The WireGuard device that VXLAN of encrypted networks runs over, and the operations from what is there to what shall
be. Pure.

The device has no address of its own, and no route leads to it: FDB entries of encrypted networks name it, and it takes
from each peer, and sends to it, what has that peer's address in the underlay. So nothing can collide with it, and
packets that do not name it cannot come by it.
"""

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from agent.network.picture import TUNNEL, TUNNEL_OVERHEAD, TUNNEL_PORT, Picture


@dataclass(frozen=True, slots=True)
class Device:
    """`public_key` tells which private key it has."""

    public_key: str
    mtu: int
    up: bool = True
    port: int = TUNNEL_PORT

    @property
    def name(self) -> str:
        return TUNNEL


@dataclass(frozen=True, slots=True)
class TunnelPeer:
    """`address` is the only one that it may send from and is sent to; None: another, or more. Where its packets come
    from by now is the kernel's to know, which follows peers that move."""

    public_key: str
    address: IPv4Address | None
    node: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """As it is to be, or as it is. Without a device there are no peers; one without a key counts as none."""

    device: Device | None = None
    peers: Set[TunnelPeer] = frozenset()


NO_TUNNEL = Tunnel()


@dataclass(frozen=True, slots=True)
class Put:
    """Make it so, whether it is missing or is there as `was`."""

    thing: Device | TunnelPeer
    was: Device | TunnelPeer | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    thing: Device | TunnelPeer


TunnelOperation = Put | Remove


def wanted_tunnel(picture: Picture, public_key: str) -> Tunnel:
    """None where no network is encrypted, or this node has no key."""
    encrypted = [network.id for network in picture.networks.values() if network.encrypted]
    if not encrypted or not public_key:
        return NO_TUNNEL
    peers = {
        TunnelPeer(peer.wireguard_key, IPv4Address(peer.address), peer.node_id)
        for network_id in encrypted
        for peer in picture.peers_of(network_id)
        if peer.wireguard_key
    }
    own = TunnelPeer(public_key, picture.underlay.address)
    return Tunnel(
        Device(public_key, picture.underlay.mtu - TUNNEL_OVERHEAD), frozenset(_undisputed(peers | {own})) - {own}
    )


def plan_tunnel(want: Tunnel, have: Tunnel) -> tuple[TunnelOperation, ...]:
    """May be carried out in part, and again. What goes makes room first: an address is one peer's at a time."""
    if want.device is None:
        return () if have.device is None else (Remove(have.device),)
    keys = {peer.public_key for peer in want.peers}
    there = {peer.public_key: peer for peer in have.peers}
    gone = sorted((peer for peer in have.peers if peer.public_key not in keys), key=_key)
    return (
        *(Remove(peer) for peer in gone),
        *((Put(want.device, have.device),) if want.device != have.device else ()),
        *(Put(peer, there.get(peer.public_key)) for peer in sorted(want.peers - have.peers, key=_key)),
    )


def describe_operation(operation: TunnelOperation) -> str:
    """For logs and events: what it mends."""
    name = name_of_tunnel_part(operation.thing)
    if isinstance(operation, Remove):
        return f"{name} was there, and is not to be"
    if operation.was is None:
        return f"{name} was missing"
    return f"{name} was not as it is to be"


def name_of_tunnel_part(thing: Device | TunnelPeer) -> str:
    if isinstance(thing, Device):
        return f"WireGuard device {thing.name}"
    return f"WireGuard peer {thing.node or thing.public_key}"


def _undisputed(peers: Set[TunnelPeer]) -> Iterator[TunnelPeer]:
    """Nodes say themselves what their keys and addresses are: an address or a key that two claim is neither's, for
    one of them would be told what is the other's."""
    keys = Counter(peer.public_key for peer in peers)
    addresses = Counter(peer.address for peer in peers)
    return (peer for peer in peers if keys[peer.public_key] == 1 and addresses[peer.address] == 1)


def _key(peer: TunnelPeer) -> str:
    return peer.public_key
