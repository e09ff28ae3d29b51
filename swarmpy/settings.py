"""Settings of the three processes: one frozen object each, that refuses nonsense at start. No defaults elsewhere."""

import re
from datetime import timedelta
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from swarmpy.address_ranges import fault_of_range
from swarmpy.models.base import Document, Labels

DEFAULT_DATA_DIR = Path("/var/lib/swarmpy")
DEFAULT_RUN_DIR = Path("/run/swarmpy")
DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"
DEFAULT_STATUS_ADDRESS = "127.0.0.1:2378"
DEFAULT_LISTEN_ADDRESS = "0.0.0.0:2377"
DEFAULT_PEER_PORT = 2380
# Linux refuses longer socket paths (sun_path, 108 bytes with the closing zero).
SOCKET_PATH_LIMIT = 107
# Where CoreDNS looks unless it is told another `path`.
DEFAULT_NAMES_FOLDER = "/skydns"
_DOMAIN = r"^$|^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$"
_FOLDER = r"^(/[A-Za-z0-9._-]+)+$"
API_SOCKET = "swarmpy.sock"
# A network smaller than that has no room for nodes and services.
LONGEST_NETWORK_PREFIX = 28
# The smallest that is tried where no size is wished.
LONGEST_USUAL_NETWORK_PREFIX = 24


def _too_small(prefix: int) -> str:
    if prefix > LONGEST_NETWORK_PREFIX:
        return f"no network fits into it; the smallest is a /{LONGEST_NETWORK_PREFIX}"
    return (
        f"networks are no smaller than a /{LONGEST_USUAL_NETWORK_PREFIX}; "
        f"choose a larger pool, or give --default-addr-pool-mask-length {prefix} or more"
    )


class EtcdSettings(Document):
    """`endpoints` as gRPC targets: `unix:/path`, `host:port`. With `ca_file`, TLS; plain TCP only to loopback."""

    endpoints: tuple[str, ...]
    prefix: str = "swarmpy"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    timeout: timedelta = timedelta(seconds=3)

    @model_validator(mode="after")
    def nothing_plain_leaves_the_machine(self) -> Self:
        for endpoint in self.endpoints:
            local = re.match(r"unix:|localhost:|127\.|\[::1\]:", endpoint)
            if not local and self.ca_file is None:
                raise ValueError(f"etcd endpoint {endpoint} is on another machine: give --etcd-ca-file, so TLS is used")
        return self


class ManagerSettings(Document):
    """`api_socket` speaks Docker's API and ours to operators; `listen_address` is the door for other nodes, reached
    at `advertise_address`; `status_address` (loopback `host:port`) shows the read-only page. `data_dir` holds the
    sealing key, `identity` what proves who this node is."""

    node_id: str
    hostname: str
    data_dir: Path
    identity: Path
    api_socket: Path
    listen_address: str = DEFAULT_LISTEN_ADDRESS
    advertise_address: str
    status_address: str
    etcd: EtcdSettings
    # Managers keep etcd themselves, and its members in step with who is a manager.
    runs_etcd: bool = True
    # Of a cluster that this manager founds: where networks get their ranges, and how long their prefix is.
    address_pools: tuple[str, ...] = ()
    subnet_size: int = 0
    # The operators' group that may use `api_socket`; when it does not exist, root alone.
    socket_group: str = "swarmpy"
    leader_ttl: timedelta = timedelta(seconds=3)
    beat_every: timedelta = timedelta(seconds=1)
    node_grace: timedelta = timedelta(seconds=5)
    resync_every: timedelta = timedelta(seconds=30)
    # The domain that a CoreDNS beside the cluster serves its names in; empty: they are not written for it.
    publish_names: str = Field(default="", max_length=200, pattern=_DOMAIN)
    publish_names_folder: str = Field(default=DEFAULT_NAMES_FOLDER, pattern=_FOLDER)
    debug: bool = False
    log_json: bool = False

    @model_validator(mode="after")
    def a_node_may_miss_two_beats(self) -> Self:
        if self.node_grace < 3 * self.beat_every:
            raise ValueError("node_grace must be at least three times beat_every")
        return self

    @model_validator(mode="after")
    def a_leader_survives_a_slow_renewal(self) -> Self:
        if self.leader_ttl < timedelta(seconds=2):
            raise ValueError("leader_ttl below 2 s: etcd does not grant shorter leases reliably")
        return self

    @field_validator("api_socket")
    @classmethod
    def socket_path_fits(cls, path: Path) -> Path:
        if len(str(path)) > SOCKET_PATH_LIMIT:
            raise ValueError(f"socket path longer than {SOCKET_PATH_LIMIT} characters: {path}; use a shorter --run-dir")
        return path


class AgentSettings(Document):
    """`managers` (`host:port`) are tried in turn, until one tells of others. `data_dir` holds the last assignment and
    what the managers said of this node; `ready_file` is there while a session is. `address` is where the node is
    reached. `is_leaving`: stop all tasks, and end."""

    node_id: str
    hostname: str
    data_dir: Path
    identity: Path
    managers: tuple[str, ...]
    address: str
    ready_file: Path
    is_leaving: bool = False
    docker_host: str = DEFAULT_DOCKER_HOST
    labels: Labels = Field(default_factory=dict)
    relist_every: timedelta = timedelta(seconds=15)
    debug: bool = False
    log_json: bool = False


