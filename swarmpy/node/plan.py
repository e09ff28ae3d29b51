"""From the node's settings to its children: command, working directory, settings file. Pure: starts nothing."""

from dataclasses import dataclass
from pathlib import Path

from swarmpy.node.etcd import PEER_SOCKET
from swarmpy.settings import AgentSettings, EtcdSettings, ManagerSettings, NodeSettings


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep running. `sockets` are its own, to be cleared away before each start; `settings` is what its
    settings file holds (etcd has none)."""

    name: str
    command: tuple[str, ...]
    directory: Path
    sockets: tuple[Path, ...] = ()
    settings_file: Path | None = None
    settings: str = ""


def manager_child(node: NodeSettings, node_id: str, python: str) -> Child:
    settings = ManagerSettings(
        node_id=node_id,
        hostname=node.hostname,
        data_dir=node.data_dir / "manager",
        api_socket=node.api_socket,
        agent_socket=node.agent_socket,
        status_address=node.status_address,
        etcd=node.etcd or EtcdSettings(endpoints=(f"unix:{node.etcd_socket}",)),
        debug=node.debug,
        log_json=node.log_json,
    )
    return _python_child("manager", node, python, settings, sockets=(node.api_socket, node.agent_socket))


def agent_child(node: NodeSettings, node_id: str, python: str) -> Child:
    settings = AgentSettings(
        node_id=node_id,
        hostname=node.hostname,
        data_dir=node.data_dir / "agent",
        managers=(f"unix:{node.agent_socket}",),
        docker_host=node.docker_host,
        labels=node.labels,
        debug=node.debug,
        log_json=node.log_json,
    )
    return _python_child("agent", node, python, settings)


def etcd_child(node: NodeSettings, command: tuple[str, ...]) -> Child:
    """etcd does not always remove its sockets, and does not start on those that an earlier one left."""
    directory = node.etcd_socket.parent
    return Child("etcd", command, directory, sockets=(node.etcd_socket, directory / PEER_SOCKET))


def _python_child(
    name: str,
    node: NodeSettings,
    python: str,
    settings: ManagerSettings | AgentSettings,
    sockets: tuple[Path, ...] = (),
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
    )
