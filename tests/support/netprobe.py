"""A server that says who asks it, and a client that asks: one program, in the test image and beside it.

`serve`: HTTP on 8080 and UDP on 9000. `ask ASKS`: each ask of a JSON list once, the answers as a JSON list. `load ASKS`:
them in turn at a rate until standard input ends, then what came of it. `names NAMES`: what the resolver says of each, a
line of JSON at each change, until standard input ends. Has the standard library alone, and little of it.
"""

import http.client
import http.server
import json
import signal
import socket
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

HTTP, UDP = 8080, 9000
PIECE = 32 * 1024
LARGEST_DATAGRAM = 65_000
WORKERS = 8
TEXT = b"0123456789abcdef"


class Answers(http.server.BaseHTTPRequestHandler):
    """Whatever is sent is counted; as many bytes as the path names come back."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        left = taken = int(self.headers.get("Content-Length") or 0)
        while left:
            left -= len(self.rfile.read(min(left, PIECE)) or self._gone())
        size = int(self.path.strip("/") or 0)
        self.send_response(200)
        self.send_header("X-Host", socket.gethostname())
        self.send_header("X-Peer", self.client_address[0])
        self.send_header("X-Taken", str(taken))
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(text(size))

    do_GET = do_POST

    def _gone(self) -> bytes:
        raise ConnectionResetError("the client went away")

    def log_message(self, format: str, *args: Any) -> None:
        return


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = False
    block_on_close = True


def serve() -> None:
    """Until SIGTERM; then what was begun is ended."""
    threading.Thread(target=_echo_datagrams, daemon=True).start()
    server = Server(("0.0.0.0", HTTP), Answers)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)


def _echo_datagrams() -> None:
    name = socket.gethostname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("0.0.0.0", UDP))
        while True:
            payload, peer = port.recvfrom(65_535)
            port.sendto(json.dumps({"host": name, "peer": peer[0]}).encode() + b"\n" + payload, peer)


def ask(wish: dict[str, Any]) -> dict[str, Any]:
    """`how` is tcp, udp or dns. `error` is empty when it was answered whole."""
    began = time.monotonic()
    try:
        found = {"tcp": _tcp, "udp": _udp, "dns": _dns}[wish["how"]](wish)
    except (OSError, http.client.HTTPException, ValueError) as trouble:
        found = {"error": f"{type(trouble).__name__}: {trouble}"}
    return {"error": "", "host": "", "peer": "", **found, "seconds": time.monotonic() - began}


def _tcp(wish: dict[str, Any]) -> dict[str, Any]:
    size = wish.get("size", 1)
    connection = http.client.HTTPConnection(wish["to"], wish.get("port", HTTP), timeout=wish.get("timeout", 5))
    try:
        connection.request("POST", f"/{size}", text(size))
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200 or body != text(size) or answer.headers["X-Taken"] != str(size):
            raise ValueError(f"status {answer.status}, {len(body)} of {size} bytes, {answer.headers['X-Taken']} taken")
        return {"host": answer.headers["X-Host"], "peer": answer.headers["X-Peer"]}
    finally:
        connection.close()


def _udp(wish: dict[str, Any]) -> dict[str, Any]:
    """More than a datagram takes goes as many, one after the other's echo."""
    size, seen = wish.get("size", 1), {}
    pieces = [size] if size <= LARGEST_DATAGRAM else [PIECE] * (size // PIECE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.settimeout(wish.get("timeout", 5))
        port.connect((wish["to"], wish.get("port", UDP)))
        for piece in pieces:
            port.send(text(piece))
            head, _, payload = port.recv(65_535).partition(b"\n")
            if payload != text(piece):
                raise ValueError(f"{len(payload)} of {piece} bytes came back")
            seen = json.loads(head)
    return seen


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


def names(wanted: list[str]) -> None:
    """A line for each change: `at` is the machine's monotonic time, the same for everybody on it."""
    last: dict[str, list[str]] = {}
    threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
    over = threading.Event()
    while not over.wait(0.02):
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
    elif verb == "names":
        names(json.loads(words[0]))
    else:
        print(json.dumps(files()))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
