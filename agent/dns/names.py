"""The name server of this node as the network keeper uses it."""

from agent.descriptors import Heirlooms
from agent.dns.kept_sockets import KeptSockets
from agent.dns.resolv_conf import NodeServers
from agent.dns.server import DnsServer
from agent.dns.upstream import Upstream
from agent.dns.zone import EMPTY_ZONE, zone_of
from agent.network.picture import Picture
from swarmpy.clock import Clock


class NameServer:
    def __init__(self, clock: Clock, heirlooms: Heirlooms | None = None) -> None:
        self._server = DnsServer(Upstream(clock, NodeServers()), clock, sockets=KeptSockets(heirlooms))
        self._zone = EMPTY_ZONE

    async def show(self, picture: Picture) -> None:
        """Answered from now on, at the gateway of each network that the engine has here."""
        self._zone = zone_of(picture, self._zone)
        self._server.show(self._zone)
        self._server.listen_on({id: network.gateway for id, network in picture.networks.items() if network.on_engine})

    async def serve(self) -> None:
        """Until cancelled."""
        await self._server.serve()
