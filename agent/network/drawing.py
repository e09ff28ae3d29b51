"""The picture of this node's networks, drawn from what the manager told and what the node knows of its tasks. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from agent.network.picture import LocalNetwork, LocalTask, Picture, Underlay, overhead_of
from agent.task.assign import AssignedSet
from agent.task.run import DOWN, Phase, TaskRun
from swarmpy.network_map import Endpoint, IndexedMap
from swarmpy.wire import NetworkAssignment


def picture_of(
    node_id: str,
    underlay: Underlay,
    assigned: AssignedSet,
    runs: Mapping[str, TaskRun],
    addresses_of: Callable[[str], Mapping[str, IPv4Address]],
    on_engine: Collection[str],
) -> Picture:
    """`addresses_of` a task are by network id, `on_engine` the ids of networks whose bridge the engine has made."""
    return Picture(
        node_id=node_id,
        underlay=underlay,
        networks={id: _local(network, underlay, on_engine) for id, network in assigned.networks.items()},
        map=_without_those_down(assigned.map, node_id, runs),
        tasks={task.task_id: task for task in _tasks(runs, addresses_of)},
    )


def mtu_of(network: NetworkAssignment, underlay: Underlay) -> int:
    """What was wished, else what the underlay leaves room for."""
    return network.mtu or underlay.mtu - overhead_of(encrypted=network.encrypted)


def _local(network: NetworkAssignment, underlay: Underlay, on_engine: Collection[str]) -> LocalNetwork:
    return LocalNetwork(
        id=network.id,
        name=network.name,
        subnet=IPv4Network(network.subnet),
        gateway=IPv4Address(network.gateway),
        vni=network.vni,
        mtu=mtu_of(network, underlay),
        service_subnets=tuple(IPv4Network(subnet) for subnet in network.service_subnets),
        internal=network.internal,
        is_ingress=network.is_ingress,
        encrypted=network.encrypted,
        ranges=tuple(IPv4Network(subnet) for subnet in network.ranges),
        on_engine=network.id in on_engine,
    )


def _without_those_down(told: IndexedMap, node_id: str, runs: Mapping[str, TaskRun]) -> IndexedMap:
    """A container that has died is known here before any manager hears of it."""

    def is_down(endpoint: Endpoint) -> bool:
        run = runs.get(endpoint.task_id)
        return endpoint.node_id == node_id and (run is None or run.phase in DOWN)

    down = {key for key, endpoint in told.endpoints.items() if is_down(endpoint)}
    if not down:
        return told
    return replace(told, endpoints={key: one for key, one in told.endpoints.items() if key not in down})


def _tasks(
    runs: Mapping[str, TaskRun], addresses_of: Callable[[str], Mapping[str, IPv4Address]]
) -> Iterator[LocalTask]:
    for run in runs.values():
        if Phase.CREATING <= run.phase <= Phase.RESTING and (addresses := addresses_of(run.id)):
            container = run.assignment.spec.container_spec
            dns = container.dns_config if container else None
            yield LocalTask(
                task_id=run.id,
                service_id=run.assignment.service_id,
                addresses=_in_order(run, addresses),
                nameservers=(dns.nameservers if dns else None) or (),
                pid=_pid_of(run),
            )


def _in_order(run: TaskRun, addresses: Mapping[str, IPv4Address]) -> Mapping[str, IPv4Address]:
    """As the task's wish has its networks: a name that is on several is told of the first, for all tasks of a service
    alike, and before and after a restart."""
    wished = [joined.network_id for joined in run.assignment.networks]
    return {id: addresses[id] for id in dict.fromkeys((*wished, *sorted(addresses))) if id in addresses}


def _pid_of(run: TaskRun) -> int:
    status = run.status.container_status
    is_up = Phase.STARTING <= run.phase <= Phase.STOPPING
    return status.pid or 0 if is_up and status is not None else 0
