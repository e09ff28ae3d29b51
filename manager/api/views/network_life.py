"""Who is on a network, as Docker's inspect tells: its nodes, the containers of one node, and its services. Pure."""

from collections.abc import Iterator
from typing import Any

from manager.api.views.tasks import full_name
from manager.objects import Network, Service, Task
from manager.orchestrator.slots import is_placed
from manager.state import State
from swarmpy.models.network import PeerInfo
from swarmpy.models.port import PublishMode


def peers(network: Network, state: State) -> tuple[PeerInfo, ...]:
    nodes = (state.nodes.get(share.node_id) for share in network.node_subnets)
    found = ((node.description.hostname or node.id, node.addr) for node in nodes if node is not None)
    return tuple(PeerInfo(name=name, ip=address) for name, address in sorted(found))


def containers(network: Network, state: State, node_id: str) -> dict[str, dict[str, str]]:
    """Of this node, by container id. Their MAC addresses only the node knows."""
    found = {}
    for task in state.tasks_of_node(node_id):
        container = task.status.container_status
        address = _address(task, network.id)
        if address and task.is_live and container is not None and container.container_id:
            found[container.container_id] = {
                "Name": full_name(task),
                "EndpointID": task.id,
                "MacAddress": "",
                "IPv4Address": address,
                "IPv6Address": "",
            }
    return found


def services(network: Network, state: State) -> dict[str, dict[str, Any]]:
    """By name: the virtual address, ports that are published there, and each task with its address."""
    found = {}
    for service in sorted(state.services.values(), key=lambda service: service.spec.name or ""):
        vip = next((vip.address for vip in service.virtual_ips if vip.network_id == network.id), "")
        tasks = [task for task in state.tasks_of_service(service.id) if _is_there(task, network.id)]
        if vip or tasks:
            found[service.spec.name or service.id] = {
                "VIP": vip or "<nil>",
                "Ports": list(_ports(service)) if network.spec.ingress else [],
                "LocalLBIndex": 0,
                "Tasks": [_task(task, network.id, state) for task in tasks],
            }
    return found


def _ports(service: Service) -> Iterator[str]:
    for port in service.published_ports or ():
        if port.publish_mode is not PublishMode.HOST:
            yield f"Target: {port.target_port}, Publish: {port.published_port}"


def _task(task: Task, network_id: str, state: State) -> dict[str, Any]:
    node = state.nodes.get(task.node_id)
    return {
        "Name": full_name(task),
        "EndpointID": task.id,
        "EndpointIP": _address(task, network_id).partition("/")[0],
        "Info": {"Host IP": node.addr if node else ""},
    }


def _is_there(task: Task, network_id: str) -> bool:
    return task.is_live and is_placed(task) and bool(_address(task, network_id))


def _address(task: Task, network_id: str) -> str:
    return next((joined.address for joined in task.networks if joined.network_id == network_id), "")
