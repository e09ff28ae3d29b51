"""Which ports services have between them, and numbers for those that leave theirs open. Pure.

That a node's port is free is the scheduler's to see.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from manager.allocator.reserved_ports import reserved_ports
from manager.objects import Service
from manager.published_ports import host_ports, wished_ports
from manager.state import State
from swarmpy.errors import BadRequest
from swarmpy.models.port import PortConfig, Protocol, PublishMode

# Protocol and number.
PortKey = tuple[str, int]
# Where the numbers of ports come from that leave theirs open.
OPEN_NUMBERS = range(30000, 32768)


def port_key(port: PortConfig) -> PortKey:
    return (port.protocol or Protocol.TCP).value, port.published_port or 0


def ingress_keys(ports: Iterable[PortConfig]) -> frozenset[PortKey]:
    """What all nodes take for these; open numbers left out."""
    return frozenset(
        port_key(port) for port in ports if port.publish_mode is not PublishMode.HOST and port.published_port
    )


def taken_on_ingress(state: State, besides: str) -> Mapping[PortKey, str]:
    """What all nodes take for other services, with the names of these."""
    return {
        key: service.spec.name or service.id
        for service in _others(state, besides)
        for key in ingress_keys(had_ports(service))
    }


def taken_on_hosts(state: State, besides: str) -> Mapping[PortKey, str]:
    """The same for what other services open where their tasks are."""
    return {
        port_key(port): service.spec.name or service.id
        for service in _others(state, besides)
        for port in host_ports(service.spec)
        if port.published_port
    }


def given_ports(
    wished: Sequence[PortConfig], known: Sequence[PortConfig], taken: Container[PortKey]
) -> tuple[PortConfig, ...]:
    """All wished ports with numbers. One that was given before stays; those that others have are left out. Numbers in
    host mode that are left open each engine finds. Raises `BadRequest` when no open number is left."""
    used = {port_key(port) for port in wished if port.published_port}
    kept = _kept(wished, known, used, taken)
    used.update(map(port_key, kept.values()))
    # What is used or taken stays so here: nobody need look at a number twice.
    free = {protocol: iter(OPEN_NUMBERS) for protocol in Protocol}
    given: list[PortConfig] = []
    for index, port in enumerate(wished):
        if index in kept:
            given.append(kept[index])
        elif _is_open(port):
            number = _next_free(port, free[port.protocol or Protocol.TCP], used, taken)
            given.append(port.model_copy(update={"published_port": number}))
        elif port.publish_mode is PublishMode.HOST or port_key(port) not in taken:
            given.append(port)
    return tuple(given)


def are_given(wished: Sequence[PortConfig], given: Sequence[PortConfig]) -> bool:
    """Whether these are the wished ports, with all the numbers that they need."""
    return len(wished) == len(given) and all(
        (bool(have.published_port) and _but_number(want) == _but_number(have)) if _is_open(want) else want == have
        for want, have in zip(wished, given, strict=True)
    )


def had_ports(service: Service) -> tuple[PortConfig, ...]:
    """What it wishes counts until it was given its ports; then these alone, and another may have what it wishes."""
    return wished_ports(service.spec) if service.published_ports is None else service.published_ports


def regiven(state: State) -> dict[str, tuple[PortConfig, ...]]:
    """Service id -> its ports, of those that lack some, and of those that have one which an older service has too. They
    went back to a former wish by themselves, and a number that another service has meanwhile stays there."""
    present = [service for service in state.services.values() if not service.removed]
    lost = _lost(present)
    wanting = [
        one for one in present if one.id in lost or not are_given(wished_ports(one.spec), one.published_ports or ())
    ]
    if not wanting:
        return {}
    owners = Counter(key for one in present for key in _keys(one, had_ports(one)) - lost.get(one.id, frozenset()))
    owners.update(reserved_ports(state).keys() - owners.keys())
    found: dict[str, tuple[PortConfig, ...]] = {}
    for service in sorted(wanting, key=_age):
        held = _keys(service, had_ports(service)) - lost.get(service.id, frozenset())
        _release(owners, held)
        try:
            given = given_ports(wished_ports(service.spec), service.published_ports or (), owners)
        except BadRequest:
            # No open number is left: it goes on with what it has, until one is free.
            owners.update(held)
            continue
        owners.update(_keys(service, given))
        if given != service.published_ports:
            found[service.id] = given
    return found


def _lost(present: Iterable[Service]) -> Mapping[str, frozenset[PortKey]]:
    """Service id -> what it was given on all nodes though an older one has it."""
    owners: set[PortKey] = set()
    lost: dict[str, frozenset[PortKey]] = {}
    for service in sorted((one for one in present if had_ports(one)), key=_age):
        keys = ingress_keys(had_ports(service))
        if shared := keys & owners:
            lost[service.id] = shared
        owners |= keys
    return lost


def _age(service: Service) -> tuple[datetime, str]:
    return service.created_at, service.id


def _release(owners: Counter[PortKey], keys: Iterable[PortKey]) -> None:
    for key in keys:
        owners[key] -= 1
        if not owners[key]:
            del owners[key]


def _keys(service: Service, had: Sequence[PortConfig]) -> frozenset[PortKey]:
    return ingress_keys(had) | {port_key(port) for port in host_ports(service.spec) if port.published_port}


def _others(state: State, besides: str) -> Iterable[Service]:
    return (service for service in state.services.values() if service.id != besides and not service.removed)


def _is_open(port: PortConfig) -> bool:
    return port.publish_mode is not PublishMode.HOST and not port.published_port


def _but_number(port: PortConfig) -> tuple[object, ...]:
    return port.name, port.protocol, port.target_port, port.publish_mode


def _kept(
    wished: Sequence[PortConfig], known: Sequence[PortConfig], used: Container[PortKey], taken: Container[PortKey]
) -> Mapping[int, PortConfig]:
    """Index of an open port -> what it was given before, where nobody has that now."""
    free: defaultdict[tuple[object, ...], deque[PortConfig]] = defaultdict(deque)
    for port in known:
        if port.published_port and port_key(port) not in used and port_key(port) not in taken:
            free[_but_number(port)].append(port)
    return {
        index: free[_but_number(port)].popleft()
        for index, port in enumerate(wished)
        if _is_open(port) and free[_but_number(port)]
    }


def _next_free(port: PortConfig, numbers: Iterator[int], used: Container[PortKey], taken: Container[PortKey]) -> int:
    protocol = (port.protocol or Protocol.TCP).value
    for number in numbers:
        if (protocol, number) not in used and (protocol, number) not in taken:
            return number
    raise BadRequest(
        f"EndpointSpec.Ports: all {protocol} ports from {OPEN_NUMBERS[0]} to {OPEN_NUMBERS[-1]} are published; "
        f"name one for target port {port.target_port}"
    )
