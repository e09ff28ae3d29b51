"""The timetable that `make bench-recover` prints: moments of each failure, ours beside the peer's. Measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

COLUMNS = ("failure", "moment", "swarmpy", "Swarm", "ratio", "bar")


@dataclass(frozen=True, slots=True)
class Bar:
    """`at_most` bounds the median of ours; after `after`, another moment of the same failure, if it is named."""

    at_most: float
    after: str = ""


@dataclass(slots=True)
class Line:
    """A moment of a failure, in seconds after it, once a round. `unit` is empty for what is counted."""

    failure: str
    moment: str
    bar: Bar | None = None
    unit: str = "s"
    samples: dict[str, list[float]] = field(default_factory=dict)


class Timetable:
    """Lines in the order in which they were first noted."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], Line] = {}

    def note(
        self, cluster: str, failure: str, moment: str, value: float, bar: Bar | None = None, unit: str = "s"
    ) -> None:
        line = self._lines.setdefault((failure, moment), Line(failure, moment, bar, unit))
        line.samples.setdefault(cluster, []).append(value)

    def show(self, ours: str, theirs: str) -> bool:
        """Print the table; returns whether all bars are kept."""
        rows = [COLUMNS, *(self._row(line, ours, theirs) for line in self._lines.values())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return not any(_is_missed(line.bar, self._measured(line, ours)) for line in self._lines.values())

    def _row(self, line: Line, ours: str, theirs: str) -> tuple[str, ...]:
        names = (line.failure, line.moment)
        summaries = (_summary(line, ours), _summary(line, theirs), _ratio(line, ours, theirs))
        return (*names, *summaries, _verdict(line.bar, self._measured(line, ours), line.unit))

    def _measured(self, line: Line, ours: str) -> float | None:
        """What the bar bounds: a count at its worst, a time at its median."""
        samples = line.samples.get(ours, [])
        if not samples or line.bar is None:
            return None
        if not line.unit:
            return max(samples)
        if not line.bar.after:
            return median(samples)
        earlier = self._lines[line.failure, line.bar.after].samples[ours]
        return median(late - early for late, early in zip(samples, earlier, strict=False))


def _summary(line: Line, name: str) -> str:
    samples: Sequence[float] = line.samples.get(name, [])
    if not samples:
        return "-"
    if not line.unit:
        return f"{max(samples):.0f} in {len(samples)} rounds"
    return f"{median(samples):.2f} {line.unit} ({min(samples):.2f} to {max(samples):.2f})"


def _ratio(line: Line, ours: str, theirs: str) -> str:
    if not line.unit or not line.samples.get(ours) or not line.samples.get(theirs):
        return "-"
    peer = median(line.samples[theirs])
    return f"{median(line.samples[ours]) / peer:.2f}" if peer else "-"


def _is_missed(bar: Bar | None, measured: float | None) -> bool:
    return bar is not None and measured is not None and measured > bar.at_most


def _verdict(bar: Bar | None, measured: float | None, unit: str) -> str:
    if bar is None or measured is None:
        return "-"
    after = f" after {bar.after}" if bar.after else ""
    word = "MISSED" if _is_missed(bar, measured) else "kept"
    number = f"{measured:.2f}" if unit else f"{measured:.0f}"
    return f"at most {bar.at_most:g}{f' {unit}' if unit else ''}{after}: {word} ({number})"
