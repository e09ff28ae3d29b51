"""Answer of `GET /status`: the cluster at a glance, for operators and their tools. Pure: documents only.

`overview` makes them from the state.
"""

from pydantic import Field

from swarmpy.models.base import Document, Timestamp


class ClusterStatus(Document):
    """`id` is empty until the first leader has set the cluster up."""

    id: str = ""
    name: str = ""
    created_at: Timestamp | None = None
    version: str = Field(description="of the swarmpy that answers")


class LeaderStatus(Document):
    """`node_id` is empty while there is no leader; `is_this` says whether the manager that answers leads."""

    node_id: str = ""
    hostname: str = ""
    is_this: bool = False


class StoreStatus(Document):
    """`revision` is what the answer reflects. While etcd cannot be reached, `stale_since` and `reason` are set, and all
    the rest of the answer is the last that was known."""

    reachable: bool
    revision: int
    endpoints: tuple[str, ...]
    stale_since: Timestamp | None = None
    reason: str = ""


class NodeLine(Document):
    """`connected`: its agent has a session with the manager that answers. `applied_revision`: how far the agent says
    it has got, `mapped_revision`: which network map it says it shows; null when it never said."""

    id: str
    hostname: str
    role: str
    availability: str
    state: str
    since: Timestamp
    message: str = ""
    addr: str = ""
    engine_version: str = ""
    connected: bool = False
    applied_revision: int | None = None
    mapped_revision: int | None = None
    running_tasks: int = 0


class ReasonLine(Document):
    """Why some tasks of a service, all in one state, do not run; `nodes` says per hostname why it was refused."""

    code: str
    text: str
    since: Timestamp
    state: str
    tasks: tuple[str, ...]
    nodes: dict[str, str] = Field(default_factory=dict)


class ServiceLine(Document):
    """`running` counts tasks last known to run, `healthy` those of them whose node is heard and whose health check,
    if there is one, passes. Whatever is wanted and does not run stands under `reasons`."""

    id: str
    name: str
    stack: str = ""
    mode: str
    image: str
    desired: int
    running: int
    healthy: int
    completed: int = 0
    update_state: str = ""
    update_message: str = ""
    reasons: tuple[ReasonLine, ...] = ()


class NetworkLine(Document):
    """`reason` is why the network cannot be used, or not by another node; empty when it can. `used` of `total`
    addresses of tasks are taken in the shares that nodes have; `full` are the hostnames whose share has none left."""

    id: str
    name: str
    stack: str = ""
    subnet: str = ""
    reason: str = ""
    used: int = 0
    total: int = 0
    full: tuple[str, ...] = ()


class StatusDocument(Document):
    cluster: ClusterStatus
    leader: LeaderStatus
    etcd: StoreStatus
    nodes: tuple[NodeLine, ...]
    services: tuple[ServiceLine, ...]
    networks: tuple[NetworkLine, ...]
