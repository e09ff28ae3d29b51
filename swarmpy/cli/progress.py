"""Showing how a deployment gets on: bars on a terminal, a line a change elsewhere, JSON for machines."""

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import click

from swarmpy.cli.convergence import Phase, ServiceVerdict, Verdict
from swarmpy.cli.options import JSON
from swarmpy.cli.render import json_line

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

QUIET = "quiet"
_COLOURS = {Phase.WAITING: "yellow", Phase.STEADYING: "cyan", Phase.CONVERGED: "green", Phase.FAILED: "red"}


class Progress(Protocol):
    def show(self, verdict: Verdict) -> None: ...

    def note(self, text: str) -> None:
        """Something that is about no single service; said once while it stays the same."""
        ...


def progress_for(form: str) -> AbstractContextManager[Progress]:
    if form == JSON:
        return JsonProgress()
    if form == QUIET:
        return QuietProgress()
    return BarProgress() if sys.stdout.isatty() else LineProgress()


class LineProgress:
    """`web: 1/3 running, starting`, whenever that changes, and each new reason below it."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._note = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def show(self, verdict: Verdict) -> None:
        for service in verdict.services:
            text, reasons = self._said.get(service.service_id, ("", ()))
            if service.phase is Phase.FAILED:
                continue
            if _line(service) != text:
                click.echo(_line(service))
            for reason in service.reasons:
                if reason not in reasons:
                    click.echo(f"  {reason}")
            self._said[service.service_id] = (_line(service), service.reasons)

    def note(self, text: str) -> None:
        if text != self._note:
            click.echo(text, err=True)
        self._note = text


class JsonProgress(LineProgress):
    """One object a change."""

    def show(self, verdict: Verdict) -> None:
        for service in verdict.services:
            line = json_line(
                {
                    "ID": service.service_id,
                    "Name": service.name,
                    "Phase": service.phase.value,
                    "Done": service.done,
                    "Wanted": service.wanted,
                    "Text": service.text,
                    "Reasons": list(service.reasons),
                }
            )
            if self._said.get(service.service_id) != (line, ()):
                click.echo(line)
            self._said[service.service_id] = (line, ())


class QuietProgress(LineProgress):
    """Nothing: the exit code tells, and what fails is told in the end."""

    def show(self, verdict: Verdict) -> None:
        pass


class BarProgress:
    """A bar a service, drawn by rich, which is loaded only here."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

        self._bars: RichProgress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}", markup=False),
        )
        self._rows: dict[str, TaskID] = {}
        self._notes: set[str] = set()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def show(self, verdict: Verdict) -> None:
        for service in verdict.services:
            if service.service_id not in self._rows:
                self._rows[service.service_id] = self._bars.add_task(service.name, total=service.wanted, text="")
            self._bars.update(
                self._rows[service.service_id],
                description=f"[{_COLOURS[service.phase]}]{service.name}",
                total=service.wanted,
                completed=service.done,
                text=service.text,
            )
            for reason in service.reasons:
                self.note(reason)
        self._bars.refresh()

    def note(self, text: str) -> None:
        """Above the bars, once."""
        if text not in self._notes:
            self._bars.console.print(text, markup=False, highlight=False)
        self._notes.add(text)


def _line(service: ServiceVerdict) -> str:
    return f"{service.name}: {service.text}"
