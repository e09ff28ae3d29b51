"""What becomes of a request to a manager: answered here, passed on to the leader, kept waiting, refused. Pure.

Also what of its head travels: the rules of HTTP for whoever stands in between (RFC 9110, section 7.6.1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

RawHeaders = list[tuple[bytes, bytes]]

# Where a manager listens to the others, and how one that does not lead says so there.
MOUNT = "/api"
NOT_LEADING_HEADER = "Swarmpy-Not-Leading"

_READING = frozenset({"GET", "HEAD"})
_VERSION = re.compile(r"/v[0-9.]+(?=/|$)")
# First parts of the paths that tell of this manager, or of its page, or of what belongs to no cluster.
_OF_THIS_MANAGER = frozenset(
    {
        "", "_ping", "version", "info", "healthz", "readyz", "status", "ui",
        "containers", "images", "volumes", "plugins", "distribution",
    }
)  # fmt: skip
_HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
        b"trailer", b"trailers", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip


def is_reading(method: str) -> bool:
    """Such a request may be sent twice."""
    return method in _READING


def is_of_this_manager(path: str) -> bool:
    version = _VERSION.match(path)
    inner = path[version.end() :] if version else path
    return inner.lstrip("/").partition("/")[0] in _OF_THIS_MANAGER


@dataclass(frozen=True, slots=True)
class Failure:
    """A leader that was asked in vain; the request certainly did nothing there, or only read."""

    leader: str
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How things are at one moment. `leader` is where to reach it, None when that is not known; `failure` is that of
    the last attempt, `is_rested` tells that a while has passed since; `is_late`, that the client waited long enough."""

    is_leading: bool
    is_stale: bool
    leader: str | None
    is_late: bool = False
    failure: Failure | None = None
    is_rested: bool = True


@dataclass(frozen=True, slots=True)
class Here:
    """The app of this manager answers."""


@dataclass(frozen=True, slots=True)
class There:
    leader: str


@dataclass(frozen=True, slots=True)
class Wait:
    """For another leader, or a moment."""


@dataclass(frozen=True, slots=True)
class Refuse:
    reason: str


def decide(*, reading: bool, now: Standing) -> Here | There | Wait | Refuse:
    """While the store is away from this manager it may still reach a leader that has it: a write is tried there
    first. What is only read is answered from memory, and marked as stale."""
    if now.is_leading or (reading and (now.is_stale or now.is_late)):
        return Here()
    failed_there = now.failure is not None and now.failure.leader == now.leader
    if now.leader and not now.is_late and (now.is_rested or not failed_there):
        return There(now.leader)
    if now.is_stale:
        return Here()
    return Refuse(_reason(now)) if now.is_late else Wait()


def _reason(now: Standing) -> str:
    if now.failure is None or not now.leader:
        why = "no manager leads it at the moment"
    else:
        why = f"the leader at {now.failure.leader} was asked in vain: {now.failure.reason}"
    return f"the cluster cannot be changed: {why}; nothing was done, try again in a moment"


def uncertain(leader: str, reason: str) -> str:
    """The sentence for a write whose answer never came."""
    return (
        f"the leader at {leader} did not answer to the end ({reason}): this may or may not have been carried out; "
        "look before you repeat it"
    )


def headers_to_leader(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> RawHeaders:
    """The body travels whole, whatever it came in. The leader is not asked whether it would like to have it."""
    known = _end_to_end(headers)
    kept = [(name, value) for name, value in known if name.lower() not in (b"content-length", b"expect")]
    if not any(name.lower() == b"host" for name, _ in kept):
        kept.append((b"host", b"manager"))
    if body:
        kept.append((b"content-length", str(len(body)).encode()))
    return kept


def headers_to_client(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Without the date, which this manager's server writes itself."""
    return [(name, value) for name, value in _end_to_end(headers) if name.lower() != b"date"]


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    known = list(headers)
    named = {
        token.strip().lower() for name, value in known if name.lower() == b"connection" for token in value.split(b",")
    }
    return [(name, value) for name, value in known if name.lower() not in _HOP_BY_HOP | named]
