"""Three managers and two workers, real in every part, and what happens to such clusters. Each test leaves it whole."""

import signal
from collections.abc import Iterator
from functools import partial

import pytest
from support.fleet import Fleet
from support.lab import lab

pytestmark = [pytest.mark.lab, pytest.mark.docker, pytest.mark.etcd, pytest.mark.timeout(300)]

MANAGERS = ("node-1", "node-2", "node-3")
WORKERS = ("node-4", "node-5")
REPLICAS = 10
WEB = "s_web"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with lab(nodes=5, managers=3) as made:
        fleet = Fleet(made, tmp_path_factory.mktemp("fleet"))
        made.load()
        fleet.deploy("s", REPLICAS)
        yield fleet


@pytest.fixture
def fleet(whole: Fleet) -> Fleet:
    whole.until_whole(WEB, REPLICAS)
    return whole


@pytest.fixture
def patient(fleet: Fleet) -> Iterator[Fleet]:
    fleet.allow_silence("1m")
    yield fleet
    fleet.allow_silence("5s")


def test_an_operator_may_ask_any_manager_and_write_there(fleet: Fleet) -> None:
    for number, manager in enumerate(MANAGERS):
        fleet.scale(WEB, REPLICAS + number, by=manager)
        assert (
            fleet.ask(f"/services/{WEB}", of=[manager])["Spec"]["Mode"]["Replicated"]["Replicas"] == REPLICAS + number
        )
    fleet.scale(WEB, REPLICAS, by="node-1")
    asked = fleet.lab.swarmpy("node-3", "service", "logs", WEB)
    assert asked.code == 0, asked.all


@pytest.mark.parametrize("process", ["manager", "agent", "etcd", "supervisor"])
def test_any_one_process_of_the_leader_may_die_and_no_container_notices(patient: Fleet, process: str) -> None:
    fleet = patient
    before, leader = fleet.containers(), fleet.leader()
    if process == "supervisor":
        fleet.lab.signal_process(leader, process, signal.SIGKILL)
        fleet.lab.start(leader)
    else:
        fleet.lab.kill_process(leader, process)
    fleet.until_whole(WEB, REPLICAS)
    assert fleet.containers() == before


def test_all_processes_of_another_manager_may_die_and_no_container_notices(patient: Fleet) -> None:
    fleet = patient
    before, leader = fleet.containers(), fleet.leader()
    other = next(name for name in MANAGERS if name != leader)
    for process in ("manager", "etcd", "agent"):
        fleet.lab.kill_process(other, process)
    fleet.until_whole(WEB, REPLICAS)
    assert fleet.containers() == before


def test_the_leader_s_whole_node_may_die(fleet: Fleet) -> None:
    old = fleet.leader()
    others = [name for name in MANAGERS if name != old]
    fleet.lab.kill(old)
    new = fleet.until("another leads", lambda: (name := fleet.leader(of=others)) != old and name)
    fleet.until("its tasks run elsewhere", lambda: _run_without(fleet, old, others))
    fleet.scale(WEB, REPLICAS + 1, by=new)
    fleet.until("a write is carried out", lambda: len(fleet.tasks(WEB, of=others)) == REPLICAS + 1)
    fleet.scale(WEB, REPLICAS, by=new)

    fleet.lab.start(old)
    fleet.until_whole(WEB, REPLICAS)
    assert fleet.role_of(old) == "manager"


def test_a_worker_s_whole_node_may_die_and_come_back(fleet: Fleet) -> None:
    fleet.lab.kill("node-5")
    fleet.until("it counts as down", lambda: fleet.state_of("node-5") == "down")
    fleet.until("its tasks run elsewhere", lambda: _run_without(fleet, "node-5", MANAGERS))
    fleet.lab.start("node-5")
    fleet.until_whole(WEB, REPLICAS)


def test_a_leader_that_was_frozen_writes_nothing_when_it_wakes(fleet: Fleet) -> None:
    old = fleet.leader()
    others = [name for name in MANAGERS if name != old]
    before = fleet.containers()
    fleet.lab.pause(old)
    new = fleet.until("another leads", lambda: (name := fleet.leader(of=others)) != old and name)
    fleet.scale(WEB, REPLICAS + 2, by=new)
    fleet.until("the wish is carried out", lambda: len(fleet.tasks(WEB, of=others)) == REPLICAS + 2)

    fleet.lab.resume(old)
    fleet.until("it follows", lambda: fleet.leader(of=[old]) == new)
    fleet.until_whole(WEB, REPLICAS + 2)
    after = fleet.containers()
    elsewhere = [name for name in before if name != old]
    assert all(before[name] <= after[name] for name in elsewhere)
    fleet.scale(WEB, REPLICAS, by=old)


def test_a_cut_shorter_than_the_grace_restarts_nothing(patient: Fleet) -> None:
    fleet = patient
    before = fleet.containers()
    fleet.lab.cut("node-4")
    fleet.until("it cannot be reached", lambda: not fleet.lab.can_reach("node-5", "node-4"))
    fleet.lab.heal("node-4")
    fleet.until_whole(WEB, REPLICAS)
    assert fleet.containers() == before


