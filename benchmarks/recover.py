"""`make bench-recover`: how long failures last in swarmpy, beside Docker Swarm on engines of the same kind, in turn.

Each cluster has a lab of its own on this machine, three managers and two workers; in that of Docker Swarm runs no
swarmpy. Both hold the same two services: `web`, whose spec says nothing of restarts, and `web0`, which is to be
restarted without delay. Both idle while the other is measured. Seconds are counted from just before the failure; what
starts, starts when the engine says so.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from clusters import TASK_LABEL, Cluster, Object, Swarm, begin, both
from moments import NotAnswered, now, soonest, stamp, wait_until
from timetable import Bar, Timetable

from swarmpy.lab import machine
from swarmpy.lab.processes import ENGINE, INIT, SUPERVISOR

REPLICAS = 10
SERVICES = {"web": None, "web0": {"Delay": 0}}
PROBE, CALLED = "probe", "called"
ROUNDS = 3
TRY_EVERY, LOOK_EVERY = 0.05, 0.2
# Longer than a manager waits for a silent node: what it would wrongly restart has been restarted by then.
AFTERMATH = 8.0
DOWN, ACTED, RUNNING, ACCEPTED = "node is Down", "replaced", "runs again", "write accepted"
DOWN_BAR, ELSEWHERE_BAR, LEADER_BAR, UNTOUCHED_BAR = Bar(6), Bar(3, after=DOWN), Bar(5), Bar(0)


def main() -> int:
    options = _options()
    begin("bench-recover")
    table = Timetable()
    try:
        with both() as clusters:
            for turn in range(options.rounds):
                measure_round(clusters, table, f"round {turn + 1} of {options.rounds}")
    finally:
        kept = table.show(Cluster.name, Swarm.name)
    print(f"median (least to most) of {options.rounds} rounds; load at the end {os.getloadavg()[0]:.1f}")
    return 0 if kept else 1


def measure_round(clusters: tuple[Cluster, Cluster], table: Timetable, turn: str) -> None:
    """Each failure in one cluster, then in the other, so that a busy moment of the machine meets both."""
    for measure in (deploy, crash, cut, power_loss, leader_lost):
        for cluster in clusters:
            _say(f"{turn}: {cluster.name}, {measure.__name__}, load {os.getloadavg()[0]:.1f}")
            measure(cluster, table)
    _say(f"{turn}: processes of swarmpy, load {os.getloadavg()[0]:.1f}")
    processes_killed(clusters[0], table)
    for cluster in clusters:
        cluster.remove(*SERVICES, PROBE)


def deploy(cluster: Cluster, table: Timetable) -> None:
    begun = now()
    for name, restart in SERVICES.items():
        cluster.create(name, REPLICAS, restart)
    cluster.create(PROBE, 0)
    started = [wait_until_starts(cluster, name, begun, REPLICAS) for name in SERVICES]
    Notes(cluster, table, "none: a deploy", begun)("all tasks run first", max(started))
    for name in SERVICES:
        cluster.wait_until_running(name, REPLICAS)


# failures


def crash(cluster: Cluster, table: Timetable) -> None:
    """A container is killed, once in each service."""
    for service in SERVICES:
        crash_one(cluster, table, service)
    cluster.wait_until_whole()


def crash_one(cluster: Cluster, table: Timetable, service: str) -> None:
    node, asked = cluster.workers()[0], cluster.leader()
    victim, facts = next(iter(cluster.running(service, node).items()))
    begun = now()
    cluster.engine(node, "POST", f"/containers/{victim}/kill")
    again = wait_until_starts(cluster, service, begun, 1)

    def told() -> Object:
        tasks = (task for task in cluster.tasks(asked, service) if task["ID"] == facts["Labels"][TASK_LABEL])
        status: Object = next(tasks)["Status"]
        return status

    wait_until("the crash is told", lambda: told()["State"] in {"failed", "complete"})
    note = Notes(cluster, table, f"container crashes, {service}", begun)
    note("crash told", stamp(told()["Timestamp"]) - begun)
    note(ACTED, replaced_after(cluster, asked, service, begun))
    note(RUNNING, again)


def cut(cluster: Cluster, table: Timetable) -> None:
    """A worker hears and says nothing any more."""
    node = cluster.workers()[0]
    worker_lost(cluster, table, "worker cut off", node, cluster.cut)
    cluster.heal(node)
    settle(cluster)


def power_loss(cluster: Cluster, table: Timetable) -> None:
    node = cluster.workers()[1]
    worker_lost(cluster, table, "worker loses power", node, cluster.power_off)
    cluster.power_on(node)
    settle(cluster)


def worker_lost(cluster: Cluster, table: Timetable, failure: str, node: str, lose: Callable[[str], None]) -> None:
    asked, held = cluster.leader(), _held(cluster, node)
    begun = now()
    lose(node)
    down = soonest(lambda: _is_down(cluster, asked, node), begun, LOOK_EVERY)
    note = Notes(cluster, table, failure, begun)
    note(DOWN, down, DOWN_BAR)
    elsewhere(note, asked, node, held)


def leader_lost(cluster: Cluster, table: Timetable) -> None:
    """The leader's node loses power; another manager is asked to write, again and again, and how the nodes are."""
    node = cluster.leader()
    asked = next(name for name in cluster.managers() if name != node)
    held, attempt = _held(cluster, node), _write(cluster, asked)
    begun = now()
    with ThreadPoolExecutor(2) as pool:
        cluster.power_off(node)
        accepted = pool.submit(soonest, attempt, begun, TRY_EVERY)
        down = pool.submit(soonest, lambda: _is_down(cluster, asked, node), begun, LOOK_EVERY)
    note = Notes(cluster, table, "leader loses power", begun)
    note(ACCEPTED, accepted.result(), LEADER_BAR)
    note(DOWN, down.result())
    elsewhere(note, asked, node, held)
    cluster.power_on(node)
    settle(cluster)


