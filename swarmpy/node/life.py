"""A member's life on this machine: the children that its role needs, until the role changes; then others.

A worker runs an agent. A manager runs etcd (unless the operators bring theirs) and a manager as well; before it can, it
must be equipped by the managers there are, and runs its agent meanwhile.
"""

import asyncio
import sys
from base64 import b64decode
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from swarmpy.clock import Clock
from swarmpy.errors import Forbidden, Unavailable
from swarmpy.files import remove_tree, write_private
from swarmpy.logs import logger
from swarmpy.membership import SEALING_KEY_FILE, MemberAnswer
from swarmpy.node.etcd import EtcdBinary, EtcdMember, etcd_command, has_member_data, member_is_gone, wipe_member
from swarmpy.node.home import NodeRecord, save_node
from swarmpy.node.identity import IdentityFolder
from swarmpy.node.keeper import Keeper, Say, background
from swarmpy.node.place import Change, Place
from swarmpy.node.plan import agent_child, agent_folder, etcd_child, etcd_folder, manager_child, manager_folder
from swarmpy.node.probe import answers, is_there
from swarmpy.node.process import Process
from swarmpy.node.supervisor import PATIENCE, supervise
from swarmpy.settings import NodeSettings
from swarmpy.states import Role
from swarmpy.together import first_of

log = logger("node")

PRIVATE = 0o700
TOLD_WITHIN = timedelta(seconds=10)

Announce = Callable[[NodeRecord, Role], None]


@dataclass(frozen=True, slots=True)
class Crew:
    """The children of one phase: `foundation` serve before the `others` start. `etcd_release` is that of the member of
    etcd among them."""

    foundation: tuple[Keeper, ...] = ()
    others: tuple[Keeper, ...] = ()
    etcd_release: tuple[int, int] | None = None


