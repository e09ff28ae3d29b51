"""Placements per second, in memory, through the scheduler's public interface.

Each run makes a view of the nodes, without tasks (not timed), then, timed: reads every service's requirements from its
template, builds the groups and places all. Every service reserves CPU and memory, has a constraint and spreads over
10 racks.
"""

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import machine

from scheduler.place import Placed, TaskGroup, place
from scheduler.view import ClusterView, node_info, requirements
from swarmpy.models.node import NodeDescription, NodeSpec, Platform
from swarmpy.models.resources import ResourceRequirements, Resources
from swarmpy.models.task import Placement, PlacementPreference, SpreadOver, TaskSpec

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RACKS = 10
BAR = 5.0


@dataclass(frozen=True)
class Case:
    """`anchor` is swarmkit's rate for the same case on a machine of this size, in placements per second."""

    name: str
    nodes: int
    services: int
    tasks_each: int
    anchor: float


CASES = (
    Case("1k nodes, 10k tasks of 1 service", 1_000, 1, 10_000, 17_900),
    Case("1k nodes, 10k tasks of 100 services", 1_000, 100, 100, 13_800),
    Case("5k nodes, 100k tasks of 1,000 services", 5_000, 1_000, 100, 7_800),
    Case("1k nodes, 100k one-off tasks", 1_000, 100_000, 1, 3_100),
)


def cluster(size: int) -> ClusterView:
    """One node in ten is not of the wanted disk type."""
    view = ClusterView()
    for number in range(size):
        labels = {"rack": f"r{number % RACKS}", "disk": "hdd" if number // RACKS % 10 == 0 else "ssd"}
        description = NodeDescription(
            hostname=f"host-{number}",
            platform=Platform(os="linux", architecture="x86_64"),
            resources=Resources(nano_cpus=64 * 10**9, memory_bytes=256 << 30),
        )
        info = node_info(f"n{number:024}", NodeSpec(labels=labels), description, ready=True, addr="", message="")
        view.put_node(info)
    return view


def templates(services: int) -> list[TaskSpec]:
    return [
        TaskSpec(
            resources=ResourceRequirements(
                reservations=Resources(nano_cpus=(100 + number % 7) * 10**6, memory_bytes=(256 + number % 11) << 20)
            ),
            placement=Placement(
                constraints=("node.labels.disk == ssd",),
                preferences=(PlacementPreference(spread=SpreadOver(spread_descriptor="node.labels.rack")),),
            ),
        )
        for number in range(services)
    ]


def seconds(case: Case) -> float:
    view = cluster(case.nodes)
    specs = templates(case.services)
    names = [
        tuple(f"t{service:012}{number:012}" for number in range(case.tasks_each)) for service in range(case.services)
    ]
    gc.collect()
    began = time.perf_counter()
    groups = [
        TaskGroup(f"s{number:024}", 1, requirements(spec, ()), task_ids)
        for number, (spec, task_ids) in enumerate(zip(specs, names, strict=True))
    ]
    outcomes = place(view, groups, NOW)
    took = time.perf_counter() - began
    if len(outcomes) != case.services * case.tasks_each or not all(isinstance(o, Placed) for o in outcomes):
        raise SystemExit(f"{case.name}: not all tasks were placed")
    return took


def report(case: Case, rates: Sequence[float]) -> bool:
    """Print one case; returns whether it keeps the bar."""
    median = statistics.median(rates)
    ratio = median / case.anchor
    verdict = "ok" if ratio >= BAR else f"below the bar of {BAR:g}"
    print(f"{case.name:42} {median:>10,.0f}/s  {min(rates):>9,.0f} - {max(rates):<9,.0f} {ratio:>5.1f} x  {verdict}")
    return ratio >= BAR


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print(machine.describe())
    print(f"one thread, {runs} runs each")
    print(f"{'case':42} {'median':>12}  {'slowest - fastest':^21} {'swarmkit':>8}")
    kept = [report(case, [case.services * case.tasks_each / seconds(case) for _ in range(runs)]) for case in CASES]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
