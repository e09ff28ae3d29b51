"""A wish about a network, checked and turned into writes: create, remove, prune. Pure."""

from collections.abc import Iterable
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

from manager.admission.admitted import Admitted, written
from manager.admission.coverage import is_empty, refuse_unsupported
from manager.admission.in_use import specs_in_use
from manager.admission.names import check_network_name
from manager.admission.naming import naming
from manager.admission.network_options import check_options
from manager.admission.network_references import nobody_joined
from manager.admission.texts import check_texts
from manager.allocator.ingress import NAME, claim, ingress_network, publishers, release
from manager.allocator.networks import node_routes, nodes_room, occupied_by, wished_range
from manager.allocator.vnis import vni_claims
from manager.attached import network_ids
from manager.objects import Network, Service
from manager.state import State
from manager.store.codec import put
from manager.store.keys import name_key
from manager.store.port import Delete, Put, Unit, Write
from swarmpy.address_ranges import fault_of_range
from swarmpy.errors import BadRequest, Conflict, InUse, NotFound, Unsupported
from swarmpy.models.network import IPAMConfig, NetworkCreate
from swarmpy.shown import shown
from swarmpy.states import NodeState

# Networks that every engine has for itself.
_OF_THE_ENGINE = frozenset({"bridge", "host", "none"})
# The smallest share of a node and the addresses of services must fit.
_LONGEST_PREFIX = 28
_LONGEST_SUBNET = len("255.255.255.255/255.255.255.255")


def admit_network(state: State, wish: NetworkCreate, *, network_id: str, now: datetime) -> Admitted[Network]:
    name = check_network_name(wish.name)
    with naming("network", name):
        refuse_unsupported(wish)
        check_texts(wish)
        if name in _OF_THE_ENGINE:
            raise BadRequest("every engine has a network of this name for itself; choose another")
    if state.named("networks", name) is not None:
        raise Conflict(f"network with name {name} already exists")
    with naming("network", name):
        _check_ingress(state, wish)
        check_options(state, wish)
        _check_subnets(state, wish)
    spec = wish.model_copy(update={"driver": "overlay", "scope": "swarm"})
    network = Network(id=network_id, created_at=now, updated_at=now, spec=spec)
    named = Put(name_key("networks", name), network_id.encode(), modified=0)
    claims = (*claim(network), *vni_claims(state, network), *_named_range(state, network))
    return written("network", name, network, put(network, create=True), named, *claims)


def _named_range(state: State, network: Network) -> tuple[Put, ...]:
    """Of two that name their subnets from the same picture, the second looks again: they may overlap."""
    key = name_key("ranges", "named")
    return (Put(key, network.id.encode(), modified=state.version_of(key)),) if wished_range(network) else ()


def warning_of(state: State, network: Network) -> str:
    """What its maker is to know though it is made; empty when there is nothing."""
    room = nodes_room(network)
    ready = sum(node.state is NodeState.READY for node in state.nodes.values())
    if room is None or room >= ready:
        return ""
    return (
        f"network {network.spec.name}: {wished_range(network)} has room for tasks on {room} node{'s' * (room != 1)}, "
        f"and {ready} are ready: tasks beyond wait; choose a wider subnet"
    )


def admit_removal(state: State, network: Network, *, now: datetime) -> Admitted[Network]:
    """Refused while a service that is to stay uses it; tasks that are still stopping do not hold it. They hold the
    ingress network: should their service publish ports again meanwhile, they would be its tasks on a network that is
    gone."""
    name = network.spec.name
    if (user := _user_of(state, network)) is not None:
        if network.spec.ingress:
            raise InUse(f"ingress network {name} cannot be removed: service {user} publishes ports on it")
        raise InUse(f"network {name} is in use by service {user}")
    if network.spec.ingress and (service := _service_on(state, network)):
        raise InUse(
            f"ingress network {name} cannot be removed: tasks of service {service} are on it still; "
            "try again when they have stopped"
        )
    removed = network.model_copy(update={"removed": True, "updated_at": now})
    named = name_key("networks", name)
    writes: tuple[Write, ...] = (
        put(removed),
        Delete(named, modified=state.version_of(named)),
        *release(state, network),
        nobody_joined(state, network.id),
    )
    return Admitted(removed, (Unit(writes),))


def unused_networks(state: State) -> Iterable[Network]:
    """Those that nothing is on and no service that is to stay uses. The ingress network is kept, as Docker does."""
    joined = {joined.network_id for task in state.tasks.values() if task.is_live for joined in task.networks}
    # Once for all networks: with a thousand of each, a look at every service for every network holds up the leader.
    wished = {network_id for service in state.services.values() for network_id in _used_by(service)}
    for network in state.networks.values():
        if not (network.removed or network.spec.ingress or network.id in joined or network.id in wished):
            yield network


