"""Logs of services and tasks: the manager's stream taken apart into lines, each with the task it came from."""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import click

from swarmpy.cli.render import json_line, parse_time, short_id
from swarmpy.cli.views import task_name
from swarmpy.client import Client, Object
from swarmpy.clock import SystemClock
from swarmpy.errors import BadRequest, NotFound
from swarmpy.stack.units import parse_duration

STDOUT, STDERR = 1, 2
_HEAD = struct.Struct(">BxxxL")
_TASK = "com.docker.swarm.task.id"
_DETAILS = re.compile(r"(?:com\.docker\.swarm\.[a-z.]+=[^, ]*,?)+")


@dataclass(frozen=True, slots=True)
class LogWish:
    follow: bool = False
    tail: str = "all"
    since: str = ""
    timestamps: bool = False
    raw: bool = False
    whole: bool = False
    as_json: bool = False

    def query(self) -> dict[str, str]:
        """As the API asks for it. Raises `BadRequest`."""
        if self.tail != "all" and not self.tail.isdecimal():
            raise BadRequest(f"--tail {self.tail}: give a number of lines, or all")
        query = {"stdout": "1", "stderr": "1", "tail": self.tail}
        query |= {"follow": "1"} if self.follow else {}
        query |= {"timestamps": "1"} if self.timestamps else {}
        return query | ({"since": _unix_time(self.since)} if self.since else {})


def show_logs(client: Client, name: str, wish: LogWish) -> None:
    """`name` is a service's or a task's."""
    query = wish.query()
    try:
        service = client.get(f"/services/{name}")
    except NotFound:
        try:
            task = client.get(f"/tasks/{name}")
        except NotFound:
            raise NotFound(f"no such service or task: {name}") from None
        path, spec = f"/tasks/{task['ID']}/logs", task.get("Spec") or {}
    else:
        path, spec = f"/services/{service['ID']}/logs", service["Spec"]["TaskTemplate"]
    is_terminal = bool((spec.get("ContainerSpec") or {}).get("TTY"))
    if is_terminal and not wish.raw:
        raise BadRequest(f"the tasks of {name} write to terminals, so lines cannot be told apart: use --raw")
    if wish.raw:
        _show_raw(client, path, query, is_terminal)
    else:
        _show_lines(client, path, query, wish)


def last_lines(client: Client, task_id: str, count: int) -> list[str]:
    with client.stream(f"/tasks/{task_id}/logs", stdout="1", stderr="1", tail=str(count)) as pieces:
        return [line.decode(errors="replace").rstrip("\r\n") for _, line in parse_frames(pieces)]


def parse_frames(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """(stream, payload) of each frame, from pieces that are cut anywhere; what is cut off at the end is dropped."""
    buffer = b""
    for piece in pieces:
        buffer += piece
        while len(buffer) >= _HEAD.size:
            stream, size = _HEAD.unpack_from(buffer)
            end = _HEAD.size + size
            if len(buffer) < end:
                break
            yield stream, buffer[_HEAD.size : end]
            buffer = buffer[end:]


def split_details(line: str, *, timestamps: bool) -> tuple[dict[str, str], str]:
    """The details of a line of the form `[time ]details text`, and the line without them."""
    stamp, space, rest = line.partition(" ") if timestamps else ("", "", line)
    details, _, text = rest.partition(" ")
    if _DETAILS.fullmatch(details) is None:
        return {}, line
    pairs = (pair.partition("=") for pair in details.split(","))
    return {key: value for key, _, value in pairs}, f"{stamp}{space}{text}"


def _show_raw(client: Client, path: str, query: dict[str, str], is_terminal: bool) -> None:
    with client.stream(path, **query) as pieces:
        for stream, payload in ((STDOUT, piece) for piece in pieces) if is_terminal else parse_frames(pieces):
            click.echo(payload, nl=False, err=stream == STDERR)


def _show_lines(client: Client, path: str, query: dict[str, str], wish: LogWish) -> None:
    """Each behind the name of its task."""
    labels = _Labels(client, whole=wish.whole)
    width = 0
    with client.stream(path, **query, details="1") as pieces:
        for stream, payload in parse_frames(pieces):
            line = payload.decode(errors="replace").rstrip("\r\n")
            details, text = split_details(line, timestamps=wish.timestamps)
            label = labels.of(details.get(_TASK, ""))
            if wish.as_json:
                click.echo(json_line(_entry(label, stream, text, timestamps=wish.timestamps)))
                continue
            width = max(width, len(label))
            click.echo(f"{label.ljust(width)} | {text}", err=stream == STDERR)


def _entry(label: str, stream: int, text: str, *, timestamps: bool) -> dict[str, str]:
    stamp, _, rest = text.partition(" ") if timestamps else ("", "", text)
    entry = {"Task": label, "Stream": "stderr" if stream == STDERR else "stdout", "Line": rest}
    return {"Timestamp": stamp} | entry if timestamps else entry


class _Labels:
    """`web.2.9f2k@node-1` of a task id, asked for once."""

    def __init__(self, client: Client, *, whole: bool) -> None:
        self._client = client
        self._whole = whole
        self._known: dict[str, str] = {}

    def of(self, task_id: str) -> str:
        if task_id not in self._known:
            self._known[task_id] = self._label(task_id)
        return self._known[task_id]

    def _label(self, task_id: str) -> str:
        try:
            task: Object = self._client.get(f"/tasks/{task_id}")
            service = self._client.get(f"/services/{task['ServiceID']}")
            node = self._client.get(f"/nodes/{task['NodeID']}")
        except (NotFound, KeyError):
            return short_id(task_id, whole=self._whole)
        name = task_name(task, {service["ID"]: service["Spec"]["Name"]})
        return f"{name}.{short_id(task_id, whole=self._whole)}@{node['Description'].get('Hostname', node['ID'])}"


def _unix_time(since: str) -> str:
    try:
        return f"{SystemClock().now().timestamp() - parse_duration(since) / 1e9:.6f}"
    except ValueError:
        pass
    try:
        return f"{parse_time(since).timestamp():.6f}"
    except ValueError:
        raise BadRequest(f"--since {since}: give a time such as 2030-01-31T12:00:00Z, or an age such as 42m") from None
