"""The two ends of `make bench-network`, each a process in some network namespace: what answers, and what asks.

    traffic.py serve PORT                                   says `ready`, then answers until it is ended
    traffic.py stream ADDRESS PORT SECONDS                  prints bytes a second of one TCP stream
    traffic.py ask ADDRESS PORT SECONDS CONNECTIONS         prints answers a second, each over a connection of its own

Needs nothing but Python itself. Whoever connects says with its first byte what it wants.
"""

import multiprocessing
import socket
import struct
import sys
import time
from collections.abc import Sequence

STREAM, ASK = b"s", b"a"
PIECE = 1 << 20
QUESTION, ANSWER = ASK + b"?" * 63, b"!" * 256
ANSWERING = 4
LIMIT = 10.0
# Closed by a reset once all is said: neither end nor conntrack remembers it for a minute, or some ten thousand
# connections later there would be no port left.
RESET = struct.pack("ii", 1, 0)


def main(words: Sequence[str]) -> int:
    verb, *rest = words
    if verb == "serve":
        serve(int(rest[0]))
    elif verb == "stream":
        print(stream((rest[0], int(rest[1])), float(rest[2])))
    else:
        print(ask((rest[0], int(rest[1])), float(rest[2]), int(rest[3])))
    return 0


def serve(port: int) -> None:
    """Ends when its standard input does, so that nothing outlives who started it."""
    with socket.create_server(("0.0.0.0", port), backlog=1024) as listening:
        answering = [multiprocessing.Process(target=_answer_all, args=(listening,)) for _ in range(ANSWERING)]
        for process in answering:
            process.start()
        print("ready", flush=True)
        sys.stdin.read()
        for process in answering:
            process.kill()


def _answer_all(listening: socket.socket) -> None:
    piece = memoryview(bytearray(PIECE))
    while True:
        connection, _ = listening.accept()
        with connection:
            try:
                _answer(connection, piece)
            except OSError:
                continue


def _answer(connection: socket.socket, piece: memoryview) -> None:
    size = connection.recv_into(piece)
    if piece[:1] == ASK:
        connection.sendall(ANSWER)
        return
    counted = size
    while size:
        size = connection.recv_into(piece)
        counted += size
    connection.sendall(str(counted).encode())


def stream(to: tuple[str, int], seconds: float) -> float:
    """What has arrived counts, not what was sent."""
    piece = STREAM * PIECE
    with socket.create_connection(to, LIMIT) as connection:
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        counted = connection.recv(100)
        return int(counted) / (time.monotonic() - begun)


def ask(to: tuple[str, int], seconds: float, connections: int) -> float:
    """So many processes, each asking anew when it is answered. Any that is not answered ends it all."""
    with multiprocessing.Pool(connections) as pool:
        return sum(pool.starmap(_ask_on, [(to, seconds)] * connections))


def _ask_on(to: tuple[str, int], seconds: float) -> float:
    answered, begun = 0, time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        with socket.create_connection(to, LIMIT) as connection:
            connection.sendall(QUESTION)
            size = 0
            while more := connection.recv(4096):
                size += len(more)
            if size != len(ANSWER):
                raise SystemExit(f"{to[0]} answered with {size} bytes")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        answered += 1
    return answered / passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