def find_network_target(state: State, target: str) -> Network:
    """The network that a task template names by id or by name."""
    network = state.networks.get(target) or state.networks.get(state.named("networks", target) or "")
    if network is not None and not network.removed:
        if network.spec.ingress:
            raise BadRequest(
                f"TaskTemplate.Networks: {network.spec.name} is the ingress network: services are on it by publishing "
                "a port, and by nothing else"
            )
        return network
    if target in _OF_THE_ENGINE:
        raise Unsupported(f"TaskTemplate.Networks: the engine's own network {target} is not carried out yet")
    raise NotFound(f"network {target} not found")


def _used_by(service: Service) -> set[str]:
    """Ids of the networks that the service, if it is to stay, uses or may go back to; ingress is used otherwise."""
    return {network_id for spec in specs_in_use(service) for network_id in network_ids(spec.task_template)}


def _user_of(state: State, network: Network) -> str | None:
    """The name of a service that is to stay and uses the network."""
    if network.spec.ingress:
        return next((service.spec.name or service.id for service in publishers(state)), None)
    for service in state.services.values():
        if network.id in _used_by(service):
            return service.spec.name or service.id
    return None


def _service_on(state: State, network: Network) -> str | None:
    """The name of a service with a task there, whether or not that is to go on."""
    live = (task for task in state.tasks.values() if task.is_live)
    return next((task.service_name for task in live if any(n.network_id == network.id for n in task.networks)), None)


def _check_ingress(state: State, wish: NetworkCreate) -> None:
    if not wish.ingress:
        if wish.name == NAME:
            raise BadRequest(f"network {NAME} is the cluster's own, for published ports; to set it up, use --ingress")
        return
    for name, is_set in (("attachable", wish.attachable), ("internal", wish.internal)):
        if is_set:
            raise BadRequest(f"the ingress network cannot be {name}: every node takes published ports on it")
    known = ingress_network(state)
    if known is not None:
        raise Conflict(f"ingress network ({known.spec.name}) is already present; remove it first")


def _check_subnets(state: State, wish: NetworkCreate) -> None:
    configs = (wish.ipam.config if wish.ipam else None) or ()
    wished = [_subnet(config) for config in configs if not is_empty(config)]
    if len(wished) > 1:
        raise Unsupported(
            f"IPAM.Config: a network has one subnet, not {len(wished)}: name one that is wide enough, or none, and the "
            "network gets further ranges when it needs them"
        )
    for subnet in wished:
        for other in state.networks.values():
            taken = () if other.removed else occupied_by(other)
            for rival in filter(subnet.overlaps, taken):
                raise BadRequest(f"IPAM.Config: {subnet} overlaps {rival} of network {other.spec.name}")
        for route, node in node_routes(state).items():
            if subnet.overlaps(route):
                raise BadRequest(f"IPAM.Config: {subnet} overlaps {route}, which node {node} routes elsewhere")


def _subnet(config: IPAMConfig) -> IPv4Network:
    subnet = _parsed("Subnet", config.subnet or "")
    if subnet.prefixlen > _LONGEST_PREFIX:
        raise BadRequest(f"IPAM.Config: Subnet {subnet} is too small; it must be /{_LONGEST_PREFIX} or wider")
    if fault := fault_of_range(subnet):
        raise BadRequest(f"IPAM.Config: Subnet {subnet} cannot be used: {fault}; choose one such as 10.9.0.0/16")
    if config.ip_range:
        inner = _parsed("IPRange", config.ip_range)
        if not inner.subnet_of(subnet) or inner.prefixlen > _LONGEST_PREFIX:
            raise BadRequest(f"IPAM.Config: IPRange {inner} must lie in {subnet} and be /{_LONGEST_PREFIX} or wider")
    if config.gateway:
        _check_gateway(config.gateway, subnet)
    return subnet


def _parsed(field: str, text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as cause:
        # It quotes the text, too.
        why = f": {cause}" if len(text) <= _LONGEST_SUBNET else ""
        raise BadRequest(f"IPAM.Config: {field} {shown(text)} is not an IPv4 subnet{why}") from cause


def _check_gateway(text: str, subnet: IPv4Network) -> None:
    try:
        gateway = IPv4Address(text)
    except ValueError as cause:
        raise BadRequest(f"IPAM.Config: Gateway {shown(text)} is no IPv4 address") from cause
    if gateway not in subnet:
        raise BadRequest(f"IPAM.Config: Gateway {gateway} lies outside of {subnet}")
    for address, word in ((subnet.network_address, "network"), (subnet.broadcast_address, "broadcast")):
        if gateway == address:
            raise BadRequest(f"IPAM.Config: Gateway {gateway} is the {word} address of {subnet}; choose one in between")
