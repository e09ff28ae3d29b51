"""A wish about a network, checked and turned into writes: create, remove. Pure."""

from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

from manager.admission.admitted import Admitted, written
from manager.admission.coverage import is_empty, refuse_unsupported
from manager.admission.names import check_network_name
from manager.admission.naming import naming
from manager.admission.texts import check_texts
from manager.objects import Network
from manager.state import State
from manager.store.codec import put
from manager.store.keys import name_key
from manager.store.port import Delete, Put, Unit
from swarmpy.container_values import is_number_within
from swarmpy.errors import BadRequest, Conflict, InUse, NotFound, Unsupported
from swarmpy.models.network import MTU_OPTION, IPAMConfig, NetworkCreate
from swarmpy.shown import shown

# Networks that every engine has for itself.
_OF_THE_ENGINE = frozenset({"bridge", "host", "none"})
# The smallest share of a node, 13 tasks beside the gateway, must fit.
_LONGEST_PREFIX = 28
_LONGEST_SUBNET = len("255.255.255.255/255.255.255.255")


def admit_network(state: State, wish: NetworkCreate, *, network_id: str, now: datetime) -> Admitted[Network]:
    name = check_network_name(wish.name)
    with naming("network", name):
        refuse_unsupported(wish)
        check_texts(wish)
        if name in _OF_THE_ENGINE:
            raise BadRequest("every engine has a network of this name for itself; choose another")
        _check_mtu(wish.options or {})
    if state.named("networks", name) is not None:
        raise Conflict(f"network with name {name} already exists")
    with naming("network", name):
        _check_subnets(state, wish)
    spec = wish.model_copy(update={"driver": "overlay", "scope": "swarm"})
    network = Network(id=network_id, created_at=now, updated_at=now, spec=spec)
    claim = Put(name_key("networks", name), network_id.encode(), modified=0)
    return written("network", name, network, put(network, create=True), claim)


def admit_removal(state: State, network: Network, *, now: datetime) -> Admitted[Network]:
    """Refused while a service that is to stay uses it; tasks that are still stopping do not hold it."""
    for service in state.services.values():
        attached = service.spec.task_template.networks or ()
        if not service.removed and any(attachment.target == network.id for attachment in attached):
            raise InUse(f"network {network.spec.name} is in use by service {service.spec.name}")
    removed = network.model_copy(update={"removed": True, "updated_at": now})
    claim = name_key("networks", network.spec.name)
    return Admitted(removed, (Unit((put(removed), Delete(claim, modified=state.version_of(claim)))),))


def find_network_target(state: State, target: str) -> Network:
    """The network that a task template names by id or by name."""
    network = state.networks.get(target) or state.networks.get(state.named("networks", target) or "")
    if network is not None and not network.removed:
        return network
    if target in _OF_THE_ENGINE:
        raise Unsupported(f"TaskTemplate.Networks: the engine's own network {target} is not carried out yet")
    raise NotFound(f"network {target} not found")


def _check_mtu(options: Mapping[str, str]) -> None:
    text = options.get(MTU_OPTION)
    # 68 octets is the least that every IPv4 link must carry.
    if text is not None and not is_number_within(text, 68, 65535):
        raise BadRequest(f"Options {MTU_OPTION}: {shown(text)} is not a number between 68 and 65535")


def _check_subnets(state: State, wish: NetworkCreate) -> None:
    configs = (wish.ipam.config if wish.ipam else None) or ()
    wished = [_subnet(config) for config in configs if not is_empty(config)]
    if len(wished) > 1:
        raise Unsupported(f"IPAM.Config: one subnet per network is carried out, not {len(wished)}")
    for subnet in wished:
        for other in state.networks.values():
            taken = () if other.removed else _ranges(other)
            for rival in filter(subnet.overlaps, taken):
                raise BadRequest(f"IPAM.Config: {subnet} overlaps {rival} of network {other.spec.name}")


def _ranges(network: Network) -> tuple[IPv4Network, ...]:
    """What a network occupies, and what it will: a subnet that was asked for counts before it is allocated."""
    configs = (network.spec.ipam.config if network.spec.ipam else None) or ()
    asked = [config.subnet for config in configs if config.subnet]
    held = [network.subnet, *(share.subnet for share in network.node_subnets)]
    return tuple(IPv4Network(text) for text in dict.fromkeys([*asked, *held]) if text)


def _subnet(config: IPAMConfig) -> IPv4Network:
    subnet = _parsed("Subnet", config.subnet or "")
    if subnet.prefixlen > _LONGEST_PREFIX:
        raise BadRequest(f"IPAM.Config: Subnet {subnet} is too small; it must be /{_LONGEST_PREFIX} or wider")
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


def _check_gateway(gateway: str, subnet: IPv4Network) -> None:
    try:
        inside = IPv4Address(gateway) in subnet
    except ValueError as cause:
        raise BadRequest(f"IPAM.Config: Gateway {shown(gateway)} is no IPv4 address") from cause
    if not inside:
        raise BadRequest(f"IPAM.Config: Gateway {gateway} lies outside of {subnet}")
