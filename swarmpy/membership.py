"""What a node and the managers say to each other about its place in the cluster, at the managers' door. Pure.

JSON over HTTPS. Only `/join/...` is open to those who have no certificate yet; for all else the certificate says who
asks. What only the leader can do, others answer with 421 and `NotLeading`.
"""

from pydantic import Field

from swarmpy.models.base import Document
from swarmpy.states import Role

CA_PATH = "/join/ca"
JOIN_PATH = "/join/node"
CERTIFICATE_PATH = "/node/certificate"
LEAVE_PATH = "/node/leave"
MEMBER_PATH = "/manager/member"
NOT_LEADING = 421
# Where a manager keeps the key of `MemberAnswer`, in its data directory.
SEALING_KEY_FILE = "sealing.key"


class CaAnswer(Document):
    """The cluster's CA, PEM. Worth nothing until it was compared with the digest in the token."""

    ca_certificate: str


class JoinRequest(Document):
    """`node_id` is drawn by the node and kept, so that asking again makes no second node; an id that is in use with
    another key is refused. `request` is a certificate request, `address` where the node's own door would be."""

    secret: str = Field(repr=False)
    node_id: str
    request: str
    hostname: str
    address: str


class JoinAnswer(Document):
    cluster_id: str
    certificate: str
    managers: tuple[str, ...]


class CertificateRequest(Document):
    """For the role that is on record, whatever the present certificate says. `etcd_request` (managers): for the
    member of etcd as well."""

    request: str
    etcd_request: str | None = None


class CertificateAnswer(Document):
    certificate: str
    etcd_certificate: str | None = None


class MemberRequest(Document):
    """A manager's node asks for what a manager needs. `peer_url` is where its member of etcd will listen; none when
    the operators bring their etcd."""

    peer_url: str | None
    etcd_request: str | None = None


class MemberAnswer(Document):
    """`sealing_key` is base64. `initial_cluster` are (name, peer URL) of all members, the asking one among them."""

    sealing_key: str = Field(repr=False)
    etcd_certificate: str | None = None
    initial_cluster: tuple[tuple[str, str], ...] = ()


class LeaveRequest(Document):
    """`force`: also when the cluster loses its last manager, or its quorum."""

    force: bool = False


class Done(Document):
    pass


class NotLeading(Document):
    """`leader` is where to ask, empty when nobody leads."""

    message: str
    leader: str = ""


class NodeWord(Document):
    """What the managers said last of this node: kept by its agent, read by its supervisor."""

    role: Role
    managers: tuple[str, ...] = ()
    is_removed: bool = False
