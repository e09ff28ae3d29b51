"""What every benchmark prints: machine, each run, median, spread and, beside a peer, the ratio. Measures nothing."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Literal

GIB = 1024**3


def describe() -> str:
    """The machine in one line: processor, cores, memory, kernel, Python, and how busy it is now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    load = os.getloadavg()[0]
    return (
        f"machine: {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f}"
    )


def report(
    name: str,
    unit: str,
    samples: Sequence[float],
    peer_name: str = "",
    peer_samples: Sequence[float] = (),
    bar: float | None = None,
    *,
    better: Literal["lower", "higher"] = "lower",
    bar_of: Literal["ratio", "median"] = "ratio",
) -> bool:
    """Print one measurement; returns whether it keeps its bar (True without one).

    The ratio is our median by the peer's. `bar` bounds the ratio, or our median with `bar_of="median"`: from above
    when lower is better, from below when higher is.
    """
    print(f"{name}: {_summary(samples, unit)}")
    measured = median(samples)
    if peer_samples:
        print(f"  {peer_name}: {_summary(peer_samples, unit)}")
        ratio = measured / median(peer_samples)
        print(f"  ratio to {peer_name}: {ratio:.2f}")
        if bar_of == "ratio":
            measured = ratio
    if bar is None:
        return True
    kept = measured <= bar if better == "lower" else measured >= bar
    sign = "at most" if better == "lower" else "at least"
    of = bar_of if bar_of == "ratio" else f"median in {unit}"
    print(f"  bar: {of} {sign} {bar:g}: {'kept' if kept else 'MISSED'} ({measured:.3g})")
    return kept


def _summary(samples: Sequence[float], unit: str) -> str:
    runs = " ".join(f"{sample:.4g}" for sample in samples)
    return f"median {median(samples):.4g} {unit}, {min(samples):.4g} to {max(samples):.4g}, {len(samples)} runs: {runs}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
