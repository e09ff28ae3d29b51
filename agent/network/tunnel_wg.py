"""WireGuard by the command `wg`, which speaks with the kernel and with wireguard-go alike.

Where the kernel has no WireGuard, the device is made by a process of wireguard-go, which is the operator's: it has to
outlive the agent, or an upgrade of that would cut the networks off. Such a device is not removed, but left without a
key.
"""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import TypeVar

from pyroute2 import GenericNetlinkSocket, IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic.wireguard import wgmsg

from agent.network.command import Ended, run
from agent.network.lists import Lists
from agent.network.messages import LinkFacts
from agent.network.picture import TUNNEL, TUNNEL_PORT
from agent.network.tunnel import (
    NO_TUNNEL,
    Device,
    Put,
    Tunnel,
    TunnelOperation,
    TunnelPeer,
    name_of_tunnel_part,
)
from swarmpy.errors import Forbidden, SwarmpyError, Unavailable

T = TypeVar("T")

_LIMIT = 10.0
_KIND = "wireguard"
_NONE = "(none)"
_LACKS = "the kernel has no WireGuard, and no wireguard-go serves the device " + TUNNEL


class Wg:
    """`command` and `enter` may lead into another network namespace."""

    def __init__(self, command: Sequence[str] = ("wg",), enter: Callable[[], None] | None = None) -> None:
        self._command = tuple(command)
        self._thread = ThreadPoolExecutor(1, "wireguard", enter or _stay)

    async def why_not(self) -> str:
        if shutil.which(self._command[0]) is None:
            return f"the command {self._command[0]} is not there; install wireguard-tools"
        link = await self._inside(_link)
        if link is None:
            return "" if await self._inside(_kernel_has_it) else _LACKS
        ended = await self._run("show", TUNNEL, "listen-port")
        return f"the device {TUNNEL} is not of WireGuard: {ended.complaint}" if ended.code else ""

    async def read(self) -> Tunnel:
        link = await self._inside(_link)
        ended = await self._run("show", TUNNEL, "dump") if link is not None else None
        if link is None or ended is None or ended.code:
            return NO_TUNNEL
        return parsed(ended.output, link.mtu, link.up)

    async def perform(self, operation: TunnelOperation, key_file: Path) -> None:
        thing = operation.thing
        if isinstance(thing, TunnelPeer):
            await self._say("peer", thing.public_key, *_words(operation, thing))
        elif isinstance(operation, Put):
            await self._inside(_make)
            await self._say("private-key", str(key_file), "listen-port", str(thing.port))
            await self._inside(lambda: _raise(thing))
        elif not await self._inside(_unmake):
            for peer in (await self.read()).peers:
                await self._say("peer", peer.public_key, "remove")
            await self._say("private-key", os.devnull)

    async def _say(self, *words: str) -> None:
        ended = await self._run("set", TUNNEL, *words)
        if ended.code:
            raise Unavailable(f"WireGuard device {TUNNEL} could not be set: {ended.complaint}")

    async def _inside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: _guarded(work))

    async def _run(self, *words: str) -> Ended:
        ended = await run((*self._command, *words), limit=_LIMIT)
        return replace(ended, complaint=" ".join(ended.complaint.split()))


def parsed(dump: str, mtu: int, up: bool) -> Tunnel:
    """`wg show DEVICE dump`: its first line begins with the private key, and goes no further than here."""
    device, *peers = (line.split("\t") for line in dump.splitlines())
    if device[0] == _NONE:
        return NO_TUNNEL
    return Tunnel(Device(device[1], mtu, up, int(device[2])), frozenset(TunnelPeer(p[0], _only(p[3])) for p in peers))


def _only(allowed: str) -> IPv4Address | None:
    address, _, length = allowed.partition("/")
    try:
        return IPv4Address(address) if length == "32" else None
    except AddressValueError:
        return None


def _words(operation: TunnelOperation, peer: TunnelPeer) -> Iterator[str]:
    if not isinstance(operation, Put):
        yield "remove"
        return
    yield from ("allowed-ips", f"{peer.address}/32", "endpoint", f"{peer.address}:{TUNNEL_PORT}")


# Inside the namespace, on the thread.


def _link() -> LinkFacts | None:
    lists = Lists()
    try:
        return next((link for link in lists.links() if link.name == TUNNEL), None)
    finally:
        lists.close()


def _kernel_has_it() -> bool:
    """Asking for its family loads the module."""
    with GenericNetlinkSocket() as asking:
        try:
            asking.bind(_KIND, wgmsg)
        except NetlinkError:
            return False
    return True


def _make() -> None:
    if _link() is None:
        with IPRoute() as changes:
            try:
                changes.link("add", ifname=TUNNEL, kind=_KIND)
            except NetlinkError as error:
                if error.code == errno.EOPNOTSUPP:
                    raise Unavailable(_LACKS) from error
                raise


def _raise(device: Device) -> None:
    link = _link()
    if link is None:
        raise Unavailable(f"{name_of_tunnel_part(device)} has gone")
    with IPRoute() as changes:
        changes.link("set", index=link.index, mtu=device.mtu, state="up")


def _unmake() -> bool:
    """Whether it is gone now; one that a process serves is only brought down."""
    link = _link()
    if link is None:
        return True
    with IPRoute() as changes:
        if link.kind == _KIND:
            changes.link("del", index=link.index)
        else:
            changes.link("set", index=link.index, state="down")
    return link.kind == _KIND


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except (NetlinkError, OSError) as error:
        number = int(error.code if isinstance(error, NetlinkError) else error.errno or 0)
        story = f"WireGuard device {TUNNEL} could not be read or set: {os.strerror(number).lower()}"
        if number in (errno.EPERM, errno.EACCES):
            raise Forbidden(f"{story}; the agent needs root") from error
        if number == errno.EADDRINUSE:
            raise SwarmpyError(f"{story}; another tunnel of this node has port {TUNNEL_PORT}/udp") from error
        raise Unavailable(f"{story}; try again") from error


def _stay() -> None:
    """The thread stays where it is."""
