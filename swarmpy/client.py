"""One operator's connection to a manager: requests over its unix socket, plain dicts back.

Knows HTTP and how the manager words its errors; knows no commands. On `http.client`, because start-up is felt.
"""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote, urlencode

from swarmpy.errors import (
    IN_USE,
    BadRequest,
    Conflict,
    Forbidden,
    InUse,
    NotFound,
    OutOfSequence,
    SwarmpyError,
    TimedOut,
    Unavailable,
    Unsupported,
)

PREFIX = "/v1.45"

Object = dict[str, Any]
Filters = Mapping[str, Sequence[str]]

_PATIENCE = 60.0
_PIECE = 64 * 1024
_BY_STATUS: dict[int, type[SwarmpyError]] = {
    400: BadRequest,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: BadRequest,
    501: Unsupported,
    502: Unavailable,
    503: Unavailable,
    504: TimedOut,
}


def socket_path(host: str) -> str:
    """The path in `unix:///path`, the only form of a host that is carried out."""
    scheme, separator, path = host.partition("://")
    if not separator or scheme != "unix":
        raise BadRequest(f"host {host!r}: only unix:///PATH is carried out yet")
    if not path.startswith("/"):
        raise BadRequest(f"host {host!r}: the path of a unix socket starts with /")
    return path


class Client:
    """Keeps one connection open over many requests. Not for several threads."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._connection = _UnixConnection(socket_path(host), _PATIENCE)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str, *, filters: Filters | None = None, **query: str) -> Any:
        """The JSON answer to a GET."""
        return self._call("GET", _target(path, filters, query))

    def post(
        self, path: str, body: Object | None = None, *, headers: Mapping[str, str] | None = None, **query: str
    ) -> Any:
        return self._call("POST", _target(path, None, query), body, headers)

    def delete(self, path: str, **query: str) -> None:
        self._call("DELETE", _target(path, None, query))

    @contextmanager
    def stream(self, path: str, **query: str) -> Iterator[Iterator[bytes]]:
        """The answer in pieces as they arrive, for as long as the manager keeps it open, on a connection of its own."""
        with closing(_UnixConnection(socket_path(self.host), None)) as connection:
            response = self._send(connection, "GET", _target(path, None, query), None, {})
            yield self._pieces(response)

    def _pieces(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        with self._wording_failures():
            while piece := response.read1(_PIECE):
                yield piece

    def _call(
        self, method: str, target: str, body: Object | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        response = self._send(self._connection, method, target, body, dict(headers or {}))
        with self._wording_failures():
            text = response.read()
        return _decoded(text, self.host) if text.strip() else None

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: Object | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        payload = None
        if body is not None:
            payload = json.dumps(body)
            headers["Content-Type"] = "application/json"
        with self._wording_failures():
            response = _exchanged(connection, method, target, payload, headers)
            if response.status >= 400:
                raise _refusal(response.status, response.read())
        return response

    @contextmanager
    def _wording_failures(self) -> Iterator[None]:
        """Failures of the socket in words that say what to do; the connection is fresh afterwards."""
        try:
            yield
        except PermissionError as error:
            raise Unavailable(
                f"not allowed to open {self.host}: run as root, or become a member of the group swarmpy"
            ) from error
        except TimeoutError as error:
            self._connection.close()
            raise Unavailable(f"the manager at {self.host} did not answer within {_PATIENCE:.0f} s") from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise Unavailable(f"no swarmpy manager answers at {self.host}: is `swarmpy up` running?") from error
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unavailable(f"lost the manager at {self.host}: {error or type(error).__name__}") from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        self.sock = connection


def _exchanged(
    connection: http.client.HTTPConnection, method: str, target: str, payload: str | None, headers: dict[str, str]
) -> http.client.HTTPResponse:
    """A manager may have closed a connection that was idle. What only reads is then asked again, on a new one."""
    may_repeat = method == "GET" and connection.sock is not None
    try:
        connection.request(method, target, payload, headers)
        return connection.getresponse()
    except ConnectionError:
        connection.close()
        if not may_repeat:
            raise
    connection.request(method, target, payload, headers)
    return connection.getresponse()


def no_name(noun: str) -> BadRequest:
    return BadRequest(f"'' is the name of no {noun}; give its name or its id")


def _target(path: str, filters: Filters | None, query: Mapping[str, str]) -> str:
    _, noun, *rest = path.split("/")
    if "" in rest:
        # An empty name leaves a path that means something else, or nothing.
        raise no_name(noun.removesuffix("s"))
    values = dict(query)
    if filters:
        values["filters"] = json.dumps({key: list(value) for key, value in filters.items()})
    return PREFIX + quote(path) + (f"?{urlencode(values)}" if values else "")


def _decoded(text: bytes, host: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SwarmpyError(f"what answers at {host} is no swarmpy manager: no JSON came back") from error


def _refusal(status: int, text: bytes) -> SwarmpyError:
    """The manager's own sentence, as the error that says what to do about it."""
    reason = None
    try:
        answer = json.loads(text)
        message, reason = str(answer["message"]), answer.get("reason")
    except (ValueError, KeyError, TypeError):
        message = text.decode(errors="replace").strip() or f"the manager answered with status {status}"
    return error_of(status, message, reason)


def error_of(status: int, message: str, reason: object = None) -> SwarmpyError:
    """What a manager's status and sentence are here; `reason` is its word for what the status cannot say."""
    if message.endswith("update out of sequence"):
        return OutOfSequence()
    if reason == IN_USE:
        return InUse(message)
    return _BY_STATUS.get(status, SwarmpyError)(message)
