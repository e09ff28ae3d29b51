"""Asks managers at their door, one after the other, and follows their word who leads. Knows no question's meaning."""

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from swarmpy.clock import Clock
from swarmpy.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotAMember,
    NotTheLeader,
    SwarmpyError,
    TimedOut,
    Unavailable,
)
from swarmpy.membership import NOT_LEADING, NotLeading
from swarmpy.pki import MANAGER_NAME, Credentials, validity_of
from swarmpy.tokens import host_of, port_of

Answer = TypeVar("Answer", bound=BaseModel)

# One manager has this long to answer; a member that is added waits for etcd.
ANSWERS_WITHIN = 10.0
CONNECTS_WITHIN = 3.0
PAUSE = timedelta(milliseconds=300)
OK = 200
# What answers may be no manager at all.
LARGEST_ANSWER = 1 << 20
_BY_STATUS: dict[int, type[SwarmpyError]] = {
    400: BadRequest,
    403: Forbidden,
    409: Conflict,
    410: NotAMember,
    503: Unavailable,
}


class Managers:
    """`addresses` (`host:port`) may change while questions are asked."""

    def __init__(self, addresses: Sequence[str], credentials: Credentials, clock: Clock) -> None:
        self.addresses = tuple(addresses)
        self._credentials = credentials
        self._clock = clock

    async def ask(self, path: str, question: BaseModel, kind: type[Answer], within: timedelta) -> Answer:
        """The leader's answer. Raises `Unavailable` with the last obstacle when none answers in time, and what the
        leader refuses with."""
        deadline = self._clock.monotonic() + within.total_seconds()
        turn, hint = 0, ""
        if not self.addresses:
            raise Unavailable("no manager is known to this node: `swarmpy up --join TOKEN@HOST:PORT` names one")
        while True:
            address = hint or self.addresses[turn % len(self.addresses)]
            hint = ""
            try:
                return await asyncio.to_thread(self._ask_one, address, path, question, kind)
            except NotTheLeader as error:
                obstacle: SwarmpyError = error
                hint = error.leader
            except (Unavailable, TimedOut) as error:
                obstacle = error
            turn += 1
            if self._clock.monotonic() >= deadline:
                raise obstacle
            await self._clock.sleep(PAUSE)

    def _ask_one(self, address: str, path: str, question: BaseModel, kind: type[Answer]) -> Answer:
        return ask_one(address, self._context(), path, question, kind)

    def _context(self) -> ssl.SSLContext:
        try:
            ends = validity_of(self._credentials.cert_file.read_text()).ends
            if self._clock.now() >= ends:
                raise Forbidden(
                    f"this node's certificate has ended on {ends:%Y-%m-%d %H:%M} UTC: "
                    "`swarmpy up --join TOKEN@HOST:PORT` renews it"
                )
            return self._credentials.client_context()
        except (OSError, ValueError) as error:
            raise BadRequest(f"this node's certificate cannot be used: {error}") from error


def ask_one(address: str, context: ssl.SSLContext, path: str, question: BaseModel | None, kind: type[Answer]) -> Answer:
    """One question to one manager; no question is a GET."""
    connection = _Connection(address, context)
    try:
        body = question.model_dump_json() if question is not None else None
        connection.request("GET" if question is None else "POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return _understood(address, response.status, response.read(LARGEST_ANSWER), kind)
    except (ssl.SSLEOFError, http.client.RemoteDisconnected) as error:
        # A certificate is judged after the handshake (TLS 1.3), and who refuses one may hang up without a word.
        raise Unavailable(
            f"the manager at {address} hung up: it does not accept this node's certificate, or is just ending"
        ) from error
    except ssl.SSLError as error:
        raise why_no_tls(address, error) from error
    except TimeoutError as error:
        raise Unavailable(f"the manager at {address} does not answer in time") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"no manager answers at {address}: {_words(error)}") from error
    finally:
        connection.close()


def why_no_tls(address: str, error: ssl.SSLError) -> SwarmpyError:
    """In words, why the two sides do not trust each other."""
    text = str(error).upper().replace(" ", "_")
    if isinstance(error, ssl.SSLCertVerificationError):
        if "HOSTNAME_MISMATCH" in text:
            return Forbidden(f"the node at {address} is no manager of this cluster")
        if "EXPIRED" in text or "NOT_YET_VALID" in text:
            return Unavailable(f"the certificate of the manager at {address} is not valid now: compare the clocks")
        return Forbidden(f"the manager at {address} belongs to another cluster: its certificate is of another CA")
    if "WRONG_VERSION" in text or "HTTP_REQUEST" in text:
        return BadRequest(f"what answers at {address} is no manager: it speaks no TLS; check address and port")
    if "EXPIRED" in text:
        return Forbidden("this node's certificate has ended: run `swarmpy up --join TOKEN@HOST:PORT` again")
    if "ALERT" in text and ("UNKNOWN_CA" in text or "CERTIFICATE" in text or "DECRYPT_ERROR" in text):
        return Forbidden(f"the manager at {address} does not accept this node's certificate")
    return Unavailable(f"the manager at {address} speaks no TLS that this node understands: {error.reason or error}")


class _Connection(http.client.HTTPConnection):
    """To whatever address, but only with a manager of the cluster."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        super().__init__(host_of(address), port_of(address), timeout=ANSWERS_WITHIN)
        self._context = context

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), CONNECTS_WITHIN)
        try:
            self.sock = self._context.wrap_socket(plain, server_hostname=MANAGER_NAME)
            self.sock.settimeout(ANSWERS_WITHIN)
        except BaseException:
            plain.close()
            raise


def _understood(address: str, status: int, body: bytes, kind: type[Answer]) -> Answer:
    try:
        if status == OK:
            return kind.model_validate_json(body)
        if status == NOT_LEADING:
            answer = NotLeading.model_validate_json(body)
            raise NotTheLeader(answer.message, answer.leader)
        message = str(json.loads(body)["message"])
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"what answers at {address} is no manager of this version (status {status}): check address and version"
        ) from error
    raise _BY_STATUS.get(status, Unavailable)(message)


def _words(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
