"""Virtual addresses: one for each service and network that it is on, out of the network's service subnets. Pure.

An address stays for as long as the service is on the network. One that was given back rests, so that what clients still
know of it does not lead to somebody else.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network

from manager.allocator.ingress import ingress_network
from manager.objects import Network, Service, VirtualIP
from manager.published_ports import publishes
from manager.state import Changed, State

# Longer than names are kept by whoever asked for them.
REST = timedelta(minutes=1)
# Services of one network that may have gone in the last minute of a leader.
GONE_OF_LATE = 32


@dataclass(frozen=True, slots=True)
class Resting:
    """Addresses that rest at one moment: those that were `given_back` then, and those that may have been, of before the
    term that `began` then: network id -> the highest of them."""

    given_back: Mapping[VirtualIP, datetime] = field(default_factory=dict)
    doubtful: Mapping[str, int] = field(default_factory=dict)
    began: datetime | None = None

    def since(self, network_id: str, number: int) -> datetime | None:
        """None for an address that does not rest."""
        vip = VirtualIP(network_id=network_id, address=str(IPv4Address(number)))
        known = self.given_back.get(vip)
        return self.began if known is None and number <= self.doubtful.get(network_id, -1) else known

    def any_within(self, network_id: str, subnet: IPv4Network) -> bool:
        if int(subnet.network_address) <= self.doubtful.get(network_id, -1):
            return True
        return any(vip.network_id == network_id and IPv4Address(vip.address) in subnet for vip in self.given_back)


NOTHING_RESTS = Resting()


class Rested:
    """When virtual addresses were given back. Filled by changes; an address that rests may be given all the same where
    there is no other, the longest unused first."""

    def __init__(self) -> None:
        self._since: dict[VirtualIP, datetime] = {}
        self._began: datetime | None = None
        self._doubtful: dict[str, int] = {}

    def begin(self, state: State, now: datetime) -> None:
        """A new term. What was given back under the last leader is not known. It gave the lowest that was free: so it
        is not far above what is in use."""
        highest = {
            network.id: int(IPv4Network(network.service_subnets[0]).network_address)
            for network in state.networks.values()
            if network.service_subnets
        }
        for vip in (vip for service in state.services.values() for vip in service.virtual_ips):
            highest[vip.network_id] = max(highest.get(vip.network_id, 0), int(IPv4Address(vip.address)))
        self._began, self._doubtful = now, {id: number + GONE_OF_LATE for id, number in highest.items()}

    def note(self, changes: Iterable[Changed], now: datetime) -> None:
        for change in changes:
            if isinstance(change.before, Service) and change.before.virtual_ips:
                after = change.after.virtual_ips if isinstance(change.after, Service) else ()
                self._since.update((vip, now) for vip in change.before.virtual_ips if vip not in after)

    def at(self, now: datetime) -> Resting:
        """Those that rest still."""
        self._since = {vip: since for vip, since in self._since.items() if since + REST > now}
        if self._began is not None and self._began + REST <= now:
            self._began, self._doubtful = None, {}
        return Resting(self._since, self._doubtful, self._began)


def has_vips(service: Service) -> bool:
    mode = service.spec.endpoint_spec.mode if service.spec.endpoint_spec else None
    return (mode or "vip") == "vip"


def vip_networks(state: State, service: Service) -> frozenset[str]:
    """The networks on which the service has an address, or is to have one. While tasks of it are on a network that its
    wish has left, it is reached there."""
    held = frozenset(vip.network_id for vip in service.virtual_ips) & state.networks.keys()
    if service.removed or not has_vips(service):
        return held if service.removed else frozenset()
    wished = {joined.target for joined in service.spec.task_template.networks or () if joined.target}
    ingress = ingress_network(state)
    if ingress is not None and publishes(service.spec):
        wished.add(ingress.id)
    left = held - wished
    if left:
        tasks = (task for task in state.tasks_of_service(service.id) if task.is_live)
        wished |= left & {joined.network_id for task in tasks for joined in task.networks}
    return frozenset(wished & state.networks.keys())


def vip_wishes(state: State) -> Mapping[str, frozenset[str]]:
    """Service id -> the networks on which it has an address or is to have one."""
    services = state.services.values()
    return state.remembered("vips", lambda: {service.id: vip_networks(state, service) for service in services})


def vip_demand(state: State) -> Counter[str]:
    """Network id -> how many services have an address there, or are to have one."""
    wishes = vip_wishes(state).values()
    return state.remembered("vip-demand", lambda: Counter(network_id for wished in wishes for network_id in wished))


def allocate_vips(
    state: State, network_of: Callable[[str], Network | None], resting: Resting = NOTHING_RESTS
) -> dict[str, tuple[VirtualIP, ...]]:
    """Service id -> its addresses, for those services whose addresses change. `network_of` has networks as they will
    be. Where a network has no address left, a service has none there."""
    wishes = vip_wishes(state)
    taken: dict[str, set[str]] = {}
    for service in state.services.values():
        for vip in service.virtual_ips:
            taken.setdefault(vip.network_id, set()).add(vip.address)
    free: dict[str, Iterator[str]] = {}
    changed: dict[str, tuple[VirtualIP, ...]] = {}
    for service in sorted(state.services.values(), key=lambda service: (service.created_at, service.id)):
        wished = wishes[service.id]
        kept = tuple(vip for vip in service.virtual_ips if vip.network_id in wished)
        added = []
        for network_id in sorted(wished - {vip.network_id for vip in kept}):
            if network_id not in free:
                network = network_of(network_id)
                free[network_id] = _free(network, taken.get(network_id, set()), resting) if network else iter(())
            if address := next(free[network_id], ""):
                added.append(VirtualIP(network_id=network_id, address=address))
        if added or len(kept) < len(service.virtual_ips):
            changed[service.id] = (*kept, *added)
    return changed


def room_for_vips(network: Network) -> int:
    """The first and the last address of a subnet look like its own and its broadcast address, and the gateway is shown
    as another's."""
    subnets = [IPv4Network(text) for text in network.service_subnets]
    has_gateway = bool(network.gateway) and any(IPv4Address(network.gateway) in subnet for subnet in subnets)
    return sum(subnet.num_addresses - 2 for subnet in subnets) - has_gateway


def _free(network: Network, taken: Set[str], resting: Resting) -> Iterator[str]:
    """Those that nobody has or had of late, the lowest first; then the others, the longest unused first."""
    later: list[tuple[datetime, int]] = []
    for text in network.service_subnets:
        subnet = IPv4Network(text)
        for number in range(int(subnet.network_address) + 1, int(subnet.broadcast_address)):
            address = str(IPv4Address(number))
            if address == network.gateway or address in taken:
                continue
            since = resting.since(network.id, number)
            if since is None:
                yield address
            else:
                later.append((since, number))
    yield from (str(IPv4Address(number)) for _, number in sorted(later))