class NodeSettings(Document):
    """Of `swarmpy up`. Without `etcd` a manager's node runs a member of its own, which others reach at `peer_port`.
    What lasts lies in `data_dir`; `run_dir` holds the sockets and may vanish between two runs. `address_pools` and
    `subnet_size` (0: as the cluster has it) count where the node founds a cluster."""

    data_dir: Path = DEFAULT_DATA_DIR
    run_dir: Path = DEFAULT_RUN_DIR
    docker_host: str = DEFAULT_DOCKER_HOST
    status_address: str = DEFAULT_STATUS_ADDRESS
    listen_address: str = DEFAULT_LISTEN_ADDRESS
    advertise_address: str
    peer_port: int = Field(default=DEFAULT_PEER_PORT, gt=0, lt=65536)
    hostname: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$")
    etcd: EtcdSettings | None = None
    publish_names: str = Field(default="", max_length=200, pattern=_DOMAIN)
    publish_names_folder: str = Field(default=DEFAULT_NAMES_FOLDER, pattern=_FOLDER)
    labels: Labels = Field(default_factory=dict)
    address_pools: tuple[str, ...] = ()
    subnet_size: int = 0
    debug: bool = False
    log_json: bool = False

    @property
    def api_socket(self) -> Path:
        return self.run_dir / API_SOCKET

    @property
    def ready_file(self) -> Path:
        return self.run_dir / "agent.ready"

    @property
    def identity(self) -> Path:
        return self.data_dir / "identity"

    @property
    def peer_address(self) -> str:
        """Of this node's member of etcd."""
        host = self.advertise_address.rpartition(":")[0]
        return f"{host}:{self.peer_port}"

    @property
    def descriptor_socket(self) -> Path:
        return self.run_dir / "agent" / "notify.sock"

    @property
    def etcd_socket(self) -> Path:
        # etcd takes a socket only in the form host:port, and makes a file of that name.
        return self.run_dir / "etcd" / "client.sock:1"

    @field_validator("data_dir", "run_dir")
    @classmethod
    def found_from_anywhere(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError(f"{path} is not an absolute path")
        return path

    @field_validator("address_pools")
    @classmethod
    def pools_are_subnets_apart(cls, pools: tuple[str, ...]) -> tuple[str, ...]:
        known: list[IPv4Network] = []
        for text in pools:
            try:
                pool = IPv4Network(text)
            except ValueError as cause:
                raise ValueError(f"--default-addr-pool {text} is no IPv4 subnet: {cause}") from cause
            if fault := fault_of_range(pool):
                raise ValueError(f"--default-addr-pool {pool} cannot be used: {fault}")
            if rival := next(filter(pool.overlaps, known), None):
                raise ValueError(f"--default-addr-pool {pool} overlaps {rival}")
            known.append(pool)
        return pools

    @model_validator(mode="after")
    def networks_fit_into_the_pools(self) -> Self:
        option = f"--default-addr-pool-mask-length {self.subnet_size}"
        if self.subnet_size and not 8 <= self.subnet_size <= LONGEST_NETWORK_PREFIX:
            raise ValueError(f"{option} is not between 8 and {LONGEST_NETWORK_PREFIX}")
        for pool in self.address_pools:
            if self.subnet_size and IPv4Network(pool).prefixlen > self.subnet_size:
                raise ValueError(f"{option}: no such network fits into --default-addr-pool {pool}")
            if not self.subnet_size and IPv4Network(pool).prefixlen > LONGEST_USUAL_NETWORK_PREFIX:
                raise ValueError(f"--default-addr-pool {pool}: {_too_small(IPv4Network(pool).prefixlen)}")
        return self

    @field_validator("advertise_address")
    @classmethod
    def others_can_reach_it(cls, address: str) -> str:
        host = address.rpartition(":")[0].strip("[]")
        if re.fullmatch(r"[0-9.]+|.*:.*", host):
            try:
                is_one = not ip_address(host).is_unspecified
            except ValueError:
                is_one = False
            if not is_one:
                raise ValueError(f"--advertise-address {address} is no address that other nodes can reach")
        return address

    @field_validator("status_address")
    @classmethod
    def the_page_stays_on_this_machine(cls, address: str) -> str:
        host, _, port = address.rpartition(":")
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"status address {address} is not HOST:PORT, such as {DEFAULT_STATUS_ADDRESS}")
        if host != "localhost" and not re.match(r"127\.|\[::1\]$", host):
            raise ValueError(f"status address {address} is not on loopback: the page has no TLS, reach it by ssh -L")
        return address

    @model_validator(mode="after")
    def every_socket_path_fits(self) -> Self:
        # The longest of the node's sockets decides.
        if len(str(self.etcd_socket)) > SOCKET_PATH_LIMIT:
            raise ValueError(
                f"socket path longer than {SOCKET_PATH_LIMIT} characters: {self.etcd_socket}; use a shorter --run-dir"
            )
        return self
