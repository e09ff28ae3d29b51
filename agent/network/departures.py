"""Where datagrams of connections that the kernel remembers are to go no more: to back ends that left, and to the node
itself when a port is published now that it was asked for before. Pure.

A connection keeps its back end until it ends; UDP has no end, so one that goes on would be lost for good. TCP is left
alone: an endpoint leaves the map before its task stops, and what is established may finish.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from agent.network.picture import NO_PICTURE, Picture
from swarmpy.network_map import Endpoint, MappedService

PROTOCOL = "udp"


@dataclass(frozen=True, slots=True, order=True)
class Departure:
    """What was sent to `address` (a service's; any, if empty) and `port` (any, if 0) goes to `backend` no more.
    `backend` is empty for what is not translated at all, and went to one of the node's own addresses."""

    backend: str
    address: str = ""
    port: int = 0


def departed(before: Picture, after: Picture) -> tuple[Departure, ...]:
    """In a fixed order; an endpoint that only some ways lead to no more is there with those. Of an agent that has just
    begun nothing departs: connections that are there were made by the same rules."""
    if before is NO_PICTURE:
        return ()
    concerned = _concerned(before, after)
    gone = {*_ways(before, concerned)} - {*_ways(after, concerned)} if concerned else set()
    taken = (Departure("", port=port) for port in _published(after) - _published(before))
    return tuple(sorted({*gone, *taken}))


def _published(picture: Picture) -> set[int]:
    services = picture.map.services.values()
    return {port.published for service in services for port in service.ports if port.protocol == PROTOCOL}


def _concerned(before: Picture, after: Picture) -> frozenset[tuple[str, str]]:
    """(network, service) where a way may have ended."""
    endpoints, services = after.map.endpoints, after.map.services
    moved = (one for key, one in before.map.endpoints.items() if endpoints.get(key) != one)
    changed = (one for key, one in before.map.services.items() if services.get(key) != one)
    return frozenset((one.network_id, one.service_id) for one in chain[Endpoint | MappedService](moved, changed))


def _ways(picture: Picture, concerned: frozenset[tuple[str, str]]) -> Iterator[Departure]:
    for endpoint in picture.map.endpoints.values():
        service = picture.map.services.get(f"{endpoint.network_id}/{endpoint.service_id}")
        if service is not None and (service.network_id, service.service_id) in concerned:
            yield from _ways_to(endpoint.address, service)


def _ways_to(backend: str, service: MappedService) -> Iterator[Departure]:
    if service.vip:
        yield Departure(backend, address=service.vip)
    yield from (Departure(backend, port=port.published) for port in service.ports if port.protocol == PROTOCOL)
