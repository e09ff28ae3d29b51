"""The cluster, and this manager's part in it, as Docker shows them: /info, /version. Pure."""

from typing import Any

from manager.allocator.networks import pools_of, prefixes_of
from manager.objects import Cluster, Node
from manager.state import State
from swarmpy import __version__
from swarmpy.models import cluster as docker
from swarmpy.models.base import Version
from swarmpy.models.node import RUNTIME
from swarmpy.states import Role, TaskState

API_VERSION = "1.45"
MIN_API_VERSION = "1.24"


def cluster_document(cluster: Cluster) -> dict[str, Any]:
    return _cluster_info(cluster).to_docker()


def _cluster_info(cluster: Cluster) -> docker.ClusterInfo:
    return docker.ClusterInfo(
        id=cluster.id,
        version=Version(index=cluster.version),
        created_at=cluster.created_at,
        updated_at=cluster.updated_at,
        spec=cluster.spec,
        default_addr_pool=pools_of(cluster),
        subnet_size=prefixes_of(cluster)[0],
        tls_info=docker.TLSInfo(trust_root=cluster.ca_certificate) if cluster.ca_certificate else None,
    )


def swarm_document(cluster: Cluster, tokens: docker.JoinTokens) -> dict[str, Any]:
    return docker.Swarm(**dict(_cluster_info(cluster)), join_tokens=tokens).to_docker()


def version_document() -> dict[str, Any]:
    details = {"ApiVersion": API_VERSION, "MinAPIVersion": MIN_API_VERSION, "Os": "linux", "Arch": ""}
    return {
        "Platform": {"Name": f"swarmpy {__version__}"},
        "Version": __version__,
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "Os": "linux",
        "Components": [{"Name": "Engine", "Version": __version__, "Details": details}],
    }


def info_document(state: State, *, node_id: str, hostname: str) -> dict[str, Any]:
    """Engine fields tell of this manager's node as its agent described it; containers are those of its tasks."""
    node = state.nodes.get(node_id)
    running = sum(task.state is TaskState.RUNNING for task in state.tasks_of_node(node_id))
    return {
        "ID": node_id,
        "Name": hostname,
        "ServerVersion": __version__,
        "Containers": running,
        "ContainersRunning": running,
        "ContainersPaused": 0,
        "ContainersStopped": 0,
        "Images": 0,
        "Driver": "",
        "DriverStatus": None,
        "OperatingSystem": f"swarmpy {__version__}",
        "Warnings": None,
        **_machine(node),
        "Swarm": _swarm(state, node_id),
    }


def _machine(node: Node | None) -> dict[str, Any]:
    if node is None:
        return {"OSType": "linux", "Architecture": "", "NCPU": 0, "MemTotal": 0}
    description = node.description
    plugins: dict[str, list[str]] = {}
    for plugin in description.engine.plugins or ():
        # Of our own making: Docker's clients look for them elsewhere, together with what the engine chooses by itself.
        if plugin.type != RUNTIME:
            plugins.setdefault(plugin.type or "", []).append(plugin.name or "")
    return {
        "OSType": description.platform.os or "linux",
        "Architecture": description.platform.architecture or "",
        "NCPU": (description.resources.nano_cpus or 0) // 1_000_000_000,
        "MemTotal": description.resources.memory_bytes or 0,
        "Plugins": plugins,
        "Labels": [f"{name}={value}" for name, value in (description.engine.labels or {}).items()],
    }


def _swarm(state: State, node_id: str) -> dict[str, Any]:
    managers = [node for node in state.nodes.values() if node.spec.role is Role.MANAGER]
    node = state.nodes.get(node_id)
    return {
        "NodeID": node_id,
        "NodeAddr": node.addr if node else "",
        "LocalNodeState": "active",
        "ControlAvailable": True,
        "Error": "",
        "RemoteManagers": [{"NodeID": manager.id, "Addr": manager.address} for manager in managers],
        "Nodes": len(state.nodes),
        "Managers": len(managers),
        "Cluster": cluster_document(state.cluster) if state.cluster else None,
    }
