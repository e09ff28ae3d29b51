"""The Docker SDK's errors in our words. Keeps the engine's sentence, drops the SDK's wrapping (which holds URLs)."""

from http.client import ImproperConnectionState

from docker.errors import APIError, DockerException
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RequestException, Timeout
from urllib3.exceptions import HTTPError, ReadTimeoutError

from swarmpy.errors import BadRequest, Conflict, NotFound, SwarmpyError, TimedOut, Unavailable

# What adapters catch: all that the SDK and its transport raise.
ENGINE_ERRORS = (DockerException, RequestException, HTTPError, OSError)

_BY_STATUS: dict[int, type[SwarmpyError]] = {400: BadRequest, 403: Conflict, 404: NotFound, 409: Conflict}


def translated(error: Exception, host: str) -> SwarmpyError:
    """The same as one of ours."""
    if isinstance(error, APIError) and error.response is not None:
        kind = _BY_STATUS.get(error.response.status_code, SwarmpyError)
        return kind(_sentence(error))
    if isinstance(error, Timeout | ReadTimeoutError | TimeoutError):
        return TimedOut(f"the Docker engine at {host} did not answer in time")
    return unreachable(host, _root(error))


def unreachable(host: str, cause: BaseException) -> Unavailable:
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    if isinstance(cause, ImproperConnectionState):
        # Its text is the name of a state in the library's own books.
        reason = "the connection broke off"
    return Unavailable(f"the Docker engine at {host} is not reachable ({reason}): is it running?")


def _sentence(error: APIError) -> str:
    text = error.explanation or str(error)
    return str(text).strip()


def _root(error: BaseException) -> BaseException:
    """The SDK wraps three or four times; the innermost cause is the one that says something."""
    seen = error
    while True:
        inner = seen.__cause__ or seen.__context__
        if isinstance(seen, RequestsConnectionError) and seen.args and isinstance(seen.args[0], HTTPError):
            inner = inner or seen.args[0]
        if inner is None or inner is seen:
            return seen
        seen = inner
