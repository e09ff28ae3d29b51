"""The node's two directories: what lasts (data) and what does not (run). Who holds them, and who the node is."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from swarmpy.errors import BadRequest, Conflict
from swarmpy.files import write_private
from swarmpy.idgen import Mint
from swarmpy.models.base import Document

NODE_FILE = "node.json"
LOCK_FILE = "lock"
FORMAT = 1


Options = dict[str, str | tuple[str, ...]]


class NodeRecord(Document):
    """`node.json`: the node's id, minted once. `etcd_release`: of the etcd that wrote the data last. `managers` are
    those it joined by. `is_equipped`: it has what a manager needs; `initial_cluster` are then the members of etcd,
    (name, peer URL), as they were when its own became one. `options` are those that an operator gave, and need not
    give again."""

    format: int = FORMAT
    id: str
    etcd_release: tuple[int, int] | None = None
    managers: tuple[str, ...] = ()
    is_equipped: bool = False
    initial_cluster: tuple[tuple[str, str], ...] = ()
    options: Options = Field(default_factory=dict)


def prepare(directory: Path, option: str, mode: int) -> None:
    """Make the directory. `option` is what an operator sets to choose another."""
    remedy = f"run as root, or choose another {option}"
    try:
        directory.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"cannot make {directory}: {error.strerror}; {remedy}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise BadRequest(f"cannot write to {directory}: permission denied; {remedy}")


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the directory for this process. The kernel lets go when the process ends, however it ends."""
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode().strip() or "unknown"
            raise Conflict(f"swarmpy already runs as pid {holder} in {directory}") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def holder_of(directory: Path) -> int | None:
    """The pid of the process that holds the directory, None when nobody does."""
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(descriptor, 32).decode().strip() or 0)
    else:
        return None
    finally:
        os.close(descriptor)


def load_node(data_dir: Path, mint: Mint) -> NodeRecord:
    """Who this node is; on a fresh data directory a new id, written down before anyone hears of it."""
    path = data_dir / NODE_FILE
    try:
        return NodeRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        record = NodeRecord(id=mint())
        save_node(data_dir, record)
        return record
    except ValidationError as error:
        raise BadRequest(
            f"{path} is damaged, or from a later swarmpy; restore it, or choose another --data-dir"
        ) from error


def load_options(data_dir: Path) -> Options:
    """Those of earlier starts; what is wrong with the record, `load_node` will say."""
    try:
        return NodeRecord.model_validate_json((data_dir / NODE_FILE).read_bytes()).options
    except (OSError, ValidationError):
        return {}


def save_node(data_dir: Path, record: NodeRecord) -> None:
    write_private(data_dir / NODE_FILE, record.model_dump_json())
