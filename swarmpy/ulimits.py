"""Limits of a container's processes, as engines take them. Pure."""

from swarmpy.errors import BadRequest

_NAMES = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
_UNLIMITED = -1


def check_ulimit(name: str, soft: int, hard: int) -> None:
    """Raises `BadRequest` with the reason."""
    if not name:
        raise BadRequest("a limit has no name")
    if name.lower() not in _NAMES:
        raise BadRequest(f"there is no limit {name!r}; there are {', '.join(_NAMES)}")
    if min(soft, hard) < _UNLIMITED:
        raise BadRequest(f"{name} must be {_UNLIMITED} (unlimited) or not negative")
    if hard != _UNLIMITED and (soft > hard or soft == _UNLIMITED):
        raise BadRequest(f"{name} has a soft limit {soft} above its hard limit {hard}")
