"""How long a renewed slot may take to run: the progress deadline of a service, which no update outlives unnoticed."""

from datetime import timedelta
from functools import lru_cache

from swarmpy import labels
from swarmpy.errors import BadRequest
from swarmpy.models.service import ServiceSpec
from swarmpy.stack.units import parse_positive_duration, show_duration

DEFAULT = timedelta(minutes=10)


@lru_cache(maxsize=1024)
def parse_deadline(text: str) -> timedelta:
    """Raises `BadRequest` that names the label."""
    try:
        return parse_positive_duration(text)
    except ValueError as error:
        raise BadRequest(f"label {labels.PROGRESS_DEADLINE}: {error}; leave the label out for 10m") from error


def deadline_of(spec: ServiceSpec) -> timedelta:
    """A label that makes no sense counts as none: the API lets none such in, an older one may have."""
    text = (spec.labels or {}).get(labels.PROGRESS_DEADLINE)
    try:
        return DEFAULT if text is None else parse_deadline(text)
    except BadRequest:
        return DEFAULT


def deadline_text(deadline: timedelta) -> str:
    """`10 minutes`, or as the label is written: `1m30s`."""
    seconds = deadline.total_seconds()
    if seconds == 60:
        return "1 minute"
    if seconds % 60 == 0 and seconds < 3600:
        return f"{seconds // 60:.0f} minutes"
    return show_duration(round(seconds * 10**9))
