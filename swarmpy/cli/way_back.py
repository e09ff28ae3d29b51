"""Which revision a stack goes back to, from the manager's list of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Revision = dict[str, Any]

CONVERGED, FAILED, UNKNOWN, DEPLOYING = "converged", "failed", "unknown", "deploying"


@dataclass(frozen=True, slots=True)
class WayBack:
    """`to` is None where there is none; `passed_over` says why, of each newer revision that is no good."""

    to: int | None
    passed_over: tuple[str, ...]


def way_back(revisions: Sequence[Revision], present: int | None) -> WayBack:
    """The newest revision that is known to have run, else the newest that is not known to have failed; never one with
    the wish of `present`, the one that the cluster has by now, nor one that cannot be carried out any more.

    `revisions` are newest first.
    """
    others = [one for one in revisions if present is None or one.get("Newest", one["Number"]) != present]
    usable = [one for one in others if not one.get("Missing") and state_of(one) != FAILED]
    good = [one for one in usable if state_of(one) == CONVERGED]
    to = next((int(one["Number"]) for one in (*good, *usable)), None)
    passed = [one for one in others if to is None or int(one["Number"]) > to]
    return WayBack(to, tuple(f"revision {one['Number']} {why_not(one)}" for one in passed))


def state_of(revision: Revision) -> str:
    return str((revision.get("Outcome") or {}).get("State") or UNKNOWN)


def reason_of(revision: Revision) -> str:
    return str((revision.get("Outcome") or {}).get("Reason") or "")


def why_not(revision: Revision) -> str:
    if missing := missing_of(revision):
        return missing
    reason = reason_of(revision)
    if state_of(revision) == FAILED:
        return f"failed: {reason}" if reason else "failed"
    return f"is not known to have run: {reason}" if reason else "is not known to have run"


def missing_of(revision: Revision) -> str:
    """Words for what it needs and is gone; empty when all is there."""
    missing = revision.get("Missing") or ()
    return f"needs {', '.join(missing)}, removed" if missing else ""
