"""Which revision a stack goes back to, from the manager's list of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Revision = dict[str, Any]

# How the reason of one begins that somebody waits for; the time follows.
_WAITED_FOR = "waited for until "
# For the telling itself, and for clocks that differ.
_SLACK = timedelta(minutes=1)

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


def waited_for(end: datetime) -> str:
    """The reason of one that is `deploying`: until when somebody waits, at most."""
    return f"{_WAITED_FOR}{end.astimezone(UTC).isoformat(timespec='seconds')}"


def ended(revision: Revision, now: datetime) -> str:
    """State and reason in words. Whoever waited may have gone without a word."""
    state, reason = state_of(revision), reason_of(revision)
    if state == DEPLOYING and reason.startswith(_WAITED_FOR):
        end = _parsed(reason.removeprefix(_WAITED_FOR))
        return DEPLOYING if end is None or now <= end + _SLACK else f"{UNKNOWN}: whoever waited never told how it ended"
    return f"{state}: {reason}" if reason else state


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def reason_of(revision: Revision) -> str:
    return str((revision.get("Outcome") or {}).get("Reason") or "")


def why_not(revision: Revision) -> str:
    if missing := missing_of(revision):
        return missing
    reason = reason_of(revision)
    if state_of(revision) == DEPLOYING:
        return "is not known to have run"
    if state_of(revision) == FAILED:
        return f"failed: {reason}" if reason else "failed"
    return f"is not known to have run: {reason}" if reason else "is not known to have run"


def missing_of(revision: Revision) -> str:
    """Words for what it needs and is gone; empty when all is there."""
    missing = revision.get("Missing") or ()
    return f"needs {', '.join(missing)}, removed" if missing else ""
