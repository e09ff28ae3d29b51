"""A server that says who asks it, and a client that asks: one program, in the test image and beside it.

`serve`: HTTP on 8080 and UDP on 9000. `ask ASKS`: each of a JSON list of asks once, the answers as a list. `load ASKS`:
them in turn at a rate until standard input ends, then what came of it. `hold ASKS`: a connection for each, asked once,
idle until standard input ends, and asked again; a line of answers each time. `names NAMES`: what the resolver says of
each, a line of JSON at each change, until standard input ends. Has the standard library alone, and little of it.
"""

import json
import select
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

HTTP, UDP = 8080, 9000
PIECE = 32 * 1024
LARGEST_DATAGRAM = 65_000
TRIES = 3
WORKERS = 8
TEXT = b"0123456789abcdef"


class Server:
    """Of HTTP, as little as is needed: whatever is sent is counted, as many bytes as the path names come back."""

    def __init__(self) -> None:
        self._name = socket.gethostname()
        self._port = socket.create_server(("0.0.0.0", HTTP), backlog=256)
        self._ended = False

    def run(self) -> None:
        while True:
            try:
                connection, peer = self._port.accept()
            except OSError:
                return
            # Not daemons: what was begun is ended before the process is.
            threading.Thread(target=self._answer, args=(connection, peer[0])).start()

    def end(self) -> None:
        self._ended = True
        self._port.shutdown(socket.SHUT_RDWR)

    def _answer(self, connection: socket.socket, peer: str) -> None:
        with connection, suppress(OSError, ValueError):
            while not self._ended:
                # One that idles is not waited for when all is to end.
                while not select.select([connection], [], [], 0.2)[0]:
                    if self._ended:
                        return
                path, taken = _taken(connection)
                size = int(path.strip("/") or 0)
                words = f"X-Host: {self._name}\r\nX-Peer: {peer}\r\nX-Taken: {taken}\r\nContent-Length: {size}"
                connection.sendall(f"HTTP/1.1 200 OK\r\n{words}\r\n\r\n".encode() + text(size))


def _taken(connection: socket.socket) -> tuple[str, int]:
    """Path and length of a request, which is read to its end."""
    first, headers, body = _head(connection)
    left = size = int(headers.get("content-length", 0))
    left -= len(body)
    while left > 0:
        left -= len(_received(connection))
    return first.split()[1], size