@pytest.mark.parametrize("who", ["worker", "leader"])
def test_a_node_that_was_cut_off_long_gives_up_what_was_replaced(fleet: Fleet, who: str) -> None:
    node = fleet.leader() if who == "leader" else "node-4"
    others = [name for name in MANAGERS if name != node]
    kept = fleet.containers()[node]
    fleet.lab.cut(node)
    fleet.until("its tasks run elsewhere", lambda: _run_without(fleet, node, others))
    # Alone, it goes on with what it has.
    assert fleet.containers()[node] == kept
    fleet.lab.heal(node)
    fleet.until_whole(WEB, REPLICAS)


def test_without_any_manager_containers_go_on_and_those_that_crash_are_started_again(fleet: Fleet) -> None:
    before = fleet.containers()
    fleet.lab.pause(*MANAGERS)
    victim = sorted(before["node-5"])[0]
    fleet.lab.docker("node-5", "kill", victim)
    fleet.until("it runs again, here", lambda: victim in fleet.containers()["node-5"])
    fleet.lab.resume(*MANAGERS)
    fleet.until_whole(WEB, REPLICAS)
    assert fleet.containers() == before


def test_every_acknowledged_write_is_there_whatever_dies(fleet: Fleet) -> None:
    for replicas, victim in ((11, "leader"), (12, "follower"), (10, "leader")):
        leader = fleet.leader()
        node = leader if victim == "leader" else next(name for name in MANAGERS if name != leader)
        fleet.lab.signal_process(node, "manager", signal.SIGKILL)
        fleet.lab.signal_process(node, "etcd", signal.SIGKILL)
        other = next(name for name in MANAGERS if name != node)
        fleet.until("a write is acknowledged", partial(_is_acknowledged, fleet, replicas, other))
        fleet.until_whole(WEB, replicas)


def test_roles_change_also_the_leader_s(fleet: Fleet) -> None:
    before = fleet.containers()
    old = fleet.leader()
    done = fleet.lab.swarmpy(old, "node", "promote", "node-4")
    assert done.code == 0, done.all
    fleet.until("the worker is a manager", lambda: fleet.role_of("node-4") == "manager")
    fleet.until("it answers for the cluster", lambda: fleet.leader(of=["node-4"]) == old)

    done = fleet.lab.swarmpy(old, "node", "demote", old)
    assert done.code == 0, done.all
    fleet.until("the old leader is a worker", lambda: fleet.role_of(old) == "worker")
    fleet.until("it runs no manager any more", lambda: {"manager", "etcd"}.isdisjoint(fleet.lab.node(old).processes))
    fleet.until("another leads", lambda: fleet.leader() not in ("", old))

    for node, verb in ((old, "promote"), ("node-4", "demote")):
        done = fleet.lab.swarmpy(fleet.leader(), "node", verb, node)
        assert done.code == 0, done.all
        role = "manager" if verb == "promote" else "worker"
        fleet.until(f"{node} is a {role}", partial(_has_role, fleet, node, role))
        fleet.until_whole(WEB, REPLICAS)
    assert fleet.containers() == before


def test_a_node_leaves_and_its_tasks_move(fleet: Fleet) -> None:
    left = fleet.lab.execute("node-5", "swarmpy", "leave", limit=120)
    assert left.code == 0, left.all
    assert "node-5" not in fleet.nodes()
    assert fleet.containers()["node-5"] == frozenset()
    fleet.until("its tasks run elsewhere", lambda: len(fleet.tasks(WEB)) == REPLICAS)


def test_a_node_that_was_removed_stops_what_it_ran_and_is_refused(fleet: Fleet) -> None:
    done = fleet.lab.swarmpy("node-1", "node", "rm", "--force", "node-4")
    assert done.code == 0, done.all
    fleet.until("it ended", lambda: "supervisor" not in fleet.lab.node("node-4").processes)
    assert fleet.containers()["node-4"] == frozenset()
    assert "this node was removed from the cluster" in fleet.lab.log("node-4")
    again = fleet.lab.execute("node-4", "swarmpy", "up", "--run-dir", "/run/again")
    assert again.code == 7
    assert "swarmpy up --join TOKEN@HOST:PORT" in again.all


def _is_acknowledged(fleet: Fleet, replicas: int, by: str) -> bool:
    fleet.scale(WEB, replicas, by=by)
    return True


def _has_role(fleet: Fleet, node: str, role: str) -> bool:
    return fleet.role_of(node) == role


def _run_without(fleet: Fleet, node: str, of: tuple[str, ...] | list[str]) -> bool:
    tasks = fleet.tasks(WEB, of=of)
    there = fleet.nodes(of=of)[node]["ID"]
    return len(tasks) == REPLICAS and all(task["NodeID"] != there for task in tasks)
