"""The port to this node's WireGuard device, and a fake that has it in memory.

Errors: `Unavailable` when it is to be tried again, `Forbidden` without the right to change it, and `SwarmpyError`
itself for what else is said.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.network.tunnel import NO_TUNNEL, Device, Put, Tunnel, TunnelOperation
from swarmpy.errors import Unavailable


class Tunnels(Protocol):
    async def why_not(self) -> str:
        """Why networks cannot be encrypted here, for an operator; empty when they can. Changes nothing."""
        ...

    async def read(self) -> Tunnel: ...

    async def perform(self, operation: TunnelOperation, key_file: Path) -> None:
        """May be repeated. `key_file` has the private key, which a device that is put is given."""
        ...


@dataclass
class MemoryTunnels:
    """`trouble` keeps it from being changed."""

    tunnel: Tunnel = NO_TUNNEL
    trouble: str = ""
    performed: list[TunnelOperation] = field(default_factory=list)

    async def why_not(self) -> str:
        return self.trouble

    async def read(self) -> Tunnel:
        return self.tunnel

    async def perform(self, operation: TunnelOperation, key_file: Path) -> None:
        if self.trouble:
            raise Unavailable(self.trouble)
        device, peers = self.tunnel.device, {peer.public_key: peer for peer in self.tunnel.peers}
        thing, is_put = operation.thing, isinstance(operation, Put)
        if isinstance(thing, Device):
            device, peers = (thing, peers) if is_put else (None, {})
        elif device is None:
            raise Unavailable("there is no WireGuard device")
        else:
            # An address is one peer's at a time.
            peers = {
                key: each for key, each in peers.items() if key != thing.public_key and each.address != thing.address
            }
            peers |= {thing.public_key: thing} if is_put else {}
        self.tunnel = Tunnel(device, frozenset(peers.values()))
        self.performed.append(operation)


class NoTunnels(MemoryTunnels):
    """Of an agent that leaves the kernel alone."""

    def __init__(self) -> None:
        super().__init__(trouble="networks are not set up by this agent")