def _head(connection: socket.socket) -> tuple[str, dict[str, str], bytes]:
    """First line, headers, and what of the body came along."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}, body


def _received(connection: socket.socket) -> bytes:
    piece = connection.recv(PIECE)
    if not piece:
        raise ConnectionResetError("the other side went away")
    return piece


def serve() -> None:
    """Until SIGTERM; then what was begun is ended."""
    threading.Thread(target=_echo_datagrams, daemon=True).start()
    server = Server()
    signal.signal(signal.SIGTERM, lambda *_: server.end())
    server.run()


def _echo_datagrams() -> None:
    name = socket.gethostname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("0.0.0.0", UDP))
        while True:
            payload, peer = port.recvfrom(65_535)
            port.sendto(json.dumps({"host": name, "peer": peer[0]}).encode() + b"\n" + payload, peer)


def ask(wish: dict[str, Any]) -> dict[str, Any]:
    """`how` is tcp, udp or dns. `error` is empty when it was answered whole."""
    return _answered(lambda: {"tcp": _tcp, "udp": _udp, "dns": _dns}[wish["how"]](wish))


def _answered(asking: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    began = time.monotonic()
    try:
        found = asking()
    except (OSError, ValueError, LookupError) as trouble:
        found = {"error": f"{type(trouble).__name__}: {trouble}"}
    return {"error": "", "host": "", "peer": "", **found, "seconds": time.monotonic() - began}


def _tcp(wish: dict[str, Any]) -> dict[str, Any]:
    with _connected(wish) as connection:
        return _exchanged(connection, wish.get("size", 1))


def _connected(wish: dict[str, Any]) -> socket.socket:
    return socket.create_connection((wish["to"], wish.get("port", HTTP)), timeout=wish.get("timeout", 5))


def _exchanged(connection: socket.socket, size: int) -> dict[str, Any]:
    connection.sendall(f"POST /{size} HTTP/1.1\r\nHost: probe\r\nContent-Length: {size}\r\n\r\n".encode() + text(size))
    _, headers, body = _head(connection)
    pieces = [body]
    left = int(headers["content-length"]) - len(body)
    while left > 0:
        pieces.append(_received(connection))
        left -= len(pieces[-1])
    if b"".join(pieces) != text(size) or headers["x-taken"] != str(size):
        raise ValueError(f"{sum(map(len, pieces))} of {size} bytes came back, {headers['x-taken']} were taken")
    return {"host": headers["x-host"], "peer": headers.get("x-peer", "")}


def _udp(wish: dict[str, Any]) -> dict[str, Any]:
    """More than a datagram takes goes as many, one after the other's echo. What is lost is sent again, as UDP wants it:
    many large ones at a time find a full buffer now and then."""
    size, seen = wish.get("size", 1), {}
    pieces = [size] if size <= LARGEST_DATAGRAM else [PIECE] * (size // PIECE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.settimeout(wish.get("timeout", 5) / TRIES)
        port.connect((wish["to"], wish.get("port", UDP)))
        for piece in pieces:
            head, payload = _echoed(port, text(piece), TRIES)
            if payload != text(piece):
                raise ValueError(f"{len(payload)} of {piece} bytes came back")
            seen = json.loads(head)
    return seen


def _echoed(port: socket.socket, payload: bytes, tries: int) -> tuple[bytes, bytes]:
    while True:
        port.send(payload)
        try:
            head, _, echo = port.recv(65_535).partition(b"\n")
            return head, echo
        except TimeoutError:
            tries -= 1
            if not tries:
                raise


def _dns(wish: dict[str, Any]) -> dict[str, Any]:
    return {"addresses": addresses(wish["to"])}


def addresses(name: str) -> list[str]:
    found = socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)
    return sorted({str(place[4][0]) for place in found})


def load(wishes: list[dict[str, Any]], rate: float) -> dict[str, Any]:
    """Until standard input ends."""
    over, results, lock = threading.Event(), list[dict[str, Any]](), threading.Lock()
    began = time.monotonic()

    def work(number: int) -> None:
        period, turn = WORKERS / rate, number
        due = time.monotonic() + number / rate
        while not over.wait(max(0.0, due - time.monotonic())):
            due = max(due + period, time.monotonic() - 1)
            at = time.monotonic()
            found = {"at": at, "to": wishes[turn % len(wishes)]["to"], **ask(wishes[turn % len(wishes)])}
            turn += 1
            with lock:
                results.append(found)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    sys.stdin.read()
    over.set()
    for worker in workers:
        worker.join()
    failed = [one for one in results if one["error"]]
    return {
        "requests": len(results),
        "seconds": time.monotonic() - began,
        "failed": len(failed),
        "faults": failed[:100],
        "slowest": max((one["seconds"] for one in results), default=0.0),
        "hosts": Counter(one["host"] for one in results if one["host"]),
        "peers": sorted({one["peer"] for one in results if one["peer"]}),
    }


def hold(wishes: list[dict[str, Any]]) -> None:
    """Nothing is sent in between, not even by the kernel."""
    connections: list[socket.socket] = []

    def begin(wish: dict[str, Any]) -> dict[str, Any]:
        connections.append(_connected(wish))
        return _exchanged(connections[-1], wish.get("size", 1))

    first = [_answered(partial(begin, wish)) for wish in wishes]
    print(json.dumps(first), flush=True)  # noqa: T201
    sys.stdin.read()
    if failed := [(wish, answer) for wish, answer in zip(wishes, first, strict=True) if answer["error"]]:
        raise SystemExit(f"{len(failed)} of {len(wishes)} connections were not made: {failed}")
    held = zip(wishes, connections, strict=True)
    print(json.dumps([_answered(partial(_exchanged, one, wish.get("size", 1))) for wish, one in held]))  # noqa: T201
    for connection in connections:
        connection.close()


def names(wanted: list[str]) -> None:
    """A line for each change: `at` is the machine's monotonic time, the same for everybody on it."""
    last: dict[str, list[str]] = {}
    until_ended = threading.Thread(target=sys.stdin.read)
    until_ended.start()
    while until_ended.is_alive():
        time.sleep(0.02)
        for name in wanted:
            try:
                found = addresses(name)
            except OSError:
                found = []
            if last.get(name) != found:
                last[name] = found
                print(json.dumps({"at": time.monotonic(), "name": name, "addresses": found}), flush=True)  # noqa: T201


def text(size: int) -> bytes:
    return (TEXT * (size // len(TEXT) + 1))[:size]


def files() -> list[str]:
    """What of the standard library this program needs."""
    "a".encode("idna")
    return sorted({found for module in sys.modules.values() if (found := getattr(module, "__file__", None))})


def main(verb: str, *words: str) -> None:
    if verb == "serve":
        serve()
    elif verb == "ask":
        with ThreadPoolExecutor(WORKERS) as pool:
            print(json.dumps(list(pool.map(ask, json.loads(words[0])))))  # noqa: T201
    elif verb == "load":
        print(json.dumps(load(json.loads(words[0]), float(words[1]))))  # noqa: T201
    elif verb == "hold":
        hold(json.loads(words[0]))
    elif verb == "names":
        names(json.loads(words[0]))
    else:
        print(json.dumps(files()))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
