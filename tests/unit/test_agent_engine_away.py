"""An engine that ends in the middle of a pull: that is its own trouble, and not the image's."""

import socketserver
import threading
from collections.abc import Iterator
from http.client import CannotSendRequest
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from requests.exceptions import ConnectionError
from urllib3.exceptions import ProtocolError

from agent.engine.docker import DockerEngine
from agent.engine.docker_errors import translated
from swarmpy.errors import NotFound, Unavailable

_ANSWERS = {"/version": (200, b'{"ApiVersion": "1.41"}')}


class _Handler(BaseHTTPRequestHandler):
    """Knows its version and no image; of a pull it says `pull`, and owes `missing` more bytes when it hangs up."""

    pull: bytes = b""
    missing: int = 0

    def do_GET(self) -> None:
        status, body = _ANSWERS.get(self.path, (404, b'{"message": "No such image"}'))
        self._say(status, body, len(body))

    def do_POST(self) -> None:
        self._say(200, self.pull, len(self.pull) + self.missing)
        self.close_connection = True

    def _say(self, status: int, body: bytes, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def handler() -> type[_Handler]:
    return type("Handler", (_Handler,), {})


@pytest.fixture
def host(handler: type[_Handler], tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "engine.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join()


async def test_an_engine_that_ends_during_a_pull_is_asked_again_later(host: str, handler: type[_Handler]) -> None:
    handler.pull, handler.missing = b'{"status": "Downloading", "id": "a"}\r\n', 100
    engine = DockerEngine(host)
    try:
        with pytest.raises(Unavailable, match="is not reachable"):
            await engine.ensure_image("app:1", None, lambda progress: None)
    finally:
        await engine.close()


def test_a_connection_that_broke_off_is_told_in_words() -> None:
    """Of the library's own its text is the name of a state, such as Request-sent."""
    error = ConnectionError(ProtocolError("Connection aborted.", CannotSendRequest("Request-sent")))
    error.__cause__ = CannotSendRequest("Request-sent")
    told = translated(error, "unix:///run/docker.sock")
    assert str(told) == (
        "the Docker engine at unix:///run/docker.sock is not reachable (the connection broke off): is it running?"
    )


async def test_what_the_registry_says_is_the_images_trouble(host: str, handler: type[_Handler]) -> None:
    handler.pull = b'{"error": "manifest unknown"}\r\n'
    engine = DockerEngine(host)
    try:
        with pytest.raises(NotFound, match=r"^No such image: app:1 \(pulling it failed: manifest unknown\)$"):
            await engine.ensure_image("app:1", None, lambda progress: None)
    finally:
        await engine.close()
