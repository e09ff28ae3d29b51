"""Settings of the three processes: one frozen object each, that refuses nonsense at start. No defaults elsewhere."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from swarmpy.models.base import Document, Labels

DEFAULT_DATA_DIR = Path("/var/lib/swarmpy")
DEFAULT_RUN_DIR = Path("/run/swarmpy")
DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"
DEFAULT_STATUS_ADDRESS = "127.0.0.1:2378"
# Linux refuses longer socket paths (sun_path, 108 bytes with the closing zero).
SOCKET_PATH_LIMIT = 107
API_SOCKET = "swarmpy.sock"
AGENT_SOCKET = "agent.sock"


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
    """`api_socket` speaks Docker's API and ours to operators, `agent_socket` to agents; `status_address` (loopback
    `host:port`) shows the read-only page. `data_dir` holds the sealing key."""

    node_id: str
    hostname: str
    data_dir: Path
    api_socket: Path
    agent_socket: Path
    status_address: str
    etcd: EtcdSettings
    # The operators' group that may use `api_socket`; when it does not exist, root alone.
    socket_group: str = "swarmpy"
    leader_ttl: timedelta = timedelta(seconds=4)
    beat_every: timedelta = timedelta(seconds=1)
    node_grace: timedelta = timedelta(seconds=5)
    resync_every: timedelta = timedelta(seconds=30)
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

    @field_validator("api_socket", "agent_socket")
    @classmethod
    def socket_path_fits(cls, path: Path) -> Path:
        if len(str(path)) > SOCKET_PATH_LIMIT:
            raise ValueError(f"socket path longer than {SOCKET_PATH_LIMIT} characters: {path}; use a shorter --run-dir")
        return path


class AgentSettings(Document):
    """`managers`: sockets (`unix:/path`) of managers, tried in turn. `data_dir` holds the last assignment."""

    node_id: str
    hostname: str
    data_dir: Path
    managers: tuple[str, ...]
    docker_host: str = DEFAULT_DOCKER_HOST
    labels: Labels = Field(default_factory=dict)
    addr: str = "127.0.0.1"
    relist_every: timedelta = timedelta(seconds=15)
    debug: bool = False
    log_json: bool = False


class NodeSettings(Document):
    """Of `swarmpy up`. Without `etcd` the node runs its own member. What lasts lies in `data_dir`; `run_dir` holds the
    sockets and may vanish between two runs."""

    data_dir: Path = DEFAULT_DATA_DIR
    run_dir: Path = DEFAULT_RUN_DIR
    docker_host: str = DEFAULT_DOCKER_HOST
    status_address: str = DEFAULT_STATUS_ADDRESS
    hostname: str
    etcd: EtcdSettings | None = None
    labels: Labels = Field(default_factory=dict)
    debug: bool = False
    log_json: bool = False

    @property
    def api_socket(self) -> Path:
        return self.run_dir / API_SOCKET

    @property
    def agent_socket(self) -> Path:
        return self.run_dir / AGENT_SOCKET

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