class Life:
    """`etcd` finds the binary when a manager needs it, or says why it cannot be used."""

    def __init__(
        self,
        settings: NodeSettings,
        record: NodeRecord,
        identity: IdentityFolder,
        find_etcd: Callable[[NodeRecord], EtcdBinary],
        say: Say,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._record = record
        self._identity = identity
        self._find_etcd = find_etcd
        self._say = say
        self._clock = clock
        self._member_gone = asyncio.Event()
        self._place = Place(identity, agent_folder(settings), record.managers, clock)

    async def run(self, stop: asyncio.Event, announce: Announce) -> None:
        """Until `stop`. `announce` is called once, when the node takes work. Raises `Forbidden` when the node is
        removed from the cluster, once what it ran has been stopped."""
        agent = Keeper(
            agent_child(self._settings, self._record.id, self._place.managers, sys.executable),
            partial(is_there, self._settings.ready_file),
            self._say,
            self._clock,
        )
        end = asyncio.Event()
        self._notice_missing_data()

        async def live() -> bool:
            async with background(_pass_on(stop, end)):
                try:
                    return await self._phases(end, agent, announce)
                finally:
                    end.set()

        async with background(live()) as living:
            try:
                # One agent for all phases: its silence would count against the node.
                await supervise((), (agent,), end, _nothing)
            finally:
                end.set()
                await asyncio.wait({living})
            is_removed = living.result()
        if is_removed:
            await clear_node(self._settings, self._record, self._say)
            raise Forbidden(
                "this node was removed from the cluster, and all that it ran is stopped; "
                "`swarmpy up --join TOKEN@HOST:PORT` makes it a member again"
            )

    async def _phases(self, end: asyncio.Event, agent: Keeper, announce: Announce) -> bool:
        """One after the other, until `end` or the node is removed; whether it is."""
        announced = asyncio.Event()
        while not end.is_set():
            role = self._place.role
            if role is Role.WORKER:
                self._unequip()
            change = await self._live(role, end, partial(self._announce, announce, announced, role, agent))
            if change is Change.REMOVED:
                return True
            if change is Change.UNEQUIPPED:
                self._unequip()
            elif change is Change.ROLE:
                log.info("node.role_changed", role=self._place.role.value)
        return False

    async def _live(
        self, role: Role, end: asyncio.Event, announce: Callable[[Crew], Coroutine[Any, Any, None]]
    ) -> Change | None:
        """One phase, until `end` (None) or a change ends it."""
        # Of an earlier phase: that member is gone for good, and this phase may have another.
        self._member_gone.clear()
        is_candidate = role is Role.MANAGER and not self._record.is_equipped
        crew = self._crew() if role is Role.MANAGER and not is_candidate else Crew()
        halt = asyncio.Event()

        async def watch() -> Change | None:
            try:
                parts = [self._place.wait_until_changed(), _until(end), self._wait_until_member_gone()]
                return await first_of(*parts, *([self._equip()] if is_candidate else []))
            finally:
                halt.set()

        async with background(watch()) as watching:
            # A candidate takes work already, but is not yet what it is to be.
            tell = _nothing if is_candidate else partial(announce, crew)
            await supervise(crew.foundation, crew.others, halt, tell)
            # A child that refused has raised by now; else something ended the watch.
            change: Change | None = await watching
            return change

    def _crew(self) -> Crew:
        """A manager's."""
        manager = Keeper(
            manager_child(self._settings, self._record.id, sys.executable),
            partial(answers, self._settings.api_socket, "/readyz"),
            self._say,
            self._clock,
        )
        if self._settings.etcd is not None:
            return Crew(others=(manager,))
        binary = self._find_etcd(self._record)
        return Crew((self._etcd(binary),), (manager,), binary.release)

    def _etcd(self, binary: EtcdBinary) -> Keeper:
        socket = self._settings.etcd_socket
        socket.parent.mkdir(mode=PRIVATE, exist_ok=True)
        member = EtcdMember(
            name=self._record.id,
            data_dir=etcd_folder(self._settings),
            peer_url=self._peer_url,
            listen_peer=f"https://{self._settings.listen_address.rpartition(':')[0]}:{self._settings.peer_port}",
            initial_cluster=self._record.initial_cluster,
            is_new_cluster=len(self._record.initial_cluster) == 1,
            ca_file=self._identity.credentials.ca_file,
            cert_file=self._identity.etcd_cert_file,
            key_file=self._identity.etcd_key_file,
        )
        command = etcd_command(binary, member, socket.name)
        probe = partial(answers, socket, "/health")
        # etcd ends with 2 for a Go panic too, so no exit code of it means "do not try again".
        return Keeper(etcd_child(self._settings, command), probe, self._say_and_heed, self._clock, can_refuse=False)

    def _say_and_heed(self, child: str, line: str) -> None:
        self._say(child, line)
        if member_is_gone((line,)):
            self._member_gone.set()

    async def _wait_until_member_gone(self) -> Change:
        """Most often because the node is to be a worker: it is about to be told so."""
        await self._member_gone.wait()
        await self._clock.sleep(TOLD_WITHIN)
        return Change.UNEQUIPPED

    @property
    def _peer_url(self) -> str:
        return f"https://{self._settings.peer_address}"

    async def _announce(
        self, announce: Announce, announced: asyncio.Event, role: Role, agent: Keeper, crew: Crew
    ) -> None:
        for keeper in (*crew.foundation, *crew.others):
            await keeper.serving.wait()
        if crew.etcd_release is not None:
            self._remember(self._record.model_copy(update={"etcd_release": crew.etcd_release}))
        async with background(agent.serving.wait()) as ready:
            await asyncio.wait({ready}, timeout=PATIENCE.total_seconds())
            if not ready.done():
                log.warning("node.not_ready", waiting_for="agent", reason="no manager has taken it in yet; see above")
            await ready
        if not announced.is_set():
            announced.set()
            announce(self._record, role)

    async def _equip(self) -> Change:
        """From candidate to manager."""
        answer = await self._place.equip(self._peer_url if self._settings.etcd is None else None)
        self._keep(answer)
        return Change.EQUIPPED

    def _notice_missing_data(self) -> None:
        """A member that never began its life may have been given up by the others meanwhile: it asks anew."""
        is_one_of_several = self._settings.etcd is None and len(self._record.initial_cluster) > 1
        if is_one_of_several and not has_member_data(etcd_folder(self._settings)):
            self._remember(self._record.model_copy(update={"is_equipped": False}))

    def _keep(self, answer: MemberAnswer) -> None:
        folder = manager_folder(self._settings)
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        write_private(folder / SEALING_KEY_FILE, b64decode(answer.sealing_key))
        if answer.etcd_certificate is not None:
            # What an earlier membership left would keep etcd from starting.
            wipe_member(etcd_folder(self._settings))
            self._identity.accept_for_etcd(answer.etcd_certificate)
        self._remember(self._record.model_copy(update={"is_equipped": True, "initial_cluster": answer.initial_cluster}))

    def _unequip(self) -> None:
        """A worker holds nothing that only managers may have."""
        self._remember(self._record.model_copy(update={"is_equipped": False, "initial_cluster": ()}))
        wipe_member(etcd_folder(self._settings))
        remove_tree(manager_folder(self._settings))
        self._identity.drop_etcd()

    def _remember(self, record: NodeRecord) -> None:
        if record != self._record:
            self._record = record
            save_node(self._settings.data_dir, record)


async def clear_node(settings: NodeSettings, record: NodeRecord, say: Say) -> None:
    """Stop and remove all containers and networks that swarmpy made here. Raises `Unavailable` with the agent's words
    when some stay."""
    child = agent_child(settings, record.id, record.managers, sys.executable, is_leaving=True)
    assert child.settings_file is not None
    write_private(child.settings_file, child.settings)
    process = await Process.start(child.command, child.directory, partial(say, child.name))
    if await process.ended != 0:
        raise Unavailable(f"what ran on this node could not all be stopped: {process.last_line}")


async def _nothing() -> None:
    return


async def _pass_on(stop: asyncio.Event, end: asyncio.Event) -> None:
    await stop.wait()
    end.set()


async def _until(end: asyncio.Event) -> None:
    await end.wait()