def processes_killed(cluster: Cluster, table: Timetable) -> None:
    """kill -9 of each process of swarmpy in turn. No container has a reason to notice."""
    for process in ("manager", "etcd", SUPERVISOR):
        leaders_process_killed(cluster, table, process)
    agent_killed(cluster, table)


def leaders_process_killed(cluster: Cluster, table: Timetable, process: str) -> None:
    """Another manager is asked to write. A supervisor, whom nobody watches over in a lab, is started by hand then."""
    node = cluster.leader()
    attempt = _write(cluster, next(name for name in cluster.managers() if name != node))
    each = cluster.machines[node]
    victim = machine.running(each)[process].pid
    begun = now()
    os.kill(victim, signal.SIGKILL)
    accepted = soonest(attempt, begun, TRY_EVERY)
    if process == SUPERVISOR:
        wait_until("its processes are gone", lambda: set(machine.running(each)) == {INIT, ENGINE})
        machine.start_swarmpy(each)
    note = Notes(cluster, table, f"kill -9 of the leader's {process}", begun)
    note(ACCEPTED, accepted, LEADER_BAR)
    untouched(note)


def agent_killed(cluster: Cluster, table: Timetable) -> None:
    """Its node is at once asked for something."""
    node = cluster.workers()[0]
    cluster.create(CALLED, 0, on=node)
    version, called = _service(cluster, cluster.leader(), CALLED)
    called["Mode"]["Replicated"]["Replicas"] = 1
    leader, victim = cluster.leader(), machine.running(cluster.machines[node])["agent"].pid
    begun = now()
    os.kill(victim, signal.SIGKILL)
    cluster.ask(leader, "POST", f"/services/{CALLED}/update?version={version}", called)
    note = Notes(cluster, table, "kill -9 of a worker's agent", begun)
    note("starts a new task", wait_until_starts(cluster, CALLED, begun, 1))
    untouched(note)
    cluster.remove(CALLED)


