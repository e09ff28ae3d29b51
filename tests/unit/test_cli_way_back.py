"""Where a rollback goes: to what is known to have run, never to what is already there or cannot be any more."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from swarmpy.cli.way_back import WayBack, ended, waited_for, way_back

END = datetime(2030, 1, 1, 12, tzinfo=UTC)


def listed(*states: str, like: dict[int, int] | None = None, **missing: list[str]) -> list[dict[str, Any]]:
    """Revisions 1, 2, ... of these states; newest first. `like` has the newest equal ones."""
    return [
        {
            "Number": number,
            "Outcome": {"State": state, "Reason": "it crashed" if state == "failed" else ""},
            "Missing": missing.get(f"r{number}", []),
            "Newest": (like or {}).get(number, number),
        }
        for number, state in reversed(list(enumerate(states, start=1)))
    ]


@pytest.mark.parametrize(
    ("revisions", "present", "to"),
    [
        (listed("converged", "converged"), 2, 1),
        (listed("converged", "failed", "failed"), 3, 1),
        (listed("converged", "unknown", "converged"), 3, 1),
        (listed("unknown", "deploying", "failed", "converged"), 4, 2),
        # What nobody recorded is there now.
        (listed("converged", "converged"), None, 2),
        # The third is the first again.
        (listed("converged", "failed", "converged", like={1: 3}), 3, None),
        (listed("unknown", "unknown", "unknown", like={1: 3}), 3, 2),
        (listed("converged", "converged", "unknown", r2=["secret k"]), 3, 1),
        (listed("failed", "converged"), 2, None),
        (listed("converged"), 1, None),
        ([], None, None),
        # A manager from before there were outcomes.
        ([{"Number": 2}, {"Number": 1}], 2, 1),
    ],
)
def test_a_rollback_goes_to_the_newest_other_revision_that_ran(
    revisions: list[dict[str, Any]], present: int | None, to: int | None
) -> None:
    assert way_back(revisions, present).to == to


def test_why_others_are_passed_over_is_said() -> None:
    revisions = listed("converged", "unknown", "converged", "failed", "converged", r3=["secret k", "config c"])
    assert way_back(revisions, 5) == WayBack(
        1,
        (
            "revision 4 failed: it crashed",
            "revision 3 needs secret k, config c, removed",
            "revision 2 is not known to have run",
        ),
    )


@pytest.mark.parametrize(
    ("state", "reason", "later", "told"),
    [
        ("deploying", waited_for(END), 0, "deploying"),
        ("deploying", waited_for(END), 120, "unknown: whoever waited never told how it ended"),
        # Of a client from before there was a time.
        ("deploying", "", 120, "deploying"),
        ("deploying", "waited for until supper", 120, "deploying"),
        ("failed", "it crashed", 120, "failed: it crashed"),
        ("converged", "", 120, "converged"),
    ],
)
def test_who_waits_no_more_and_told_no_end_is_not_said_to_deploy(
    state: str, reason: str, later: float, told: str
) -> None:
    revision = {"Outcome": {"State": state, "Reason": reason}}
    assert ended(revision, END + timedelta(seconds=later)) == told
