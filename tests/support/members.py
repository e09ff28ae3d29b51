"""Members of a database that a test starts and kills by name: in memory, and real etcd with TLS between peers, run by
the very command of the node."""

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from support.certificates import Authority, Pair
from support.etcd import free_port

from manager.members.memory import MemoryMembers
from manager.members.port import InitialCluster, Member, MemberList
from manager.store.etcd import open_etcd_store
from manager.store.etcd_members import open_etcd_members
from manager.store.port import Store
from swarmpy.clock import SystemClock
from swarmpy.errors import Unavailable
from swarmpy.node.etcd import PEER_NAME, EtcdMember, etcd_command, find_etcd
from swarmpy.settings import EtcdSettings

T = TypeVar("T")

FIRST = "n1"
# etcd changes members only when all have been connected for five seconds; ten times that is for a busy machine.
BOUND = 60.0
_SOCKET = "client.sock:1"


class MembersBench(Protocol):
    """Starts with one member, `FIRST`, that runs."""

    def url(self, name: str) -> str: ...

    def list_of(self, name: str) -> MemberList:
        """As this member tells it."""
        ...

    def start(self, name: str, cluster: InitialCluster) -> None:
        """For the first time."""
        ...

    def kill(self, name: str) -> None: ...

    async def close(self) -> None: ...


class MemoryMembersBench:
    def __init__(self) -> None:
        self._members = MemoryMembers(Member(1, FIRST, (self.url(FIRST),)))

    def url(self, name: str) -> str:
        return f"https://{name}:2380"

    def list_of(self, name: str) -> MemberList:
        return self._members

    def start(self, name: str, cluster: InitialCluster) -> None:
        assert (name, self.url(name)) in cluster
        self._members.start(name, self.url(name))

    def kill(self, name: str) -> None:
        self._members.stop(name)

    async def close(self) -> None:
        await self._members.close()


class EtcdProcess:
    """One real member, whose data stays over `kill` and `launch`."""

    def __init__(self, directory: Path, member: EtcdMember) -> None:
        self._directory = directory
        self._member = member
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> EtcdSettings:
        return EtcdSettings(endpoints=(f"unix:{self._directory / _SOCKET}",), timeout=timedelta(seconds=2))

    @property
    def data_dir(self) -> Path:
        return self._member.data_dir

    @property
    def lines(self) -> list[str]:
        return (self._directory / "log").read_text(errors="replace").splitlines()

    def launch(self) -> None:
        (self._directory / _SOCKET).unlink(missing_ok=True)
        # Should the tests die, etcd dies too.
        tied = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
        command = (*tied, *etcd_command(find_etcd(), self._member, _SOCKET))
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._directory, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(BOUND)

    async def exit_code(self) -> int:
        """Of a process that ends by itself."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, BOUND)


class EtcdMembersBench:
    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="members-"))
        self.authority = Authority(self.directory)
        self.pair = self.authority.issue(PEER_NAME)
        self.processes: dict[str, EtcdProcess] = {}
        self._urls: dict[str, str] = {}
        self._stack = contextlib.AsyncExitStack()

    async def begin(self) -> None:
        self.start(FIRST, ((FIRST, self.url(FIRST)),))
        await eventually(self.list_of(FIRST).members)

    def url(self, name: str) -> str:
        return self._urls.setdefault(name, f"https://127.0.0.1:{free_port()}")

    def list_of(self, name: str) -> MemberList:
        members = open_etcd_members(self.processes[name].settings, SystemClock())
        self._stack.push_async_callback(members.close)
        return members

    async def store_of(self, name: str) -> Store:
        store = await open_etcd_store(self.processes[name].settings, SystemClock())
        self._stack.push_async_callback(store.close)
        return store

    def start(
        self, name: str, cluster: InitialCluster, *, pair: Pair | None = None, authority: Authority | None = None
    ) -> None:
        self.processes[name] = self.prepared(name, cluster, pair or self.pair, authority or self.authority)
        self.processes[name].launch()

    def prepared(self, name: str, cluster: InitialCluster, pair: Pair, authority: Authority) -> EtcdProcess:
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        member = EtcdMember(
            name=name,
            data_dir=directory / "data",
            peer_url=self.url(name),
            listen_peer=self.url(name),
            initial_cluster=cluster,
            is_new_cluster=len(cluster) == 1,
            ca_file=authority.ca_file,
            cert_file=pair.cert_file,
            key_file=pair.key_file,
        )
        return EtcdProcess(directory, member)

    def kill(self, name: str) -> None:
        self.processes[name].kill()

    async def close(self) -> None:
        await self._stack.aclose()
        for process in self.processes.values():
            process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


async def eventually(call: Callable[[], Awaitable[T]]) -> T:
    """What the call returns once it does; it may say `Unavailable` for a while, with a sentence each time."""
    async with asyncio.timeout(BOUND):
        while True:
            try:
                return await call()
            except Unavailable as reason:
                assert str(reason)
                await asyncio.sleep(0.1)


async def grow(bench: MembersBench, name: str) -> None:
    """By a member that votes."""
    members = bench.list_of(FIRST)
    bench.start(name, await eventually(lambda: members.add(bench.url(name), name)))
    added = next(one.id for one in await members.members() if bench.url(name) in one.peer_urls)
    await eventually(lambda: members.promote(added))
    await eventually(lambda: _named(members, name))


async def voters(members: MemberList) -> list[str]:
    return sorted(member.name for member in await eventually(members.members) if member.votes)


async def member_named(members: MemberList, name: str) -> Member:
    return next(member for member in await eventually(members.members) if member.name == name)


async def _named(members: MemberList, name: str) -> None:
    """A member tells its name a little after its start."""
    if all(member.name != name for member in await members.members()):
        raise Unavailable(f"{name} has not told its name yet")