# what follows a failure


class Notes:
    """Into the table, for one failure in one cluster."""

    def __init__(self, cluster: Cluster, table: Timetable, failure: str, begun: float) -> None:
        self.cluster, self.begun = cluster, begun
        self._table, self._failure = table, failure

    def __call__(self, moment: str, value: float, bar: Bar | None = None, unit: str = "s") -> None:
        self._table.note(self.cluster.name, self._failure, moment, value, bar, unit)


def elsewhere(note: Notes, asked: str, node: str, held: dict[str, int]) -> None:
    """All that the node held runs on other nodes."""
    cluster, begun = note.cluster, note.begun
    for service, count in held.items():
        ran = wait_until_starts(cluster, service, begun, count, without=node)
        note(f"{service} {ACTED}", replaced_after(cluster, asked, service, begun))
        note(f"{service} runs elsewhere", ran, ELSEWHERE_BAR)


def untouched(note: Notes) -> None:
    """Once all is well again, and has been for a while: what was started meanwhile, and what is missing."""
    cluster = note.cluster
    cluster.wait_until_whole()
    time.sleep(AFTERMATH)
    started = sum(len(cluster.starts(service, note.begun)) for service in SERVICES)
    missing = sum(
        REPLICAS - sum(len(cluster.running(service, node)) for node in cluster.machines) for service in SERVICES
    )
    note("containers touched", started + abs(missing), UNTOUCHED_BAR, unit="")


def settle(cluster: Cluster) -> None:
    """As before the failure, but for where the tasks run."""
    cluster.wait_until_whole()
    for service in SERVICES:
        cluster.wait_until_running(service, REPLICAS)


def wait_until_starts(cluster: Cluster, service: str, begun: float, count: int, without: str = "") -> float:
    """When the last of so many containers started, in seconds after the failure."""

    def look() -> list[float]:
        found = cluster.starts(service, begun, without)
        return found if len(found) >= count else []

    return wait_until(f"{count} tasks of {service} run again in {cluster.name}", look, every=LOOK_EVERY)[count - 1]


def replaced_after(cluster: Cluster, asked: str, service: str, begun: float) -> float:
    """When the last of the tasks was made that take the place of others."""

    def look() -> list[float]:
        made = [stamp(task["CreatedAt"]) - begun for task in cluster.tasks(asked, service)]
        return [seconds for seconds in made if seconds > 0]

    return max(wait_until(f"{cluster.name} tells of new tasks of {service}", look))


def _write(cluster: Cluster, asked: str) -> Callable[[], bool]:
    """A write that changes nothing but a label. Once only can it succeed: that it came too late is as good a proof."""
    version, spec = _service(cluster, asked, PROBE)
    spec["Labels"] = {"written": str(now())}

    def attempt() -> bool:
        try:
            cluster.ask(asked, "POST", f"/services/{PROBE}/update?version={version}", spec)
        except NotAnswered as error:
            if "out of sequence" not in str(error):
                raise
        return True

    return attempt


def _service(cluster: Cluster, asked: str, name: str) -> tuple[int, Object]:
    found = cluster.get(asked, f"/services/{name}")
    return found["Version"]["Index"], found["Spec"]


def _is_down(cluster: Cluster, asked: str, node: str) -> bool:
    return bool(cluster.nodes(asked)[node]["Status"]["State"] == "down")


def _held(cluster: Cluster, node: str) -> dict[str, int]:
    """How many containers of each service the node has; none makes the failure worth nothing."""
    held = {service: len(cluster.running(service, node)) for service in SERVICES}
    if not all(held.values()):
        sys.exit(f"bench-recover: {node} of {cluster.name} runs {held}: its loss would show nothing")
    return held


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each failure happens (default: 3)")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
