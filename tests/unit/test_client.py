"""The connection to a manager: what it says when there is none, and how errors come across."""

import json
import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmpy.client import Client, socket_path
from swarmpy.errors import (
    BadRequest,
    Conflict,
    NotFound,
    OutOfSequence,
    SwarmpyError,
    TimedOut,
    Unavailable,
    Unsupported,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Socket paths are short, those of pytest are not.
    with tempfile.TemporaryDirectory(prefix="swarmpy-") as path:
        yield Path(path)


class OneAnswer:
    """Answers each connection with the same bytes and notes what it was asked."""

    def __init__(self, path: Path, answer: bytes) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                asked = _request(connection)
                if not asked:
                    return
                self.asked.append(asked)
                connection.sendall(self._answer)

    def close(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
        self._thread.join()
        self._listener.close()


def _request(connection: socket.socket) -> bytes:
    """Head and body, however they were cut; empty when nothing was asked."""
    asked = b""
    while piece := connection.recv(65536):
        asked += piece
        head, blank, body = asked.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if blank and len(body) >= int(length[1] if length else 0):
            break
    return asked


def answer_of(status: int, body: object) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(text), text)


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "bad", BadRequest),
        (404, "service x not found", NotFound),
        (409, "taken", Conflict),
        (501, "not carried out", Unsupported),
        (503, "etcd is away", Unavailable),
        (504, "too late", TimedOut),
        (500, "rpc error: update out of sequence", OutOfSequence),
        (500, "broken", SwarmpyError),
    ],
)
def test_a_refusal_comes_across_as_what_it_was(
    folder: Path, status: int, message: str, error: type[SwarmpyError]
) -> None:
    server = OneAnswer(folder / "s", answer_of(status, {"message": message}))
    try:
        with Client(f"unix://{folder}/s") as client, pytest.raises(SwarmpyError) as caught:
            client.get("/services")
    finally:
        server.close(folder / "s")
    assert type(caught.value) is error
    assert str(caught.value) == message.removeprefix("rpc error: ")


def test_a_request_is_written_as_the_api_reads_it(folder: Path) -> None:
    server = OneAnswer(folder / "s", answer_of(200, {"ID": "1"}))
    try:
        with Client(f"unix://{folder}/s") as client:
            assert client.get("/tasks", filters={"service": ["a b"]}, status="true") == {"ID": "1"}
            assert client.post("/services/a/update", {"Name": "ü"}, headers={"X-A": "b"}, version="3") == {"ID": "1"}
    finally:
        server.close(folder / "s")
    assert server.asked[0].startswith(
        b"GET /v1.45/tasks?status=true&filters=%7B%22service%22%3A+%5B%22a+b%22%5D%7D HTTP/1.1\r\n"
    )
    assert server.asked[1].startswith(b"POST /v1.45/services/a/update?version=3 HTTP/1.1\r\n")
    assert b"X-A: b\r\n" in server.asked[1] and b"Content-Type: application/json\r\n" in server.asked[1]


def test_who_answers_no_json_is_no_manager(folder: Path) -> None:
    server = OneAnswer(folder / "s", answer_of(200, b"hello"))
    try:
        with Client(f"unix://{folder}/s") as client, pytest.raises(SwarmpyError, match="is no swarmpy manager"):
            client.get("/info")
    finally:
        server.close(folder / "s")


def test_an_answer_that_breaks_off_is_said(folder: Path) -> None:
    server = OneAnswer(folder / "s", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    try:
        with Client(f"unix://{folder}/s") as client, pytest.raises(Unavailable, match="lost the manager at unix://"):
            client.get("/info")
    finally:
        server.close(folder / "s")


def test_no_socket_and_a_dead_socket_mean_that_nobody_is_there(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "dead"))
    for name in ("none", "dead"):
        with Client(f"unix://{folder}/{name}") as client, pytest.raises(Unavailable) as caught:
            client.get("/info")
        assert str(caught.value) == f"no swarmpy manager answers at unix://{folder}/{name}: is `swarmpy up` running?"


def test_a_streamed_answer_comes_in_pieces(folder: Path) -> None:
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    server = OneAnswer(folder / "s", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    try:
        with Client(f"unix://{folder}/s").stream("/logs", tail="1") as pieces:
            assert b"".join(pieces) == b"abcde"
    finally:
        server.close(folder / "s")


@pytest.mark.parametrize("host", ["tcp://1.2.3.4:2376", "/run/s.sock", "unix://s.sock", ""])
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(BadRequest, match="host "):
        socket_path(host)
