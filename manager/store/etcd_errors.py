"""What gRPC and etcd say, in our words. Decides no retry."""

import re
from collections.abc import Callable

from aetcd.rpc import AioRpcError, StatusCode

from manager.store.errors import HistoryGone, LeaseLost
from swarmpy.errors import BadRequest, Conflict, NotFound, SwarmpyError, Unavailable

# What stands around the one interesting sentence: "failed to connect to all addresses; last error: UNAVAILABLE:
# unix:/a: connect failed: addr: unix:/a error: Connection refused".
_WRAPPING = re.compile(r"^failed to connect to all addresses; .*(error|addresses): |^etcdserver: (mvcc: )?")

_RULES: tuple[tuple[StatusCode, str, Callable[[str], SwarmpyError]], ...] = (
    (StatusCode.NOT_FOUND, "requested lease not found", LeaseLost),
    (StatusCode.OUT_OF_RANGE, "has been compacted", HistoryGone),
    (StatusCode.OUT_OF_RANGE, "future revision", BadRequest),
    (StatusCode.INVALID_ARGUMENT, "request is too large", BadRequest),
    (StatusCode.INVALID_ARGUMENT, "too many operations", BadRequest),
    (StatusCode.INVALID_ARGUMENT, "duplicate key", BadRequest),
    (StatusCode.NOT_FOUND, "member not found", NotFound),
    (StatusCode.FAILED_PRECONDITION, "Peer URLs already exists", Conflict),
    (StatusCode.FAILED_PRECONDITION, "in sync with leader", Unavailable),
    (StatusCode.FAILED_PRECONDITION, "can only promote a learner", Conflict),
)
_ADVICE: dict[StatusCode, str] = {
    StatusCode.RESOURCE_EXHAUSTED: "; if its space is used up, compact and defragment it, then disarm the alarm",
    StatusCode.PERMISSION_DENIED: "; grant the etcd user read and write on the prefix",
    StatusCode.UNAUTHENTICATED: "; check the etcd user and password",
}
_STALE_TOKEN = ("invalid auth token", "revision of auth store is old")


def translated(error: AioRpcError, what: str, endpoint: str) -> SwarmpyError:
    """Whatever is not known to be someone's mistake is `Unavailable`: to be tried again."""
    code, said = error.code(), error.details() or ""
    because = _WRAPPING.sub("", said) or code.name.lower().replace("_", " ")
    for known, words, kind in _RULES:
        if code is known and words in said:
            return kind(f"etcd refused to {what}: {because}")
    if code is StatusCode.DEADLINE_EXCEEDED:
        return silent(what, endpoint)
    return Unavailable(f"etcd at {endpoint} could not {what}: {because}{_ADVICE.get(code, '')}")


def silent(what: str, endpoint: str) -> Unavailable:
    return Unavailable(f"etcd at {endpoint} could not {what}: no answer in time; is it overloaded, or cut off?")


def is_stale_token(error: AioRpcError) -> bool:
    """Tokens end with their time to live, with a restart of etcd, and when someone changes users or roles."""
    said = error.details() or ""
    return error.code() is StatusCode.UNAUTHENTICATED or any(words in said for words in _STALE_TOKEN)
