"""The picture of a node's networks: what the manager told, less what the node knows better."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from support.assignments import NODE_ID, a_network, an_assignment

from agent.network.drawing import picture_of
from agent.network.picture import LocalTask, Picture, Underlay
from agent.task.assign import AssignedSet
from agent.task.machine import new_run
from agent.task.run import Phase, TaskRun
from swarmpy.clock import ManualClock
from swarmpy.models.container import DNSConfig
from swarmpy.models.task import ContainerStatus
from swarmpy.network_map import Endpoint, IndexedMap
from swarmpy.wire import TaskAssignment

NETWORK = a_network(1)
UNDERLAY = Underlay(IPv4Address("192.0.2.7"), "eth0", 9000)
ADDRESS = IPv4Address("10.200.1.5")


def a_run(task: TaskAssignment, phase: Phase) -> TaskRun:
    return replace(new_run(task, ManualClock().now()), phase=phase)


def an_endpoint(task: TaskAssignment, node_id: str = NODE_ID) -> Endpoint:
    return Endpoint(
        network_id=NETWORK.id, task_id=task.id, service_id=task.service_id, node_id=node_id, address=str(ADDRESS)
    )


def draw(
    *runs: TaskRun, endpoints: tuple[Endpoint, ...] = (), on_engine: tuple[str, ...] = (), **fields: Any
) -> Picture:
    network = NETWORK.model_copy(update=fields)
    told = IndexedMap(endpoints={endpoint.key: endpoint for endpoint in endpoints})
    assigned = AssignedSet(1, {}, {network.id: network}, map=told)
    return picture_of(
        NODE_ID, UNDERLAY, assigned, {run.id: run for run in runs}, lambda task_id: {NETWORK.id: ADDRESS}, on_engine
    )


def test_a_network_carries_what_the_underlay_leaves_room_for_unless_it_says_otherwise() -> None:
    assert draw().networks[NETWORK.id].mtu == 8950
    assert draw(mtu=1280).networks[NETWORK.id].mtu == 1280
    assert draw(encrypted=True).networks[NETWORK.id].mtu == 8890


def test_an_encrypted_network_knows_all_its_ranges() -> None:
    told = draw(encrypted=True, ranges=("10.200.0.0/16",)).networks[NETWORK.id]
    assert (told.encrypted, told.ranges) == (True, (IPv4Network("10.200.0.0/16"),))


def test_a_bridge_is_to_be_there_once_the_engine_has_made_it() -> None:
    assert not draw().networks[NETWORK.id].on_engine
    assert draw(on_engine=(NETWORK.id,)).networks[NETWORK.id].on_engine


@pytest.mark.parametrize("phase", [Phase.STOPPING, Phase.RESTING, Phase.DONE, Phase.REMOVING])
def test_a_container_that_is_down_here_gets_no_traffic_whatever_the_manager_says(phase: Phase) -> None:
    task, other = an_assignment(1), an_assignment(2)
    far = an_endpoint(other, "elsewhere")
    assert draw(a_run(task, phase), endpoints=(an_endpoint(task), far)).map.endpoints == {far.key: far}


def test_one_that_is_being_taken_up_after_a_restart_keeps_its_traffic() -> None:
    task = an_assignment(1)
    endpoint = an_endpoint(task)
    assert draw(a_run(task, Phase.ACCEPTED), endpoints=(endpoint,)).map.endpoints == {endpoint.key: endpoint}


def test_a_task_that_has_left_the_node_gets_no_traffic() -> None:
    assert draw(endpoints=(an_endpoint(an_assignment(1)),)).map.endpoints == {}


def test_a_task_is_known_by_its_addresses_before_it_starts_and_asks_the_name_servers_of_its_wish() -> None:
    task = an_assignment(1, dns_config=DNSConfig(nameservers=("9.9.9.9",)))
    known = LocalTask(task.id, task.service_id, {NETWORK.id: ADDRESS}, nameservers=("9.9.9.9",))

    assert draw(a_run(task, Phase.CREATING)).tasks == {task.id: known}
    assert draw(a_run(task, Phase.PULLING)).tasks == {} == draw(a_run(task, Phase.DONE)).tasks


def test_a_tasks_process_is_known_while_its_container_runs() -> None:
    task = an_assignment(1)
    process = ContainerStatus(container_id="c", pid=4711)

    def drawn(phase: Phase) -> int:
        run = a_run(task, phase)
        run = replace(run, status=run.status.model_copy(update={"container_status": process}))
        return draw(run).tasks[task.id].pid

    assert [drawn(phase) for phase in (Phase.CREATING, Phase.RUNNING, Phase.STOPPING, Phase.RESTING)] == [
        0, 4711, 4711, 0,
    ]  # fmt: skip


def test_all_ranges_of_a_network_are_known() -> None:
    ranges = ("10.200.0.0/16", "10.7.0.0/24")
    assert draw(ranges=ranges).networks[NETWORK.id].ranges == tuple(map(IPv4Network, ranges))


def test_a_tasks_networks_are_in_the_order_of_its_wish_however_the_addresses_were_found() -> None:
    task, late = an_assignment(1, networks=("back", "front")), IPv4Address("10.200.2.5")
    found = {"left": late, "front": ADDRESS, "back": late}
    run = a_run(task, Phase.RUNNING)
    picture = picture_of(NODE_ID, UNDERLAY, AssignedSet(1, {}, {}), {task.id: run}, lambda task_id: found, ())

    assert list(picture.tasks[task.id].addresses) == ["back", "front", "left"]
