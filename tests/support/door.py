"""A manager with its door open: real TLS on loopback, a store in memory, and nodes that come with what they have."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from support.tls_port import TlsPort, tls_port

from manager.ca.founding import first_objects, hand_over, load_founding
from manager.ca.join_tokens import read_join_tokens
from manager.ca.sealing import Sealer
from manager.dispatcher.endpoint import agent_routes
from manager.door import ARRIVES_WITHIN, create_door
from manager.manager import Manager
from manager.members.memory import MemoryMembers
from manager.members.port import Member, MemberID
from manager.store.memory import MemoryDatabase
from swarmpy.clock import SystemClock
from swarmpy.errors import Unavailable
from swarmpy.idgen import new_id
from swarmpy.node.identity import IdentityFolder
from swarmpy.node.managers import Managers
from swarmpy.settings import EtcdSettings, ManagerSettings
from swarmpy.tokens import JoinWish, parse_join

BOUND = 20


class HeldMembers(MemoryMembers):
    """While `is_held`, none can be removed."""

    is_held = False

    async def remove(self, member: MemberID) -> None:
        if self.is_held:
            raise Unavailable("held")
        await super().remove(member)


@dataclass
class OpenDoor:
    """`identity` is the first manager's."""

    manager: Manager
    members: HeldMembers
    identity: IdentityFolder
    port: TlsPort
    folder: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port.number}"

    def wish(self, role: str) -> JoinWish:
        """To join in that role, by the token that is valid now."""
        cluster = self.manager.ledger.state.cluster
        assert cluster is not None
        tokens = read_join_tokens(cluster, self.manager.sealer)
        return parse_join(f"{getattr(tokens, role)}@{self.address}")

    def as_node(self, identity: IdentityFolder) -> Managers:
        """Asks with that node's certificate."""
        return Managers((self.address,), identity.credentials, SystemClock())

    async def until_led(self) -> None:
        async with asyncio.timeout(BOUND):
            while not (self.manager.ledger.is_leading and self.manager.ledger.state.cluster):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def open_door(folder: Path, arrives_within: float = ARRIVES_WITHIN) -> AsyncIterator[OpenDoor]:
    clock = SystemClock()
    node_id = new_id()
    identity = IdentityFolder(folder / "first")
    identity.found(new_id(), node_id, "127.0.0.1", clock.now())
    settings = ManagerSettings(
        node_id=node_id,
        hostname="first",
        data_dir=folder / "manager",
        identity=identity.folder,
        api_socket=folder / "api.sock",
        advertise_address="127.0.0.1:2377",
        status_address="127.0.0.1:0",
        etcd=EtcdSettings(endpoints=("unix:/nowhere",)),
    )
    sealer = Sealer(bytes(32))
    members = HeldMembers(Member(1, node_id, ("https://127.0.0.1:2380",)))
    manager = Manager(
        settings,
        MemoryDatabase(clock).open(),
        sealer,
        clock,
        new_id,
        first_objects=first_objects(load_founding(settings, sealer, new_id)),
        members=members,
    )
    crashes: list[Exception] = []
    agents = agent_routes(manager.sessions, manager.logs, crashes.append)
    door = create_door(manager.registrar, manager.ledger, agents, Starlette(), arrives_within)
    living = [asyncio.create_task(work) for work in (manager.run(), hand_over(manager.ledger, settings))]
    try:
        async with tls_port(identity.credentials, door) as port:
            opened = OpenDoor(manager, members, identity, port, folder)
            await opened.until_led()
            yield opened
    finally:
        for task in living:
            task.cancel()
        await asyncio.gather(*living, return_exceptions=True)
        await manager.store.close()
        assert not crashes
