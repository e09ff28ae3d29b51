"""Messages of the agent session, JSON, one a WebSocket frame, told apart by `type`. Pure.

The agent connects (`/agent/session`), says Hello, and is answered Welcome, Bearings, Full, then Changes. Who it is, its
certificate says, and nothing in a message. `revision` is the store revision a message reflects; Changes applies to the
set that reflects `after`: anything else is a gap, and the agent makes a new session. Bearings come again when they
change. The manager's end of a stream (logs) is a second WebSocket, `/agent/streams/{stream_id}`, that the agent opens
when told `OpenLogs`; it sends binary frames there, and closes.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from swarmpy.models.base import Document, Labels, TaskStateName
from swarmpy.models.node import NodeDescription
from swarmpy.models.port import PortConfig
from swarmpy.models.task import TaskSpec, TaskStatus
from swarmpy.network_map import MapChanges, NetworkMap
from swarmpy.states import Role

PROTOCOL = 4
# Bytes of one frame towards a manager, which reads all of them on one thread; what is longer ends the session.
LARGEST_TO_MANAGER = 1 << 20
# Characters of secrets and configs in one frame towards an agent.
_FILES_IN_A_FRAME = 8 << 20
# Bytes of a text that an agent passes on.
LONGEST_TEXT = 2048
# Networks of one task.
MOST_ADDRESSES = 1000
# Volumes of one node that tasks must be with, and letters of a name.
MOST_VOLUMES = 1000
# Sentences about a node's network in one frame.
MOST_NOTES, LONGEST_NOTE = 20, 500
LONGEST_VOLUME = 255
# What a node tells of its kernel and of its routes.
MOST_FEATURES = 100
MOST_ROUTES = 1000
LONGEST_WORD = 64
_REPORTS_IN_A_FRAME = LARGEST_TO_MANAGER // 2

VolumeNames = Annotated[tuple[Annotated[str, Field(max_length=LONGEST_VOLUME)], ...], Field(max_length=MOST_VOLUMES)]
Features = Annotated[tuple[Annotated[str, Field(max_length=LONGEST_WORD)], ...], Field(max_length=MOST_FEATURES)]
Routes = Annotated[tuple[Annotated[str, Field(max_length=LONGEST_WORD)], ...], Field(max_length=MOST_ROUTES)]

# A public key (32 bytes) in base64; empty where there is none.
WireguardKey = Annotated[str, Field(pattern=r"^([A-Za-z0-9+/]{43}=)?$")]

# Words of `features`.
WIREGUARD = "wireguard"


Notes = Annotated[tuple[Annotated[str, Field(max_length=LONGEST_NOTE)], ...], Field(max_length=MOST_NOTES)]


class NetworkAssignment(Document):
    """A network this node must provide for its tasks: a bridge with the node's own subnet. `subnet` and `gateway` are
    this node's share; `service_subnets` are where VIPs lie, `ranges` where all addresses of the network lie; `mtu` None
    means what the underlay leaves room for."""

    id: str
    name: str
    subnet: str
    gateway: str
    vni: int
    service_subnets: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    internal: bool = False
    is_ingress: bool = False
    attachable: bool = False
    encrypted: bool = False
    mtu: int | None = None
    labels: Labels = Field(default_factory=dict)


class TaskNetworkAssignment(Document):
    network_id: str
    aliases: tuple[str, ...] = ()


class FileAssignment(Document):
    """A secret or config that some task of this node is given. `data` in base64; `is_template`: Go's template language,
    to be filled in for each task."""

    id: str
    name: str
    is_secret: bool
    data: str = Field(repr=False)
    is_template: bool = False


class TaskAssignment(Document):
    """All an agent needs to run one task. `ports` are those published on this node (mode host). `pull_auth` is a
    secret: X-Registry-Auth as the client sent it."""

    id: str
    service_id: str
    service_name: str
    slot: int
    node_id: str
    spec_version: int
    desired_state: TaskStateName
    spec: TaskSpec
    service_labels: Labels = Field(default_factory=dict)
    networks: tuple[TaskNetworkAssignment, ...] = ()
    ports: tuple[PortConfig, ...] = ()
    pull_auth: str | None = Field(default=None, repr=False)
    is_job: bool = False


class TaskReport(Document):
    """Observed by the agent. `addresses`: network id -> CIDR. `restarts`: times restarted here with no manager."""

    task_id: str
    status: TaskStatus
    addresses: dict[str, str] = Field(default_factory=dict, max_length=MOST_ADDRESSES)
    restarts: int = 0


# agent -> manager


class Hello(Document):
    """First frame. `address` is where the node is reached, `host:port` of a manager's door should it be one. `reports`
    are all tasks the agent holds, with their true state; those that do not fit follow in Reports. `volumes` are names
    of those on the engine that tasks must be with. `features` are words for what the kernel can (`WIREGUARD`), `routes`
    the subnets (CIDR) that it reaches otherwise than over networks of ours, `limits` sentences for people on what of
    networks does not work there. `wireguard_key` is the public key by which its peers reach the node in encrypted
    networks."""

    type: Literal["hello"] = "hello"
    protocol: int = PROTOCOL
    address: str = ""
    description: NodeDescription
    reports: tuple[TaskReport, ...] = ()
    volumes: VolumeNames = ()
    features: Features = ()
    routes: Routes = ()
    limits: Notes = ()
    wireguard_key: WireguardKey = ""


class Beat(Document):
    type: Literal["beat"] = "beat"
    session_id: str


class Reports(Document):
    type: Literal["reports"] = "reports"
    session_id: str
    reports: tuple[TaskReport, ...]


class Applied(Document):
    """The agent has begun to act on everything up to this revision."""

    type: Literal["applied"] = "applied"
    session_id: str
    revision: int


class Mapped(Document):
    """The node's kernel and name server show the network map of this revision."""

    type: Literal["mapped"] = "mapped"
    session_id: str
    revision: int


