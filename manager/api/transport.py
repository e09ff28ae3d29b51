"""The outer shell of every request: version prefix in, Docker's headers out. Knows no endpoint."""

import re
from datetime import datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from manager.api.problems import problem
from manager.api.views.cluster import API_VERSION, MIN_API_VERSION
from manager.ledger import Ledger
from swarmpy import __version__
from swarmpy.errors import BadRequest
from swarmpy.models.base import rfc3339

STALE_HEADER = "Swarmpy-Stale-Since"
_PREFIX = re.compile(r"/v(\d{1,9})\.(\d{1,9})(?=/)")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


def without_version(path: str) -> str:
    """`/v1.41/services` -> `/services`. Raises `BadRequest` for a version that this API does not speak."""
    match = _PREFIX.match(path)
    if match is None:
        return path
    version, asked = (int(match[1]), int(match[2])), f"{match[1]}.{match[2]}"
    if version > _number(API_VERSION):
        raise BadRequest(f"client version {asked} is too new. Maximum supported API version is {API_VERSION}")
    if version < _number(MIN_API_VERSION):
        raise BadRequest(
            f"client version {asked} is too old. Minimum supported API version is {MIN_API_VERSION}, "
            "please upgrade your client to a newer version"
        )
    return path[match.end() :]


def _number(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


class DockerTransport:
    """Serves the app below under every version prefix and none."""

    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self._app = app
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(MutableHeaders(scope=message))
            await send(message)

        try:
            path = without_version(scope["path"])
        except BadRequest as refusal:
            await problem(400, str(refusal))(scope, receive, send_with_headers)
            return
        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, send_with_headers)

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers["Api-Version"] = API_VERSION
        headers["Ostype"] = "linux"
        headers["Docker-Experimental"] = "false"
        headers["Server"] = f"swarmpy/{__version__} (linux)"
        _mark_stale(headers, self._ledger.stale_since)


class LoopbackOnly:
    """For the page on loopback TCP: any web site can make a browser send requests here under its own name, so only
    requests for a loopback host are answered, and what is answered may load nothing from elsewhere."""

    _POLICY = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self._app = app
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                _mark_stale(headers, self._ledger.stale_since)
            await send(message)

        if is_local_host(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send_with_headers)
        else:
            refusal = problem(403, "this page answers only to localhost; use an SSH tunnel to reach it from elsewhere")
            await refusal(scope, receive, send_with_headers)


def is_local_host(host: str) -> bool:
    """Of a Host header: a loopback name, with or without a port."""
    return re.sub(r":\d+$", "", host).lower() in _LOCAL_HOSTS


def _mark_stale(headers: MutableHeaders, since: datetime | None) -> None:
    """The store is away: what is answered is the last that was known."""
    if since is not None:
        headers[STALE_HEADER] = rfc3339(since)
