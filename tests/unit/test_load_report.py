"""What the rolling update's load counts: requests to replicas that were healthy from before to after."""

import pytest
from support.load import Picture, Report, Request

# Healthy as seen at 1, 2 and 3 s; `old` is no more at 3, `new` not yet at 1.
PICTURES = (
    Picture(1.0, 1.1, {"old": "10.0.0.2", "kept": "10.0.0.3"}),
    Picture(2.0, 2.1, {"old": "10.0.0.2", "kept": "10.0.0.3", "new": "10.0.0.4"}),
    Picture(3.0, 3.1, {"kept": "10.0.0.3", "new": "10.0.0.4"}),
)


@pytest.mark.parametrize(
    ("task_id", "began", "ended", "counts"),
    [
        ("kept", 1.2, 2.9, True),
        ("old", 1.2, 1.9, True),
        ("old", 1.2, 2.05, False),
        ("new", 2.05, 2.5, False),
        ("new", 2.2, 2.5, True),
        ("kept", 1.05, 1.5, False),
        ("kept", 2.5, 3.05, False),
    ],
)
def test_a_request_counts_when_its_replica_was_healthy_throughout(
    task_id: str, began: float, ended: float, counts: bool
) -> None:
    request = Request(task_id, began, ended, error="ConnectionResetError")
    report = Report(PICTURES, (request,))
    assert report.counted == report.failed == ((request,) if counts else ())


def test_the_fewest_healthy_replicas_are_those_of_the_worst_moment() -> None:
    assert Report(PICTURES, ()).fewest == 2
