"""What a lab is to be, how its network is made and unmade from any half-way state, and what its processes tell."""

from dataclasses import replace
from ipaddress import IPv4Network
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmpy.errors import BadRequest, Conflict, NotFound, Unavailable
from swarmpy.lab import commands
from swarmpy.lab.network import Step, build, link, machine_steps, namespace, plug, switch_steps, teardown
from swarmpy.lab.plan import (
    MOST_NODES,
    POOL,
    Lab,
    Machine,
    advice,
    check_same,
    chosen,
    free_subnet,
    is_of,
    machines_of,
    new_lab,
    with_added,
)
from swarmpy.lab.processes import Condition, Process, by_name, condition, is_init_in, role, to_pause

PYTHON = "/opt/swarmpy/bin/python"
SOCKET_PATH_LIMIT = 107
INTERFACE_NAME_LIMIT = 15


def a_lab(nodes: int = 3, managers: int = 1, name: str = "lab") -> Lab:
    return new_lab(name, nodes, managers, taken=())


def a_machine(number: int = 1) -> Machine:
    return machines_of(a_lab())[number - 1]


# names and addresses


def test_the_first_nodes_are_the_managers() -> None:
    lab = a_lab(nodes=3, managers=2)
    assert [(each.name, each.manager) for each in machines_of(lab)] == [
        ("node-1", True),
        ("node-2", True),
        ("node-3", False),
    ]


def test_each_node_has_the_address_of_its_number_and_the_machine_the_last() -> None:
    lab = a_lab()
    assert [each.address for each in machines_of(lab)] == ["10.213.0.1", "10.213.0.2", "10.213.0.3"]
    assert lab.host_address == "10.213.0.254"


def test_a_lab_takes_the_first_range_that_nobody_has() -> None:
    assert free_subnet(["10.213.0.0/24", "10.213.1.128/25", "192.168.0.0/16"]) == IPv4Network("10.213.2.0/24")


def test_a_default_route_takes_nothing_and_a_host_route_its_range() -> None:
    assert free_subnet(["default", "0.0.0.0/0", "10.213.0.7"]) == IPv4Network("10.213.1.0/24")


def test_without_a_free_range_there_is_no_lab() -> None:
    with pytest.raises(Unavailable, match=r"no free /24 is left in 10\.213\.0\.0/16"):
        free_subnet([str(POOL)])


def test_every_interface_name_is_one_that_linux_allows() -> None:
    widest = new_lab("lab", MOST_NODES, 1, taken=[str(subnet) for subnet in list(POOL.subnets(new_prefix=24))[:-1]])
    names = [widest.uplink, *(each.port for each in machines_of(widest))]
    assert [name for name in names if len(name) > INTERFACE_NAME_LIMIT] == []


def test_every_socket_path_is_one_that_linux_allows() -> None:
    last = machines_of(a_lab(nodes=MOST_NODES, name="a" * 20))[-1]
    deepest = (last.run / "docker/containerd/containerd-debug.sock.ttrpc", last.swarmpy_run / "etcd/client.sock:1")
    assert [path for path in deepest if len(str(path)) > SOCKET_PATH_LIMIT] == []


def test_what_is_of_a_lab_is_told_by_its_name_alone() -> None:
    assert is_of("lab", "swarmpy-lab-node-12")
    assert is_of("lab", "swarmpy-lab-switch")
    assert not is_of("lab", "swarmpy-lab-two-node-1")
    assert not is_of("la", "swarmpy-lab-node-1")


# wishes


@pytest.mark.parametrize(
    ("nodes", "managers", "sentence"),
    [
        (0, 1, "--nodes 0: a lab has between 1 and 100 nodes"),
        (101, 1, "--nodes 101: a lab has between 1 and 100 nodes"),
        (3, 0, "--managers 0: a cluster needs at least one manager"),
        (3, 4, "--managers 4: there are only --nodes 3"),
    ],
)
def test_a_wish_that_cannot_be(nodes: int, managers: int, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        a_lab(nodes, managers)


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "a/b", "a.b", "a" * 21])
def test_a_name_that_cannot_be(name: str) -> None:
    with pytest.raises(BadRequest, match="begins with a small letter"):
        a_lab(name=name)


def test_an_even_number_of_managers_is_advised_against() -> None:
    assert advice(2) == "2 managers survive the loss of no more of them than 1 do; an odd number is better"
    assert advice(3) is None


def test_the_same_lab_again_is_no_conflict_and_what_was_not_said_is_not_compared() -> None:
    lab = a_lab(nodes=3, managers=1)
    check_same(lab, 3, 1)
    check_same(lab, None, None)


@pytest.mark.parametrize(("nodes", "managers"), [(4, None), (None, 3), (3, 3)])
def test_another_lab_of_the_same_name_is_a_conflict(nodes: int | None, managers: int | None) -> None:
    with pytest.raises(Conflict, match="lab lab is there with 3 nodes, 1 of them managers: `swarmpy lab add`"):
        check_same(a_lab(), nodes, managers)


