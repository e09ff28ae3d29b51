"""How a node leaves: the cluster is told, the node's process ends, what it ran is stopped, its data goes."""

import os
import signal
from datetime import timedelta

from swarmpy.clock import Clock
from swarmpy.errors import BadRequest, NotAMember, NotFound, SwarmpyError, TimedOut
from swarmpy.files import remove_tree
from swarmpy.idgen import new_id
from swarmpy.logs import logger
from swarmpy.membership import LEAVE_PATH, Done, LeaveRequest
from swarmpy.node.home import NODE_FILE, held, holder_of, load_node
from swarmpy.node.identity import IdentityFolder
from swarmpy.node.keeper import Say
from swarmpy.node.life import clear_node
from swarmpy.node.managers import Managers
from swarmpy.node.plan import agent_folder, etcd_folder, manager_folder
from swarmpy.settings import NodeSettings
from swarmpy.word import load_word

log = logger("node")

PATIENCE = timedelta(seconds=10)
LOOK_EVERY = timedelta(milliseconds=100)
# A supervisor ends its children one after the other, each within ten seconds.
ENDS_WITHIN = 45.0


async def leave_cluster(settings: NodeSettings, *, force: bool, say: Say, clock: Clock) -> None:
    """Raises `NotFound` when this node is no member. With `force`, neither a cluster that does not answer nor one that
    cannot do without this node keeps it."""
    identity = IdentityFolder(settings.identity)
    if not identity.exists or not (settings.data_dir / NODE_FILE).exists():
        raise NotFound(f"the node with its data in {settings.data_dir} is no member of a cluster")
    record = load_node(settings.data_dir, new_id)
    await _tell_cluster(settings, identity, record.managers, force=force, clock=clock)
    await _end_supervisor(settings, clock)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    with held(settings.data_dir):
        await clear_node(settings, record, say)
        wipe(settings)


def wipe(settings: NodeSettings) -> None:
    """Forget all that made this node a member. Nobody may hold its directories but the caller."""
    # First, for it makes the node a member: half of the rest would be worse than all or nothing.
    IdentityFolder(settings.identity).remove()
    for folder in (agent_folder(settings), manager_folder(settings), etcd_folder(settings)):
        remove_tree(folder)
    (settings.data_dir / NODE_FILE).unlink(missing_ok=True)


async def _tell_cluster(
    settings: NodeSettings, identity: IdentityFolder, known: tuple[str, ...], *, force: bool, clock: Clock
) -> None:
    word = load_word(agent_folder(settings))
    if word is not None and word.is_removed:
        return
    managers = Managers(word.managers if word is not None and word.managers else known, identity.credentials, clock)
    try:
        await managers.ask(LEAVE_PATH, LeaveRequest(force=force), Done, PATIENCE)
    except SwarmpyError as error:
        if isinstance(error, NotAMember) or force:
            # Nobody there knows this node any more, or nobody shall be asked.
            log.warning("leave.not_told", reason=str(error))
            return
        raise type(error)(f"{error} (`swarmpy leave --force` leaves all the same)") from error


async def _end_supervisor(settings: NodeSettings, clock: Clock) -> None:
    pid = holder_of(settings.data_dir)
    if pid is None:
        return
    try:
        # One that is just starting has not said yet who it is: it is waited for.
        if pid:
            os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise BadRequest(f"swarmpy runs here as pid {pid}, and this user may not end it: run as root") from None
    except ProcessLookupError:
        return
    deadline = clock.monotonic() + ENDS_WITHIN
    while holder_of(settings.data_dir) is not None:
        if clock.monotonic() > deadline:
            raise TimedOut(f"swarmpy (pid {pid}) does not end within {ENDS_WITHIN:g} s; end it and run this again")
        await clock.sleep(LOOK_EVERY)
