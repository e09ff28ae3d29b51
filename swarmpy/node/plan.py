"""From the node's settings to its children: command, working directory, settings file. Pure: starts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmpy.settings import AgentSettings, EtcdSettings, ManagerSettings, NodeSettings


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep running. `sockets` are its own, to be cleared away before each start, and so is whatever
    else must not outlive it; `settings` is what its settings file holds (etcd has none). `store`: where it sends
    descriptors that the next process in its place shall have."""

    name: str
    command: tuple[str, ...]
    directory: Path
    sockets: tuple[Path, ...] = ()
    settings_file: Path | None = None
    settings: str = ""
    store: Path | None = None


def manager_folder(node: NodeSettings) -> Path:
    return node.data_dir / "manager"


def agent_folder(node: NodeSettings) -> Path:
    return node.data_dir / "agent"


def etcd_folder(node: NodeSettings) -> Path:
    return node.data_dir / "etcd"


def manager_child(node: NodeSettings, node_id: str, python: str) -> Child:
    settings = ManagerSettings(
        node_id=node_id,
        hostname=node.hostname,
        data_dir=manager_folder(node),
        identity=node.identity,
        api_socket=node.api_socket,
        listen_address=node.listen_address,
        advertise_address=node.advertise_address,
        status_address=node.status_address,
        etcd=node.etcd or EtcdSettings(endpoints=(f"unix:{node.etcd_socket}",)),
        runs_etcd=node.etcd is None,
        publish_names=node.publish_names,
        publish_names_folder=node.publish_names_folder,
        address_pools=node.address_pools,
        subnet_size=node.subnet_size,
        debug=node.debug,
        log_json=node.log_json,
    )
    return _python_child("manager", node, python, settings, sockets=(node.api_socket,))


def agent_child(
    node: NodeSettings, node_id: str, managers: Sequence[str], python: str, *, is_leaving: bool = False
) -> Child:
    settings = AgentSettings(
        node_id=node_id,
        hostname=node.hostname,
        data_dir=agent_folder(node),
        identity=node.identity,
        managers=tuple(managers),
        address=node.advertise_address,
        ready_file=node.ready_file,
        is_leaving=is_leaving,
        docker_host=node.docker_host,
        labels=node.labels,
        debug=node.debug,
        log_json=node.log_json,
    )
    # One that leaves has no next.
    store = None if is_leaving else node.descriptor_socket
    return _python_child("agent", node, python, settings, sockets=(node.ready_file,), store=store)


def etcd_child(node: NodeSettings, command: tuple[str, ...]) -> Child:
    """etcd does not always remove its socket, and does not start on one that an earlier one left."""
    return Child("etcd", command, node.etcd_socket.parent, sockets=(node.etcd_socket,))


def _python_child(
    name: str,
    node: NodeSettings,
    python: str,
    settings: ManagerSettings | AgentSettings,
    sockets: tuple[Path, ...] = (),
    store: Path | None = None,
) -> Child:
    file = node.run_dir / f"{name}.json"
    return Child(
        name,
        # -P: what lies in the working directory is not imported.
        command=(python, "-P", "-m", name, "--settings", str(file)),
        directory=node.data_dir,
        sockets=sockets,
        settings_file=file,
        settings=settings.model_dump_json(),
        store=store,
    )