def test_a_lab_keeps_its_engine_and_another_is_a_conflict() -> None:
    with_own = new_lab("lab", 1, 1, taken=(), engine=Path("/opt/engine-26.1"))
    check_same(with_own, None, None, None)
    check_same(with_own, None, None, Path("/opt/engine-26.1"))
    with pytest.raises(Conflict, match=r"lab lab is there with the engine in /opt/engine-26\.1"):
        check_same(with_own, None, None, Path("/opt/engine-28.5"))
    with pytest.raises(Conflict, match="lab lab is there with this machine's engine"):
        check_same(a_lab(), None, None, Path("/opt/engine-28.5"))


def test_programs_of_a_lab_s_engine_come_before_the_machine_s() -> None:
    found = commands.environment({"PATH": "/usr/bin"}, engine=Path("/opt/engine-26.1"))
    assert found["PATH"].split(":")[:2] == ["/opt/engine-26.1", "/usr/bin"]


def test_added_nodes_follow_in_number() -> None:
    lab = with_added(a_lab(nodes=2), 2, manager=True)
    assert [(each.name, each.manager) for each in machines_of(lab)][2:] == [("node-3", True), ("node-4", True)]


@pytest.mark.parametrize(("count", "sentence"), [(0, "at least one is to be added"), (98, "100 are the most")])
def test_nodes_that_cannot_be_added(count: int, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        with_added(a_lab(), count, manager=False)


def test_a_node_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(NotFound, match="lab lab has no node web; it has node-1 to node-3"):
        chosen(a_lab(), ["node-1", "web"])


def test_a_node_named_twice_is_meant_once() -> None:
    assert [each.name for each in chosen(a_lab(), ["node-2", "node-1", "node-2"])] == ["node-2", "node-1"]


# the network


def steps_of(lab: Lab) -> tuple[Step, ...]:
    return (*switch_steps(lab), *chain.from_iterable(machine_steps(lab, each) for each in machines_of(lab)))


class Kernel:
    """Remembers what commands make, refuses to make a thing twice or to remove what is not there."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.have: set[str] = set()
        self._makes = {step.do: step.makes for step in steps}
        self._undoes = {step.undo: step.makes for step in steps if step.undo}

    def run(self, command: tuple[str, ...]) -> None:
        if command in self._undoes:
            thing = self._undoes[command]
            assert thing in self.have, f"{command} removes what is not there"
            self.have -= {thing, *self._inside(thing)}
        elif thing := self._makes[command]:
            assert thing not in self.have, f"{command} makes what is there"
            self.have.add(thing)

    def _inside(self, thing: str | None) -> set[str]:
        name = (thing or "").removeprefix("namespace ")
        return {other for other in self.have if other.startswith(f"link {name}/")}


STEPS = steps_of(a_lab())


@given(st.integers(0, len(STEPS)))
def test_a_network_that_was_begun_is_completed(done: int) -> None:
    kernel = Kernel(STEPS)
    for step in STEPS[:done]:
        kernel.run(step.do)

    for command in build(STEPS, frozenset(kernel.have)):
        kernel.run(command)

    assert kernel.have == {step.makes for step in STEPS if step.makes}


@given(st.integers(0, len(STEPS)), st.integers(0, 20))
def test_a_network_that_was_begun_is_removed_even_when_the_removal_is_interrupted(done: int, undone: int) -> None:
    kernel = Kernel(STEPS)
    for step in STEPS[:done]:
        kernel.run(step.do)

    for command in teardown(STEPS, frozenset(kernel.have))[:undone]:
        kernel.run(command)
    for command in teardown(STEPS, frozenset(kernel.have)):
        kernel.run(command)

    assert kernel.have == set()


def test_a_node_is_plugged_in_last_and_not_at_all_while_it_is_cut_off() -> None:
    lab, machine = a_lab(), a_machine()
    assert machine_steps(lab, machine)[-1].do == plug(lab, machine)
    assert plug(lab, machine) not in [step.do for step in machine_steps(lab, machine, cut=True)]


def test_a_node_that_comes_back_has_the_card_that_others_remember() -> None:
    macs = {each.mac for each in machines_of(a_lab(nodes=MOST_NODES))}
    assert len(macs) == MOST_NODES
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs), "locally administered, one receiver"


def test_things_of_the_machine_and_of_namespaces_are_told_apart() -> None:
    assert link("eth0") != link("eth0", "lab")
    assert namespace("lab") != link("lab")


# command lines


def test_the_founder_and_one_who_was_a_member_before_join_nobody() -> None:
    assert "--join" not in commands.up(a_machine(), PYTHON)


def test_a_newcomer_joins_with_a_token_that_no_argument_shows() -> None:
    assert commands.up(a_machine(2), PYTHON, "/run/join")[-2:] == ("--join-file", "/run/join")


def test_a_token_is_asked_for_the_role_that_the_newcomer_is_to_have() -> None:
    assert commands.token(a_machine(), PYTHON, manager=True)[-3:] == ("token", "manager", "-q")
    assert commands.token(a_machine(), PYTHON, manager=False)[-3:] == ("token", "worker", "-q")


def test_processes_in_a_node_are_told_of_its_engine_and_not_of_ours() -> None:
    ours = {"PATH": "/usr/bin", "HOME": "/", "DOCKER_HOST": "unix:///other", "SWARMPY_HOST": "unix:///other"}
    assert commands.environment(ours) == {"PATH": "/usr/bin:/usr/local/sbin:/usr/sbin:/sbin", "HOME": "/"}

    inside = commands.environment(ours, a_machine(), is_manager=True)
    assert inside["DOCKER_HOST"] == "unix:///run/swarmpy-lab/lab/node-1/docker.sock"
    assert inside["SWARMPY_HOST"] == "unix:///run/swarmpy-lab/lab/node-1/swarmpy/swarmpy.sock"


def test_a_worker_has_no_socket_to_be_told_of() -> None:
    assert "SWARMPY_HOST" not in commands.environment({}, a_machine(), is_manager=False)


# processes

LAB = a_lab()
UP = Process(20, 10, commands.up(a_machine(), PYTHON))
RUNNING = (
    Process(9, 1, ("unshare", *commands.boot(a_machine(), PYTHON)[3:])),
    Process(10, 9, commands.boot(a_machine(), PYTHON)[-7:]),
    Process(15, 10, commands.engine(LAB, a_machine())),
    UP,
    Process(21, 20, ("/usr/bin/etcd", "--name", "x")),
    Process(22, 20, (PYTHON, "-P", "-m", "manager", "--settings", "f")),
    Process(23, 20, (PYTHON, "-P", "-m", "agent", "--settings", "f")),
    Process(30, 1, ("etcd", "--of", "somebody")),
)


def pids(processes: tuple[Process, ...]) -> dict[str, int]:
    return {name: process.pid for name, process in by_name(a_machine(), processes).items()}


def test_every_process_of_a_node_is_known_by_its_name() -> None:
    assert pids(RUNNING) == {
        "init": 10, "dockerd": 15, "supervisor": 20, "etcd": 21, "manager": 22, "agent": 23,
    }  # fmt: skip


def test_a_process_that_is_just_being_started_is_there_already() -> None:
    assert pids((Process(20, 10, (*commands.DETACHED, *UP.argv)),)) == {"supervisor": 20}


def test_the_first_process_of_a_node_is_known_by_its_folder_alone() -> None:
    init = commands.boot(a_machine(), PYTHON)[-7:]
    assert is_init_in(LAB.run, init)
    assert is_init_in(a_machine().run, init)
    assert not is_init_in(a_machine(2).run, init)
    assert not is_init_in(LAB.run, UP.argv)


def test_what_another_node_or_a_person_runs_is_not_taken_for_the_nodes_own() -> None:
    others = (Process(40, 1, commands.up(a_machine(2), PYTHON)), Process(41, 1, ("dockerd", "--version")))
    assert pids(others) == {}


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ((), Condition.RUNNING),
        (("supervisor",), Condition.NO_SWARMPY),
        (("supervisor", "dockerd"), Condition.NO_ENGINE),
        (("supervisor", "dockerd", "init"), Condition.OFF),
    ],
)
def test_the_processes_say_how_a_node_is(without: tuple[str, ...], expected: Condition) -> None:
    named = by_name(a_machine(), RUNNING)
    assert condition({name: process for name, process in named.items() if name not in without}) is expected


def test_a_node_whose_supervisor_is_stopped_is_paused() -> None:
    named = by_name(a_machine(), RUNNING)
    assert condition({**named, "supervisor": replace(UP, stopped=True)}) is Condition.PAUSED


def test_the_supervisor_is_paused_before_those_it_would_start_again_and_the_engine_never() -> None:
    assert to_pause(by_name(a_machine(), RUNNING)) == (20, 21, 22, 23)


def test_a_node_is_what_its_processes_show_and_when_off_what_was_planned() -> None:
    named = by_name(a_machine(), RUNNING)
    crashed = {name: process for name, process in named.items() if name != "manager"}
    assert role(a_machine(3), named, has_socket=False) == "manager"
    assert role(a_machine(1), crashed, has_socket=False) == "worker"
    assert role(a_machine(3), crashed, has_socket=True) == "manager"
    assert (role(a_machine(1), {}, has_socket=False), role(a_machine(3), {}, has_socket=False)) == ("manager", "worker")


def test_all_of_a_node_lies_in_the_labs_two_folders() -> None:
    lab, machine = a_lab(), a_machine()
    kept = [machine.engine_log, machine.swarmpy_log, machine.swarmpy_data, machine.member_mark]
    lost = [machine.docker_socket, machine.swarmpy_socket, Path(commands.pidfile(machine))]
    assert all(path.is_relative_to(lab.data) for path in kept)
    assert all(path.is_relative_to(machine.run) for path in lost)
    assert not machine.cut_mark.is_relative_to(machine.run), "a cut outlives a loss of power"
