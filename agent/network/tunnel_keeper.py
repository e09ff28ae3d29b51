"""Keeps this node's WireGuard device as its picture says: a part of the network keeper's passes."""

from pathlib import Path

from agent.network.picture import Picture
from agent.network.tunnel import NO_TUNNEL, Tunnel, describe_operation, plan_tunnel, wanted_tunnel
from agent.network.tunnel_key import public_key_of
from agent.network.tunnel_port import NoTunnels, Tunnels
from swarmpy.errors import SwarmpyError
from swarmpy.logs import logger

log = logger("network")


class TunnelKeeper:
    """What is there is remembered, and read again after anything failed, or when `differences` were asked for."""

    def __init__(self, tunnels: Tunnels, key_file: Path) -> None:
        self._tunnels = tunnels
        self._key_file = key_file
        self._public_key = ""
        self._known: Tunnel | None = None
        self._reason: str | None = None

    async def public_key(self) -> str:
        """What peers are to know this node by; empty where networks cannot be encrypted."""
        reason = await self._tunnels.why_not()
        if not reason:
            try:
                self._public_key = self._public_key or public_key_of(self._key_file)
            except OSError as error:
                reason = f"{self._key_file} cannot be written: {error.strerror}"
        if reason != self._reason:
            log.info("network.encryption", works=not reason, reason=reason)
            self._reason = reason
        return "" if reason else self._public_key

    async def differences(self) -> tuple[str, ...]:
        """What of it others changed since it was brought about; mended by the next pass."""
        before = self._known
        if before is None or before == NO_TUNNEL:
            return ()
        try:
            self._known = await self._tunnels.read()
        except SwarmpyError:
            self._known = None
            return ()
        return tuple(map(describe_operation, plan_tunnel(before, self._known)))

    async def bring_about(self, picture: Picture) -> str:
        """What of it was refused, if anything. Encrypted networks do not work then, and all others do."""
        try:
            return await self._bring_about(picture)
        except SwarmpyError as error:
            self._known = None
            return f"networks cannot be encrypted: {error}"

    async def clear(self) -> None:
        for operation in plan_tunnel(NO_TUNNEL, await self._tunnels.read()):
            await self._tunnels.perform(operation, self._key_file)

    async def _bring_about(self, picture: Picture) -> str:
        is_needed = any(network.encrypted for network in picture.networks.values())
        if is_needed and not self._public_key and not await self.public_key():
            return f"networks cannot be encrypted: {self._reason}"
        want = wanted_tunnel(picture, self._public_key)
        have = self._known if self._known is not None else await self._tunnels.read()
        for operation in plan_tunnel(want, have):
            log.debug("network.operation", what=describe_operation(operation))
            await self._tunnels.perform(operation, self._key_file)
        self._known = want
        return ""


def no_tunnel() -> TunnelKeeper:
    return TunnelKeeper(NoTunnels(), Path())
