"""How long a node may be silent before it counts as down, and its tasks are replaced elsewhere."""

from datetime import timedelta
from functools import lru_cache

from swarmpy import labels
from swarmpy.errors import BadRequest
from swarmpy.models.cluster import ClusterSpec
from swarmpy.stack.units import parse_positive_duration

# Three beats of the agents, and what nobody waits for who is awake.
SHORTEST, LONGEST = timedelta(seconds=3), timedelta(hours=1)


@lru_cache(maxsize=16)
def parse_grace(text: str) -> timedelta:
    """Raises `BadRequest` that names the label."""
    try:
        grace = parse_positive_duration(text)
    except ValueError as error:
        raise BadRequest(f"label {labels.NODE_GRACE}: {error}") from error
    if not SHORTEST <= grace <= LONGEST:
        raise BadRequest(f"label {labels.NODE_GRACE}: {text} is not between 3s and 1h")
    return grace


def grace_of(spec: ClusterSpec | None, default: timedelta) -> timedelta:
    """A label that makes no sense counts as none: the API lets none such in, an older one may have."""
    text = ((spec.labels if spec else None) or {}).get(labels.NODE_GRACE)
    try:
        return default if text is None else parse_grace(text)
    except BadRequest:
        return default
