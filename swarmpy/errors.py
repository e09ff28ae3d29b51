"""The errors that cross module borders. A class says what to do about it; adapters translate at the edge.

SwarmpyError             exit 1   500
 |- BadRequest           exit 2   400   the user's wish is wrong
 |   `- Unsupported      exit 2   501   a wish that swarmpy does not carry out, refused by name
 |- TimedOut             exit 3   504   not there within the time allowed
 |- NotFound             exit 4   404   no such object
 |- Conflict             exit 5   409   someone wrote first, or the name is taken: look again
 |   |- InUse            exit 5   400   others need it: let go of it there first (Docker answers 400 here)
 |   `- OutOfSequence    exit 5   500   an optimistic update with an old version (Docker answers 500 here)
 |- Forbidden            exit 7   403   who asks may not: another certificate, token or policy is needed
 |   `- NotAMember       exit 7   410   the node is no part of the cluster any more
 |- Unavailable          exit 6   503   the other side is away: retry
 |   |- LeadershipLost   exit 6   503   the fence refused the write: this manager no longer leads
 |   `- NotTheLeader     exit 6   503   the manager asked does not lead: ask the one it names
 `- IllegalTransition, BrokenInvariant  our bug: stop loudly, with the story
"""

from typing import ClassVar

# What the body of a refusal calls `InUse`, whose status says too little.
IN_USE = "in-use"


class SwarmpyError(Exception):
    """Base of all. `str(error)` is one sentence for people: what happened, to what, and what to do."""

    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1


class BadRequest(SwarmpyError):
    http_status = 400
    exit_code = 2


class Unsupported(BadRequest):
    http_status = 501


class TimedOut(SwarmpyError):
    http_status = 504
    exit_code = 3


class NotFound(SwarmpyError):
    http_status = 404
    exit_code = 4


class Conflict(SwarmpyError):
    http_status = 409
    exit_code = 5


class InUse(Conflict):
    http_status = 400


class OutOfSequence(Conflict):
    http_status = 500

    def __init__(self) -> None:
        # docker-py tests the tail of this text.
        super().__init__("update out of sequence")


class Forbidden(SwarmpyError):
    http_status = 403
    exit_code = 7


class NotAMember(Forbidden):
    http_status = 410


class Unavailable(SwarmpyError):
    http_status = 503
    exit_code = 6


class LeadershipLost(Unavailable):
    pass


class NotTheLeader(Unavailable):
    """`leader` (`host:port`) is where to ask, empty when nobody is known."""

    def __init__(self, message: str, leader: str) -> None:
        super().__init__(message)
        self.leader = leader


class IllegalTransition(SwarmpyError):
    pass


class BrokenInvariant(SwarmpyError):
    pass