class Described(Document):
    """What the node is now. `trouble` is what keeps it from working, for people; empty when nothing does.
    `volumes`, `features`, `routes`, `limits` and `wireguard_key` as in Hello; None when they are what they were.
    `repaired` says what of its networks the node found changed by others and mended, since it last said so."""

    type: Literal["described"] = "described"
    session_id: str
    description: NodeDescription
    trouble: str = ""
    volumes: VolumeNames | None = None
    features: Features | None = None
    routes: Routes | None = None
    limits: Notes | None = None
    wireguard_key: WireguardKey | None = None
    repaired: Notes = ()


class Goodbye(Document):
    """A graceful end: `reason` is shown to users."""

    type: Literal["goodbye"] = "goodbye"
    session_id: str
    reason: str


FromAgent = Annotated[Hello | Beat | Reports | Applied | Mapped | Described | Goodbye, Field(discriminator="type")]

# manager -> agent


class Welcome(Document):
    """`beat_every` in seconds. `cluster_name` is for logs."""

    type: Literal["welcome"] = "welcome"
    session_id: str
    cluster_id: str
    beat_every: float


class Refused(Document):
    """The session cannot be: `retry` tells whether trying again later makes sense, `leader` (`host:port`) where.
    `removed`: this node is no part of the cluster any more; what it runs is to stop."""

    type: Literal["refused"] = "refused"
    reason: str
    retry: bool = True
    leader: str = ""
    removed: bool = False


class Bearings(Document):
    """Where the node stands: the role it is to have, and the managers' doors (`host:port`)."""

    type: Literal["bearings"] = "bearings"
    role: Role
    managers: tuple[str, ...]


class Beaten(Document):
    type: Literal["beaten"] = "beaten"
    beat_every: float


class Full(Document):
    type: Literal["full"] = "full"
    revision: int
    tasks: tuple[TaskAssignment, ...]
    networks: tuple[NetworkAssignment, ...]
    files: tuple[FileAssignment, ...] = ()
    map: NetworkMap = NetworkMap()
    node_labels: Labels = Field(default_factory=dict)
    node_availability: str = "active"


class Changes(Document):
    """Differences from the set that reflects `after`: put these, drop those ids."""

    type: Literal["changes"] = "changes"
    after: int
    revision: int
    tasks: tuple[TaskAssignment, ...] = ()
    dropped_tasks: tuple[str, ...] = ()
    networks: tuple[NetworkAssignment, ...] = ()
    dropped_networks: tuple[str, ...] = ()
    files: tuple[FileAssignment, ...] = ()
    dropped_files: tuple[str, ...] = ()
    map: MapChanges = MapChanges()


class Files(Document):
    """Comes before a Full or Changes that would be too long with them, and counts as a part of it."""

    type: Literal["files"] = "files"
    files: tuple[FileAssignment, ...]


class LogOptions(Document):
    """Docker's log query. `since` in seconds since 1970; `tail` None = all."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since: float = 0.0
    timestamps: bool = True
    tail: int | None = None


class OpenLogs(Document):
    """Open `/agent/streams/{stream_id}` and send each log line of the task as one frame.

    A frame is one byte, 1 or 2 (stdout, stderr; always 1 for a TTY), then the line, newline kept, with its RFC 3339
    timestamp and a space first when asked.
    """

    type: Literal["open_logs"] = "open_logs"
    stream_id: str
    task_id: str
    options: LogOptions


class CloseStream(Document):
    type: Literal["close_stream"] = "close_stream"
    stream_id: str


FromManager = Annotated[
    Welcome | Refused | Bearings | Beaten | Files | Full | Changes | OpenLogs | CloseStream,
    Field(discriminator="type"),
]

from_agent: TypeAdapter[FromAgent] = TypeAdapter(FromAgent)
from_manager: TypeAdapter[FromManager] = TypeAdapter(FromManager)


def in_frames(message: Full | Changes) -> tuple[Files | Full | Changes, ...]:
    """The message, and before it what of its files is too much for one frame."""
    parts: list[list[FileAssignment]] = [[]]
    size = 0
    for file in message.files:
        size += len(file.data)
        if parts[-1] and size > _FILES_IN_A_FRAME:
            parts.append([])
            size = len(file.data)
        parts[-1].append(file)
    if len(parts) == 1:
        return (message,)
    *ahead, last = parts
    return *(Files(files=tuple(part)) for part in ahead), message.model_copy(update={"files": tuple(last)})


def shortened(status: TaskStatus) -> TaskStatus:
    """The status with texts that are no longer than a session carries."""
    message, err = _cut(status.message), _cut(status.err)
    if (message, err) == (status.message, status.err):
        return status
    return status.model_copy(update={"message": message, "err": err})


def frames_of(reports: Iterable[TaskReport]) -> list[tuple[TaskReport, ...]]:
    """The reports with their texts shortened, as many together as fit a frame. One part at least."""
    parts: list[list[TaskReport]] = [[]]
    size = 0
    for report in reports:
        short = report.model_copy(update={"status": shortened(report.status)})
        weight = len(short.model_dump_json().encode())
        if parts[-1] and size + weight > _REPORTS_IN_A_FRAME:
            parts.append([])
            size = 0
        parts[-1].append(short)
        size += weight
    return [tuple(part) for part in parts]


def _cut(text: str | None) -> str | None:
    return text.encode()[:LONGEST_TEXT].decode(errors="ignore") if text else text
