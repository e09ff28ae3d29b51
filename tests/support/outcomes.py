"""What a row of the table of deploy outcomes is, and how one is played on a real node.

Every row has a stack of its own, so that all rows can be played side by side.
"""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from support.node import BIN, Container, Node, Result, wait_until

LIMIT = 60.0
# Rows mostly wait; more of them at once only make the engine slower.
AT_ONCE = 16

Document = Mapping[str, Any]


class Scene:
    """One row's stack on the node. `before` are the containers of its service `web` when the deployment began; `held`
    is let go when all is over."""

    def __init__(self, node: Node, stack: str, folder: Path) -> None:
        self.node = node
        self.stack = stack
        self.before: frozenset[Container] = frozenset()
        self.result = Result(-1, "", "")
        self.held = ExitStack()
        self._folder = folder
        self._out, self._err = folder / f"{stack}.out", folder / f"{stack}.err"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def service(self) -> str:
        return f"{self.stack}_web"

    def containers(self) -> frozenset[Container]:
        return self.node.containers(self.service)

    def wait_until_it_says(self, pattern: str) -> None:
        """The deployment that is under way."""
        wait_until(f"{self.stack}: it says {pattern}", lambda: re.search(pattern, self._out.read_text()) is not None)

    def remove(self) -> None:
        """What there is of the stack. Its network goes with the engine."""
        for service in self.node.get("/services"):
            if service["Spec"]["Name"].startswith(f"{self.stack}_"):
                self.node.request(f"/services/{service['ID']}", "DELETE")

    def interrupt(self) -> None:
        """Ctrl-C, as the deployment waits."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)

    def deploy(self, row: "Outcome") -> Result:
        path = self._folder / f"{self.stack}.yaml"
        path.write_text(row.file if isinstance(row.file, str) else json.dumps(row.file))
        host = row.host or self.node.api
        command = [str(BIN / "swarmpy"), "--host", host, "stack", "deploy", "-c", str(path), *row.options, self.stack]
        with self._out.open("w") as out, self._err.open("w") as err:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        try:
            if row.meanwhile is not None:
                row.meanwhile(self)
            code = self._process.wait(LIMIT)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        return Result(code, self._out.read_text(), self._err.read_text())


Step = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A deployment and how it must end.

    `earlier` are files deployed before, each with the code it must end with. `says` are patterns that the command's
    output must hold, `never` those it must not. `before`, `meanwhile` and `after` are what else happens, and `after`
    may look at what has become of the stack. `host` is asked instead of the node.
    """

    name: str
    code: int
    file: Document | str
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    options: tuple[str, ...] = ("--timeout", "45s")
    earlier: tuple[tuple[Document, int], ...] = ()
    before: Step | None = None
    meanwhile: Step | None = None
    after: Step | None = None
    host: str = ""

    @property
    def stack(self) -> str:
        return re.sub(r"\W+", "-", self.name)[:40].strip("-")


class Played:
    """Rows that are played side by side; each test asks for its own."""

    def __init__(self, node: Node, rows: list[Outcome], folder: Path) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._futures: dict[str, Future[Scene]] = {
            row.name: self._pool.submit(partial(_play, node, row, folder)) for row in rows
        }

    def scene(self, row: Outcome) -> Scene:
        """Raises what went wrong in its play."""
        return self._futures[row.name].result(timeout=3 * LIMIT)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _play(node: Node, row: Outcome, folder: Path) -> Scene:
    scene = Scene(node, row.stack, folder)
    try:
        for number, (file, code) in enumerate(row.earlier, start=1):
            result = scene.deploy(Outcome(row.name, code, file))
            assert result.code == code, f"deployment {number} before it ended with {result.code}:\n{result.all}"
        if row.before is not None:
            row.before(scene)
        scene.before = scene.containers()
        scene.result = scene.deploy(row)
        if row.after is not None:
            row.after(scene)
        return scene
    finally:
        scene.held.close()
        scene.remove()


def check(row: Outcome, result: Result) -> None:
    """The row's code and words."""
    told = f"\n{result.all}"
    assert result.code == row.code, f"ended with {result.code}, not {row.code}:{told}"
    missing = [pattern for pattern in row.says if not re.search(pattern, result.all, re.MULTILINE)]
    assert missing == [], f"does not say {missing}:{told}"
    said = [pattern for pattern in ("Traceback", *row.never) if re.search(pattern, result.all)]
    assert said == [], f"says {said}:{told}"
