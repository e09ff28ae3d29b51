"""The names of services and tasks in the layout of SkyDNS, for a CoreDNS (its `etcd` plugin) that serves others. Pure.

Beneath `DOMAIN`, all keys are ours:

    NAME.NETWORK.DOMAIN                 the VIP; the tasks of a service without one
    tasks.NAME.NETWORK.DOMAIN           all its tasks; TASK.tasks.NAME..., one of them
    SLOT.NAME.NETWORK.DOMAIN            the task of a slot
    _PORT._PROTOCOL.NAME...             SRV, by the port's number or name; before tasks.NAME... too. None where a
                                        service has a great many ports
    reverse names of all these addresses

CoreDNS finds all keys beneath a name, and of these gives the group of the shortest key alone: so a VIP is answered
without the tasks that lie beneath it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from swarmpy.network_map import Endpoint, MappedPort, MappedService
from swarmpy.settings import DEFAULT_NAMES_FOLDER

# As inside (`agent.dns.answer`): what rests before it is another's, and what is unhealthy within a second.
VIP_TTL, TASK_TTL = 5, 1
_REVERSE = ("arpa", "in-addr")
# Each port is a record for every name of every task: of more ports than this there are none.
MOST_PORTS = 100

Records = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class NameWrites:
    """Put these, drop those keys."""

    put: Records
    drop: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.put or self.drop)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where names lie: a folder in etcd (CoreDNS's `path`), and the domain that they are in."""

    domain: str
    folder: str = DEFAULT_NAMES_FOLDER

    @property
    def prefixes(self) -> tuple[str, str]:
        """All that is ours lies beneath these; beneath the second, that of reverse names, others may have theirs."""
        return self.key_of(self.domain) + "/", "/".join((self._root, *_REVERSE, ""))

    def key_of(self, name: str) -> str:
        return "/".join((self._root, *reversed(name.lower().strip(".").split("."))))

    def is_ours(self, key: str, value: bytes) -> bool:
        """Whether this module has made it."""
        ours, reverse = self.prefixes
        return key.startswith(ours) or (key.startswith(reverse) and self._is_of_domain(value))

    @property
    def _root(self) -> str:
        return f"/{self.folder.strip('/')}"

    def _is_of_domain(self, value: bytes) -> bool:
        try:
            host = json.loads(value).get("host", "")
        except (ValueError, AttributeError):
            return False
        return isinstance(host, str) and host.endswith(f".{self.domain.lower().strip('.')}")


def name_records(
    layout: Layout,
    networks: Mapping[str, str],
    services: Iterable[MappedService],
    endpoints: Iterable[Endpoint],
) -> dict[str, bytes]:
    """Of the services on `networks` (id -> name), and of their endpoints. Ports are those on whatever network."""
    return dict(each_record(layout, networks, services, endpoints))


def each_record(
    layout: Layout,
    networks: Mapping[str, str],
    services: Iterable[MappedService],
    endpoints: Iterable[Endpoint],
) -> Iterator[tuple[str, bytes]]:
    """The same, one by one."""
    tasks: dict[tuple[str, str], list[Endpoint]] = {}
    for endpoint in endpoints:
        tasks.setdefault((endpoint.network_id, endpoint.service_id), []).append(endpoint)
    services = tuple(services)
    ports = {service.service_id: service.ports for service in services if service.ports}
    for service in services:
        if service.network_id in networks:
            place = f"{networks[service.network_id]}.{layout.domain.strip('.')}".lower()
            theirs = tuple(tasks.get((service.network_id, service.service_id), ()))
            yield from _records(layout, place, service, theirs, ports.get(service.service_id, ()))


def plan_writes(want: Records, have: Records, keys: Iterable[str]) -> NameWrites:
    """What these keys lack."""
    put: dict[str, bytes] = {}
    drop = []
    for key in keys:
        value = want.get(key)
        if value is None:
            if key in have:
                drop.append(key)
        elif have.get(key) != value:
            put[key] = value
    return NameWrites(put, tuple(sorted(drop)))


def _records(
    layout: Layout, place: str, service: MappedService, tasks: tuple[Endpoint, ...], ports: tuple[MappedPort, ...]
) -> Iterator[tuple[str, bytes]]:
    port = ports[0].target if ports else 0
    if len(ports) > MOST_PORTS:
        ports = ()
    for name in dict.fromkeys(each.lower() for each in service.names):
        base = layout.key_of(f"{name}.{place}")
        if service.vip:
            yield f"{base}/{service.service_id}", _value(service.vip, VIP_TTL, "vip", port)
            yield from _ports(base, service.service_id, service.vip, VIP_TTL, ports)
        for task in tasks:
            yield f"{base}/tasks/{task.task_id}", _value(task.address, TASK_TTL, "tasks", port)
            yield from _ports(f"{base}/tasks", task.task_id, task.address, TASK_TTL, ports)
            if not service.vip:
                yield from _ports(base, task.task_id, task.address, TASK_TTL, ports)
            if task.slot:
                # As deep as its group must lie beneath that of all tasks.
                yield f"{base}/{task.slot}/{task.task_id}/slot", _value(task.address, TASK_TTL, "slot", port)
    if service.names:
        own = f"{service.names[0]}.{place}".lower()
        if service.vip:
            yield _reverse(layout, service.vip), _value(own, TASK_TTL)
        for task in tasks:
            yield _reverse(layout, task.address), _value(f"{task.task_id}.tasks.{own}", TASK_TTL)


def _ports(base: str, id: str, address: str, ttl: int, ports: Iterable[MappedPort]) -> Iterator[tuple[str, bytes]]:
    for port in ports:
        value = _value(address, ttl, "port", port.target)
        for name in dict.fromkeys((str(port.target), port.name.lower())):
            if name:
                yield f"{base}/_{port.protocol}/_{name}/{id}", value


def _reverse(layout: Layout, address: str) -> str:
    return layout.prefixes[1] + "/".join(address.split("."))


@lru_cache(maxsize=1 << 16)
def _value(host: str, ttl: int, group: str = "", port: int = 0) -> bytes:
    """A service has the same values beneath each of its names, and at the next look."""
    fields: dict[str, str | int] = {"host": host, "ttl": ttl}
    if port:
        fields["port"] = port
    if group:
        fields["group"] = group
    return json.dumps(fields, separators=(",", ":")).encode()
