"""The layout of log lines and frames on the wire, as Docker's clients read them. Pure."""

from dataclasses import dataclass

from manager.objects import Task

STDOUT, STDERR = 1, 2
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"


@dataclass(frozen=True, slots=True)
class LineLayout:
    """`tty`: raw bytes without frames; the client decides by the service's spec, not by what it reads."""

    tty: bool = False
    timestamps: bool = False
    details: bool = False

    def render(self, task: Task, stream: int, line: bytes) -> bytes:
        """`[timestamp ][details ]text`; a line has its timestamp first already, when timestamps were asked for."""
        if self.details:
            stamp, text = self._split(line)
            line = stamp + details_of(task) + b" " + text
        return line if self.tty else frame(stream, line)

    def _split(self, line: bytes) -> tuple[bytes, bytes]:
        if not self.timestamps:
            return b"", line
        stamp, space, text = line.partition(b" ")
        return stamp + space, text


def details_of(task: Task) -> bytes:
    """Clients take these three away again and print names in their place; one that is missing is an error to them."""
    return (
        f"com.docker.swarm.node.id={task.node_id},"
        f"com.docker.swarm.service.id={task.service_id},"
        f"com.docker.swarm.task.id={task.id}"
    ).encode()


def frame(stream: int, payload: bytes) -> bytes:
    """Stream number, three zero bytes, length, payload."""
    return bytes((stream, 0, 0, 0)) + len(payload).to_bytes(4, "big") + payload
