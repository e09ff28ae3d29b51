"""Ports that a service wants published. Pure."""

from swarmpy.errors import BadRequest, Unsupported
from swarmpy.models.port import EndpointSpec, PortConfig, PublishMode
from swarmpy.models.service import ServiceMode

_HIGHEST = 65535


def check_ports(endpoint: EndpointSpec | None, mode: ServiceMode) -> None:
    """`endpoint` has its defaults filled in. Two services may wish for one host port: nodes have it each, and the
    scheduler keeps them apart."""
    ports = (endpoint.ports if endpoint else None) or ()
    for port in ports:
        _check_port(port)
    if ports and (mode.replicated_job is not None or mode.global_job is not None):
        raise BadRequest("EndpointSpec: a job publishes no ports")
    taken = [(port.published_port, port.protocol) for port in ports if port.published_port]
    for number, protocol in taken:
        if taken.count((number, protocol)) > 1:
            raise BadRequest(f"EndpointSpec.Ports: published port {number}/{protocol} is named twice")


def _check_port(port: PortConfig) -> None:
    target, published = port.target_port or 0, port.published_port or 0
    if not 0 < target <= _HIGHEST:
        raise BadRequest(f"EndpointSpec.Ports: target port {target} is not between 1 and {_HIGHEST}")
    if not 0 <= published <= _HIGHEST:
        raise BadRequest(f"EndpointSpec.Ports: published port {published} is not between 0 and {_HIGHEST}")
    if port.publish_mode is not PublishMode.HOST:
        which = f"published port {published}" if published else f"target port {target}"
        raise Unsupported(f"{which}: ingress mode is not carried out yet; use mode: host")
