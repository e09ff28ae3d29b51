"""The command as a process, against the real API on a unix socket. The control loop is played by the test."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.api import NODE_ID, Api
from support.builders import T0, a_cluster, a_node, a_task
from support.served import Said, served_api

from manager.objects import Node, Reason, Service, Task
from swarmpy.models.node import NodeDescription, NodeSpec
from swarmpy.models.task import ContainerStatus, TaskStatus
from swarmpy.states import Role, TaskState

COMMAND = (sys.executable, "-m", "swarmpy.cli")
ROOT = Path(__file__).resolve().parents[2]
LIMIT = 30

STACK = """
services:
  web:
    image: shop/web:1
    healthcheck: {test: [CMD, "true"]}
    deploy: {replicas: 2}
  once:
    image: shop/once:1
    restart: "no"
"""


class Shell:
    """Runs `swarmpy` as a user does; `folder` is where it runs."""

    def __init__(self, api: Api, socket: Path, folder: Path) -> None:
        self.api = api
        self.folder = folder
        self.host = f"unix://{socket}"
        (folder / "stack.yaml").write_text(STACK)

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        # The code that stands here, whatever is installed.
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "SWARMPY_HOST": self.host}
        environment["PYTHONPATH"] = str(ROOT)
        return await asyncio.create_subprocess_exec(
            *COMMAND, *words, cwd=self.folder, env=environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def run(self, *words: str) -> Said:
        return await self.finished(await self.start(*words))

    async def finished(self, process: asyncio.subprocess.Process) -> Said:
        try:
            async with asyncio.timeout(LIMIT):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Said(process.returncode or 0, out.decode(), err.decode())

    async def ok(self, *words: str) -> str:
        said = await self.run(*words)
        assert said.code == 0, said.err
        assert "Traceback" not in said.err
        return said.out

    def service(self, name: str) -> Service:
        found = self.api.state.named("services", name)
        assert found is not None
        return self.api.state.services[found]

    async def service_appears(self, name: str) -> Service:
        changes = self.api.ledger.subscribe()
        try:
            async with asyncio.timeout(LIMIT):
                while self.api.state.named("services", name) is None:
                    await changes.wait()
                    changes.take()
        finally:
            self.api.ledger.unsubscribe(changes)
        return self.service(name)

    async def tasks_become(self, name: str, *statuses: TaskStatus, reason: Reason | None = None) -> list[Task]:
        """One task a slot, as scheduler and agents would have made them."""
        service = self.service(name)
        tasks = []
        for slot, status in enumerate(statuses, start=1):
            task = a_task(
                f"{name.replace('_', '')}{slot}".rjust(25, "0"), service, slot=slot, node=NODE_ID, networks=()
            )
            changed = {"service_name": name, "spec_version": service.spec_version, "status": status, "reason": reason}
            tasks.append(task.model_copy(update=changed))
        await self.api.keep(*tasks)
        return tasks


RUNNING = TaskStatus(timestamp=T0, state=TaskState.RUNNING, container_status=ContainerStatus(container_id="c" * 64))
COMPLETE = TaskStatus(timestamp=T0, state=TaskState.COMPLETE, container_status=ContainerStatus(container_id="c" * 64))
FAILED = TaskStatus(
    timestamp=T0,
    state=TaskState.FAILED,
    err="exited with code 7",
    container_status=ContainerStatus(container_id="c" * 64, exit_code=7),
)
PENDING = TaskStatus(timestamp=T0, state=TaskState.PENDING)


def the_node() -> Node:
    return a_node(NODE_ID).model_copy(
        update={"spec": NodeSpec(role=Role.MANAGER), "description": NodeDescription(hostname="manager-1")}
    )


@asynccontextmanager
async def running_shell(folder: Path) -> AsyncIterator[Shell]:
    async with served_api() as (api, socket):
        await api.keep(a_cluster(history_limit=5), the_node())
        yield Shell(api, socket, folder)
