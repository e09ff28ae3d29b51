"""Load on the replicas of a service: requests to those that the manager calls healthy, and what came of each.

A request counts when its replica was healthy, that is running and wanted, in a picture taken before it was sent and in
one taken after its answer was there: as a task's states only grow, it was so all the while between.
"""

import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.node import Node, wait_until

PORT = 8080
# An answer that takes longer is none. Generous, as the machine may be busy with other things.
PATIENCE = 10.0
_LOOK_EVERY = 0.025


@dataclass(frozen=True, slots=True)
class Picture:
    """`replicas` are addresses of the healthy ones by task id, at some moment between the two."""

    asked: float
    answered: float
    replicas: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """`error` is empty when it was answered, with `body`."""

    task_id: str
    began: float
    ended: float
    body: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    pictures: tuple[Picture, ...]
    requests: tuple[Request, ...]

    @property
    def seconds(self) -> float:
        return self.pictures[-1].answered - self.pictures[0].asked

    @property
    def counted(self) -> tuple[Request, ...]:
        """Those whose replica was healthy from before to after."""
        first: dict[str, float] = {}
        last: dict[str, float] = {}
        for picture in self.pictures:
            for task_id in picture.replicas:
                first.setdefault(task_id, picture.answered)
                last[task_id] = picture.asked
        return tuple(one for one in self.requests if first[one.task_id] <= one.began and one.ended <= last[one.task_id])

    @property
    def failed(self) -> tuple[Request, ...]:
        return tuple(one for one in self.counted if one.error)

    @property
    def fewest(self) -> int:
        """Healthy replicas at the worst moment."""
        return min(len(picture.replicas) for picture in self.pictures)

    @property
    def figures(self) -> str:
        failed = Counter(one.error for one in self.requests if one.error)
        slowest = max((one.ended - one.began for one in self.counted), default=0)
        return (
            f"{self.seconds:.1f} s, {len(self.requests)} requests ({len(self.requests) / self.seconds:.0f}/s), "
            f"{len(self.counted)} to replicas healthy throughout of which {len(self.failed)} failed, slowest "
            f"{slowest * 1000:.0f} ms; at least {self.fewest} healthy; to replicas being stopped failed {dict(failed)}"
        )


@dataclass
class Load:
    """Sends from several threads until it is ended."""

    node: Node
    service: str
    rate: float = 200.0
    threads: int = 8
    pictures: list[Picture] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _troubles: list[BaseException] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        self._look()
        workers = [threading.Thread(target=self._guarded, args=(self._watch,))]
        workers += [threading.Thread(target=self._guarded, args=(self._send, n)) for n in range(self.threads)]
        for worker in workers:
            worker.start()
        try:
            yield self
        finally:
            self._over.set()
            for worker in workers:
                worker.join(2 * PATIENCE)
        self._look()
        assert self._troubles == []

    def wait_for_answers(self, body: str, count: int = 50) -> None:
        """So many more of that kind."""
        before = len(self.requests)
        wait_until(
            f"{count} answers are {body}", lambda: sum(one.body == body for one in self.requests[before:]) >= count
        )

    def report(self) -> Report:
        return Report(tuple(self.pictures), tuple(self.requests))

    def _guarded(self, work: Callable[..., None], *arguments: int) -> None:
        try:
            work(*arguments)
        except BaseException as trouble:
            self._troubles.append(trouble)
            raise

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            self._look()

    def _look(self) -> None:
        asked = time.monotonic()
        tasks = self.node.tasks(self.service)
        healthy = {
            task["ID"]: str(task["NetworksAttachments"][0]["Addresses"][0]).partition("/")[0]
            for task in tasks
            if task["Status"]["State"] == task["DesiredState"] == "running"
        }
        self.pictures.append(Picture(asked, time.monotonic(), healthy))

    def _send(self, number: int) -> None:
        """In turn to each that is healthy as far as is known. The thread is in the engine's network from now on."""
        period = self.threads / self.rate
        due = time.monotonic() + number * period / self.threads
        with self.node.engine.network():
            for turn in itertools.count(number):
                if self._over.wait(max(0.0, due - time.monotonic())):
                    return
                due = max(due + period, time.monotonic() - 1)
                replicas = sorted(self.pictures[-1].replicas.items())
                if replicas:
                    self.requests.append(_ask(*replicas[turn % len(replicas)]))


def _ask(task_id: str, address: str) -> Request:
    began = time.monotonic()
    connection = http.client.HTTPConnection(address, PORT, timeout=PATIENCE)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        body = answer.read().decode().strip()
        error = "" if answer.status == http.client.OK else f"status {answer.status}"
    except (OSError, http.client.HTTPException) as trouble:
        return Request(task_id, began, time.monotonic(), error=type(trouble).__name__)
    finally:
        connection.close()
    return Request(task_id, began, time.monotonic(), body, error)
