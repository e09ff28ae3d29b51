"""Ports that a service wants published: sound, and nobody else's. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from manager.allocator.port_claims import port_claims
from manager.allocator.ports import PortKey, given_ports, ingress_keys, port_key, taken_on_hosts, taken_on_ingress
from manager.allocator.reserved_ports import reserved_ports
from manager.published_ports import wished_ports
from manager.state import State
from manager.store.port import Put
from swarmpy.errors import BadRequest, InUse
from swarmpy.models.port import EndpointSpec, PortConfig, PublishMode
from swarmpy.models.service import ServiceMode, ServiceSpec

_HIGHEST = 65535


def check_ports(endpoint: EndpointSpec | None, mode: ServiceMode) -> None:
    """`endpoint` has its defaults filled in. Two services may wish for one host port: nodes have it each, and the
    scheduler keeps them apart."""
    ports = (endpoint.ports if endpoint else None) or ()
    for port in ports:
        _check_port(port)
        if port.publish_mode is not PublishMode.HOST and endpoint is not None and endpoint.mode == "dnsrr":
            raise BadRequest(
                f"EndpointSpec: {_words(port)} cannot be published in ingress mode with endpoint mode dnsrr; "
                "use mode host for the port, or endpoint mode vip"
            )
    if ports and (mode.replicated_job is not None or mode.global_job is not None):
        raise BadRequest("EndpointSpec: a job publishes no ports")
    taken = Counter((port.published_port, port.protocol) for port in ports if port.published_port)
    for (number, protocol), times in taken.items():
        if times > 1:
            raise BadRequest(f"EndpointSpec.Ports: published port {number}/{protocol} is named twice")


def _check_port(port: PortConfig) -> None:
    target, published = port.target_port or 0, port.published_port or 0
    if not 0 < target <= _HIGHEST:
        raise BadRequest(f"EndpointSpec.Ports: target port {target} is not between 1 and {_HIGHEST}")
    if not 0 <= published <= _HIGHEST:
        raise BadRequest(f"EndpointSpec.Ports: published port {published} is not between 0 and {_HIGHEST}")


def admit_ports(
    state: State, service_id: str, spec: ServiceSpec, known: Sequence[PortConfig]
) -> tuple[tuple[PortConfig, ...], tuple[Put, ...]]:
    """The ports with their numbers, and what is to be written besides the service when they are others than `known`,
    which it was given before. Raises `InUse` for one that another service has, and this one has not yet, and
    `BadRequest` for one that the cluster itself needs."""
    wished, reserved, had = wished_ports(spec), reserved_ports(state), frozenset(known)
    for port in wished:
        # One that it has already is the trouble of who came later: it keeps nobody from changing something else.
        if port not in had and (use := reserved.get(port_key(port))):
            protocol, number = port_key(port)
            raise BadRequest(
                f"EndpointSpec.Ports: port {number}/{protocol} is needed for {use} on the nodes; publish another"
            )
    ingress, hosts = taken_on_ingress(state, service_id), taken_on_hosts(state, service_id)
    held = ingress_keys(known), frozenset(port_key(port) for port in known if _is_host(port))
    for port in wished:
        _check_free(port, held[_is_host(port)], ingress, hosts)
    wanted = set(map(port_key, wished))
    given = given_ports(wished, known, ({*ingress, *hosts} - held[False]) | (reserved.keys() - wanted))
    return given, port_claims(state, service_id, known, given)


def _check_free(
    port: PortConfig, held: frozenset[PortKey], ingress: Mapping[PortKey, str], hosts: Mapping[PortKey, str]
) -> None:
    if port_key(port) in held:
        return
    if holder := ingress.get(port_key(port)):
        raise _taken(port, f"is already in use by service {holder} as an ingress port")
    if not _is_host(port) and (holder := hosts.get(port_key(port))):
        raise _taken(port, f"is already in use by service {holder} as a host-published port")


def _is_host(port: PortConfig) -> bool:
    return port.publish_mode is PublishMode.HOST


def _taken(port: PortConfig, how: str) -> InUse:
    protocol, number = port_key(port)
    return InUse(f"EndpointSpec.Ports: port {number}/{protocol} {how}; publish another")


def _words(port: PortConfig) -> str:
    return f"published port {port.published_port}" if port.published_port else f"target port {port.target_port}"
