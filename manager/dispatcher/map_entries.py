"""What of the state is in the network map: an entry for each node, service and task of a network. Pure."""

from collections.abc import Collection, Iterable, Iterator

from manager.allocator.networks import must_encrypt
from manager.objects import Network, Service, Task
from manager.state import State
from swarmpy.models.port import PortConfig, PublishMode
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.network_map import Endpoint, MappedPort, MappedService, NetworkMap, Peer
from swarmpy.states import NodeState, TaskState

DNSRR = "dnsrr"


def peers_of(state: State, network: Network) -> Iterator[Peer]:
    is_encrypted = must_encrypt(network)
    for share in network.node_subnets:
        node = state.nodes.get(share.node_id)
        if node is not None and node.addr:
            key = node.wireguard_key if is_encrypted else ""
            yield Peer(
                network_id=network.id, node_id=node.id, subnet=share.subnet, address=node.addr, wireguard_key=key
            )


def services_of(state: State, service: Service) -> Iterator[MappedService]:
    """The service on each of its networks. One that is being removed has neither names nor ports any more."""
    if service.removed:
        return
    addresses = {vip.network_id: vip.address for vip in service.virtual_ips}
    attachments = _attachments(service)
    ports = _mesh_ports(service)
    ingress = _ingress_ids(state) if ports else ()
    wished = [attachment.target for attachment in attachments if attachment.target]
    is_plain = service.spec.endpoint_spec is not None and service.spec.endpoint_spec.mode == DNSRR
    for network_id in dict.fromkeys((*wished, *addresses, *ingress)):
        if network_id not in state.networks:
            continue
        aliases = (alias for each in attachments if each.target == network_id for alias in each.aliases or ())
        yield MappedService(
            network_id=network_id,
            service_id=service.id,
            names=tuple(dict.fromkeys((service.spec.name, *aliases))),
            vip="" if is_plain else addresses.get(network_id, ""),
            ports=ports if network_id in ingress else (),
        )


def services_on(state: State, networks: Collection[Network]) -> Iterator[str]:
    """Ids of the services that are on one of the networks, as `services_of` has it, or were if it is gone."""
    some = {network.id for network in networks}
    with_ingress = any(network.spec.ingress for network in networks)
    for service in state.services.values():
        named = (attachment.target for attachment in _attachments(service))
        is_on = any(id in some for id in (*named, *(vip.network_id for vip in service.virtual_ips)))
        if is_on or (with_ingress and any(map(_is_mesh, service.published_ports or ()))):
            yield service.id


def endpoints_of(state: State, task: Task) -> Iterator[Endpoint]:
    """Where the task may be sent traffic: it runs, is to go on, and its node is not known to be down."""
    node = state.nodes.get(task.node_id)
    if node is None or node.state is NodeState.DOWN or not is_serving(task):
        return
    for network in task.networks:
        if network.address and network.network_id in state.networks:
            yield Endpoint(
                network_id=network.network_id,
                task_id=task.id,
                service_id=task.service_id,
                node_id=task.node_id,
                address=network.address.partition("/")[0],
                slot=task.slot,
            )


def tasks_on(state: State, networks: Iterable[Network]) -> Iterator[str]:
    """Ids of the tasks that are on one of the networks."""
    some = {network.id for network in networks}
    for task in state.tasks.values():
        if any(joined.network_id in some for joined in task.networks):
            yield task.id


def is_serving(task: Task) -> bool:
    return task.state is TaskState.RUNNING and task.desired_state <= TaskState.RUNNING


def whole_map(state: State, node_id: str) -> NetworkMap:
    """What the node is to know, from nothing: the measure of all that is worked out change by change."""
    mine = {id for id, network in state.networks.items() if any(p.node_id == node_id for p in network.node_subnets)}
    peers = (peer for network in state.networks.values() for peer in peers_of(state, network))
    services = (entry for service in state.services.values() for entry in services_of(state, service))
    endpoints = (endpoint for task in state.tasks.values() for endpoint in endpoints_of(state, task))
    return NetworkMap(
        peers=tuple(peer for peer in peers if peer.network_id in mine),
        services=tuple(entry for entry in services if entry.network_id in mine),
        endpoints=tuple(endpoint for endpoint in endpoints if endpoint.network_id in mine),
    )


def _attachments(service: Service) -> Iterable[NetworkAttachmentConfig]:
    return service.spec.task_template.networks or service.spec.networks or ()


def _ingress_ids(state: State) -> Collection[str]:
    """Whoever looks at a thousand services asks for each."""

    def find() -> Collection[str]:
        return [network.id for network in state.networks.values() if network.spec.ingress]

    return state.remembered("ingress-ids", find)


def _is_mesh(port: PortConfig) -> bool:
    return port.publish_mode is not PublishMode.HOST and bool(port.published_port and port.target_port)


def _mesh_ports(service: Service) -> tuple[MappedPort, ...]:
    return tuple(
        MappedPort(
            protocol=port.protocol or "tcp",
            published=port.published_port,
            target=port.target_port,
            name=port.name or "",
        )
        for port in service.published_ports or ()
        if _is_mesh(port)
    )
