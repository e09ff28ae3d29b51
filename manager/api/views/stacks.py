"""Stacks, which are no objects of their own: services and networks that carry one label; and
what was deployed of them. Pure."""

from collections.abc import Sequence
from typing import Any

from manager.admission.stack import digest_of, missing_of
from manager.api.lookup import visible_networks, visible_services
from manager.api.steps import Steps, each
from manager.api.views.services import service_status
from manager.objects import StackRevision
from manager.state import State
from swarmpy.models.base import Labels, rfc3339
from swarmpy.stack.names import STACK_LABEL


def stack_of(labels: Labels | None) -> str:
    """The stack's name; empty for what belongs to none."""
    return (labels or {}).get(STACK_LABEL, "")


def stack_documents(state: State) -> list[dict[str, Any]]:
    """Per stack its counts, sorted by name: services, networks, and tasks running and wanted."""
    stacks: dict[str, dict[str, Any]] = {}

    def stack(name: str) -> dict[str, Any]:
        empty = {"Name": name, "Services": 0, "Networks": 0, "RunningTasks": 0, "DesiredTasks": 0}
        return stacks.setdefault(name, empty)

    for service in visible_services(state):
        if name := stack_of(service.spec.labels):
            status = service_status(service, state.tasks_of_service(service.id))
            stack(name)["Services"] += 1
            stack(name)["RunningTasks"] += status.running_tasks
            stack(name)["DesiredTasks"] += status.desired_tasks
    for network in visible_networks(state):
        if name := stack_of(network.spec.labels):
            stack(name)["Networks"] += 1
    return [stacks[name] for name in sorted(stacks)]


def revision_lines(state: State, known: Sequence[StackRevision]) -> Steps[list[dict[str, Any]]]:
    """Revisions of one stack, newest first, without their specs: what a list shows. `Missing` is what one needs and is
    gone; `Newest` is the number of the newest that has the same wish."""
    newest: dict[str, int] = {}

    def line(revision: StackRevision) -> dict[str, Any]:
        like = newest.setdefault(revision.wish_digest or digest_of(revision.wish), revision.number)
        return {
            "Number": revision.number,
            "CreatedAt": rfc3339(revision.created_at),
            "Services": [spec.name for spec in revision.wish.services],
            "Outcome": revision.outcome.to_docker(),
            "Missing": list(missing_of(state, revision.wish)),
            "Newest": like,
        }

    return each(known, line)


def revision_document(revision: StackRevision) -> dict[str, Any]:
    return {
        "Stack": revision.stack,
        "Number": revision.number,
        "CreatedAt": rfc3339(revision.created_at),
        "Outcome": revision.outcome.to_docker(),
        "Wish": revision.wish.to_docker(),
    }
