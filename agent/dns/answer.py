"""What a question is answered: names of the cluster from the zone, all others by whom the asker may ask. Pure.

A name that the cluster knows is never asked outside, whatever is asked of it: an address of the sixth version there is
none, and a resolver that heard something else from outside would mix two worlds. A service without a healthy task is
answered without an address, not with "no such name", for that would be believed of all names beneath it (RFC 8020).

SRV gives what A gives, each with a port: of `NAME`, `tasks.NAME` and so on the ports that the service publishes (their
targets; 0 where it publishes none), of `_PORT._PROTOCOL.NAME` that one port's target, by its name or by its number, in
the container or as published. A port that the service does not publish is no name.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import pack
from typing import TypeVar

from agent.dns.wire import ANY, PTR, SOA, SRV, A, Answer, Question, Rcode, Record, name_wire
from agent.dns.zone import Asker, Known, Zone
from swarmpy.network_map import Endpoint, MappedPort, MappedService

# A VIP lives as long as its service. A task's address may be another's once it has rested (`agent.network.addresses`,
# 5 s), and a task that fails its health check is to be out of use within a second.
VIP_TTL = 5
TASK_TTL = 1
# As for tasks: what is not there now may be there in a second.
NEGATIVE_TTL = 1
_REVERSE = ".in-addr.arpa"
_TRANSFERS = {251, 252}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Forward:
    """Not ours: to be asked of these servers; of the node's own where none is named."""

    servers: tuple[str, ...] = ()


def answer(zone: Zone, asker: Asker, question: Question, turn: int = 0) -> Answer | Forward:
    """`turn` is any number: it says which of several addresses comes first."""
    if question.wrong is not None:
        return Answer(question.wrong, is_ours=False)
    if question.type in _TRANSFERS:
        return Answer(Rcode.REFUSED, is_ours=False)
    name = question.name.lower()
    ours = _by_address(zone, asker, question, name) if name.endswith(_REVERSE) else None
    if ours is None:
        ours = _by_port(zone, asker, question, name) if name.startswith("_") else None
    if ours is None:
        known = zone.find(asker, name)
        ours = None if known is None else _of_known(zone, known, question.type, turn)
    if ours is not None:
        return ours
    # A way out by names is a way out.
    return Forward(asker.nameservers) if asker.may_ask_outside else Answer(Rcode.REFUSED, is_ours=False)


def _of_known(zone: Zone, known: Known, type: int, turn: int) -> Answer:
    if not known.exists:
        return _nothing(Rcode.NXDOMAIN)
    if type == SRV:
        return _services(zone, known, None, turn)
    addresses = known.addresses if type in (A, ANY) else ()
    if not addresses:
        return _nothing()
    ttl = _ttl(known)
    records = [Record(A, ttl, _packed(address)) for address in _rotated(addresses, turn)]
    return Answer(records=tuple(records), turns=len(records))


def _by_address(zone: Zone, asker: Asker, question: Question, name: str) -> Answer | None:
    parts = name.removesuffix(_REVERSE).split(".")
    if len(parts) != 4 or not all(part.isdecimal() and part == str(int(part)) and int(part) < 256 for part in parts):
        return None
    owner = zone.owner(asker, ".".join(reversed(parts)))
    if owner is None:
        return None
    target = name_wire(owner) if owner else None
    if target is None:
        return _nothing(Rcode.NXDOMAIN)
    return Answer(records=(Record(PTR, TASK_TTL, target),)) if question.type in (PTR, ANY) else _nothing()


def _by_port(zone: Zone, asker: Asker, question: Question, name: str) -> Answer | None:
    port, _, rest = name.partition(".")
    protocol, _, rest = rest.partition(".")
    known = zone.find(asker, rest) if protocol.startswith("_") else None
    if known is None:
        return None
    if not known.exists:
        return _nothing(Rcode.NXDOMAIN)
    found = _services(zone, known, (port[1:], protocol[1:]))
    if not found.records and known.addresses:
        return _nothing(Rcode.NXDOMAIN)
    return found if question.type in (SRV, ANY) else _nothing()


def _services(zone: Zone, known: Known, wanted: tuple[str, str] | None, turn: int = 0) -> Answer:
    network = next((names for names in zone.networks.values() if names.name == known.network), None)
    owners: tuple[MappedService | Endpoint, ...] = (*known.services, *known.endpoints)
    records, additional = [], []
    for owner in _rotated(owners, turn):
        target = name_wire(network.name_of(owner)) if network is not None else None
        for port in _ports(zone.ports.get(owner.service_id, ()), wanted) if target else ():
            records.append(Record(SRV, _ttl(known), pack("!3H", 0, 1, port) + (target or b"")))
        if records and target:
            address = owner.vip if isinstance(owner, MappedService) else owner.address
            additional.append(Record(A, _ttl(known), _packed(address), owner=target))
    if not records:
        return _nothing()
    return Answer(records=tuple(records), additional=tuple(additional), turns=len(owners))


def _ports(published: Iterable[MappedPort], wanted: tuple[str, str] | None) -> Iterator[int]:
    if wanted is None:
        yield from dict.fromkeys(port.target for port in published) or (0,)
        return
    name, protocol = wanted
    ports = [port for port in published if port.protocol == protocol]
    named = [port.target for port in ports if name in (port.name.lower(), str(port.target))]
    yield from dict.fromkeys(named or (port.target for port in ports if name == str(port.published)))


def _nothing(rcode: Rcode = Rcode.NOERROR) -> Answer:
    """With a record that says for how long it may be believed (RFC 2308)."""
    names = b"\x07swarmpy\x00" * 2
    return Answer(rcode, authority=(Record(SOA, NEGATIVE_TTL, names + pack("!5I", 1, 60, 60, 60, NEGATIVE_TTL)),))


def _ttl(known: Known) -> int:
    return TASK_TTL if known.endpoints else VIP_TTL


def _rotated(things: tuple[T, ...], turn: int) -> tuple[T, ...]:
    if not things:
        return ()
    first = turn % len(things)
    return things[first:] + things[:first]


def _packed(address: str) -> bytes:
    return bytes(map(int, address.split(".")))
