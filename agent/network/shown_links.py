"""What the kernel has of our links and routes, for all that is known: brings it to what is wanted, by the difference.

What is there is remembered from one pass to the next, and read again when somebody looks, and after anything failed. A
container's port and routes can only be put when its process is there: that is a few hundredths of a second later. One
that cannot be read, or takes too long, is left as it is until somebody looks: others are not to wait for it each time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace
from ipaddress import IPv4Address

from agent.network.links import BridgePort, ContainerRoutes, Links, Operation, Thing, describe, leftovers, plan
from agent.network.picture import NO_PICTURE, LocalTask, Picture
from agent.network.port import KernelPort
from agent.network.wanted import wanted
from swarmpy.errors import NotFound, SwarmpyError, TimedOut, Unavailable
from swarmpy.logs import logger

log = logger("network")

# Its process, and the addresses that it was given, by network.
Container = tuple[int, frozenset[tuple[str, IPv4Address]]]


class ShownLinks:
    """`bridges` are those that the engine has, or may be making just now."""

    def __init__(self, kernel: KernelPort, bridges: Callable[[], frozenset[str]]) -> None:
        self._kernel = kernel
        self._bridges = bridges
        self._picture = NO_PICTURE
        # None: not known.
        self._links: Links | None = None
        self._ports: Mapping[Container, frozenset[BridgePort]] = {}
        self._told: Set[str] = set()
        # Processes of containers that are left as they are.
        self._left: set[int] = set()

    async def differences(self) -> tuple[str, ...]:
        """What of it others changed since it was brought about; mended by the next pass."""
        had, self._links = self._links, None
        self._left.clear()
        if had is None:
            return ()
        is_there = self._links = await self._read(self._picture, had.ports)
        # What was in containers that have ended is gone, and not missing.
        alive = {container.pid for container in is_there.containers}
        alive_ports = {port for (pid, _), ports in self._ports.items() if pid in alive for port in ports}
        had = replace(
            had,
            ports=had.ports & alive_ports,
            containers=frozenset(container for container in had.containers if container.pid in alive),
        )
        # Somebody may have plugged them in elsewhere.
        self._ports = {}
        return tuple(map(describe, plan(had, is_there)))

    async def bring_about(self, picture: Picture, *, has_rules: bool) -> str:
        """What of it the kernel refused, if anything; the rest is there. `has_rules`: the packet rules of this picture
        are in force."""
        if self._links is None:
            self._ports = {}
        ports = await self._ports_of(picture)
        have = self._links if self._links is not None else await self._read(picture, ports)
        self._links, self._picture = None, picture
        want = self._without_left(wanted(picture, ports, has_rules=has_rules))
        troubles: list[str] = []
        inside: set[tuple[Thing, str]] = set()
        for operation in (*plan(want, have), *leftovers(want, have, self._bridges())):
            error = await self._refusal(operation)
            if error is not None and _is_of_a_container(operation.thing, error):
                inside.add((operation.thing, str(error)))
                self._leave_if_it_takes_long(operation.thing, error)
            elif error is not None:
                troubles.append(str(error))
        self._hear_of_trouble_inside(inside)
        if not troubles:
            things = {thing for thing, _ in inside}
            self._links = replace(want, ports=want.ports - things, containers=want.containers - things)
        return troubles[0] if troubles else ""

    async def clear(self) -> None:
        """Take away all of ours."""
        have = await self._kernel.read(NO_PICTURE)
        for operation in (*plan(Links(), have), *leftovers(Links(), have, frozenset())):
            await self._kernel.perform(operation)

    async def _refusal(self, operation: Operation) -> SwarmpyError | None:
        """One peer's trouble is not the others'."""
        log.debug("network.operation", what=describe(operation))
        try:
            await self._kernel.perform(operation)
        except SwarmpyError as error:
            return error
        return None

    async def _read(self, picture: Picture, ports: Set[BridgePort]) -> Links:
        """What cannot be read is not written to: that takes as long."""
        found = await self._kernel.read(picture, ports)
        running = {task.pid for task in picture.tasks.values() if task.pid}
        self._left |= running - {container.pid for container in found.containers}
        return found

    def _leave_if_it_takes_long(self, thing: Thing, error: SwarmpyError) -> None:
        if isinstance(thing, ContainerRoutes) and isinstance(error, TimedOut | Unavailable):
            self._left.add(thing.pid)

    def _without_left(self, want: Links) -> Links:
        return replace(want, containers=frozenset(each for each in want.containers if each.pid not in self._left))

    def _hear_of_trouble_inside(self, refused: Set[tuple[Thing, str]]) -> None:
        """Containers have ended meanwhile, or whoever is inside is in the way: they are tried again."""
        things = {thing for thing, _ in refused}
        pids = {thing.pid for thing in things if isinstance(thing, ContainerRoutes)}
        self._ports = {
            container: ports
            for container, ports in self._ports.items()
            if container[0] not in pids and things.isdisjoint(ports)
        }
        told, self._told = self._told, {reason for thing, reason in refused if isinstance(thing, ContainerRoutes)}
        for reason in sorted(self._told - told):
            log.warning("network.container_not_set_up", reason=reason)

    async def _ports_of(self, picture: Picture) -> frozenset[BridgePort]:
        """Only those of new containers are looked for."""
        tasks = {_container_of(task): task for task in picture.tasks.values() if task.pid}
        known = {container: self._ports[container] for container in tasks.keys() & self._ports.keys()}
        new = [task for container, task in tasks.items() if container not in known and task.pid not in self._left]
        found = await self._kernel.ports_of(new, picture.networks)
        self._ports = {**known, **{_container_of(task): found[task.pid] for task in new if task.pid in found}}
        self._left.update(task.pid for task in new if task.pid not in found)
        return unambiguous(port for ports in self._ports.values() for port in ports)


def unambiguous(ports: Iterable[BridgePort]) -> frozenset[BridgePort]:
    """A device that is said to belong to two bridges is moved to neither: who is in a container can say such things."""
    found = frozenset(ports)
    bridges = Counter(device for device, _ in {(port.device, port.bridge) for port in found})
    return frozenset(port for port in found if bridges[port.device] == 1)


def _container_of(task: LocalTask) -> Container:
    return task.pid, frozenset(task.addresses.items())


def _is_of_a_container(thing: Thing, error: SwarmpyError) -> bool:
    """It is no trouble of the node's: the container has ended, or its inside is not as the engine made it."""
    return isinstance(thing, ContainerRoutes) or (isinstance(thing, BridgePort) and isinstance(error, NotFound))
