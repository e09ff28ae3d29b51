"""Engines for the contract suite: the fake and a real one, and containers that do the same thing on both."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from support.assignments import an_assignment
from support.dockerd import Dockerd
from support.images import BUSYBOX

from agent.engine.docker import DockerEngine
from agent.engine.fake import Behaviour, FakeEngine
from agent.engine.port import Engine
from agent.task.container import CreateRequest, create_request
from agent.task.templates import NodeFacts
from swarmpy.clock import SystemClock
from swarmpy.ids import id_from_number
from swarmpy.models.container import HealthConfig
from swarmpy.wire import NetworkAssignment

NODE = NodeFacts(hostname="node-1", os="linux", architecture="x86_64")
_SECOND = 1_000_000_000
_numbers = count(1)


@dataclass(slots=True)
class Wish:
    """What a container is to do: a script for a real engine, a behaviour for the fake one."""

    script: str
    behaviour: Behaviour
    fields: dict[str, Any] = field(default_factory=dict)


RUNS = Wish("trap 'exit 143' TERM; while true; do sleep 0.05; done", Behaviour())
RUNS_ON = Wish("trap '' TERM; while true; do sleep 0.05; done", Behaviour(ignores_signals=True))
EXITS_7 = Wish("exit 7", Behaviour(exits_after=0.05, exit_code=7))
PRINTS = Wish("echo one; echo two; sleep 60", Behaviour(output=(b"one\n", b"two\n")))


def _check(command: str) -> dict[str, Any]:
    test = HealthConfig(test=("CMD-SHELL", command), interval=_SECOND // 10, timeout=_SECOND, retries=1)
    return {"health_check": test}


TURNS_HEALTHY = Wish(RUNS.script, Behaviour(has_health_check=True, healthy_after=0.05), _check("true"))
TURNS_UNHEALTHY = Wish(
    RUNS.script,
    Behaviour(has_health_check=True, unhealthy_after=0.05, health_output="no answer"),
    _check("echo no answer; false"),
)


class EngineBench(Protocol):
    engine: Engine
    node_id: str

    def request(self, wish: Wish, network: NetworkAssignment | None = None) -> CreateRequest: ...
    def a_network(self) -> NetworkAssignment: ...
    async def unreachable(self) -> Engine: ...
    async def close(self) -> None: ...


class _Bench:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.node_id = id_from_number(10_000 + next(_numbers))

    def image(self, wish: Wish) -> str:
        return BUSYBOX

    def request(self, wish: Wish, network: NetworkAssignment | None = None) -> CreateRequest:
        """A container of this bench's node, with a name of its own."""
        task = an_assignment(
            next(_numbers),
            image=self.image(wish),
            node_id=self.node_id,
            command=("sh", "-c", wish.script),
            networks=(network.id,) if network else (),
            **wish.fields,
        )
        return create_request(task, NODE, {network.id: network} if network else {})

    def a_network(self) -> NetworkAssignment:
        number = next(_numbers)
        return NetworkAssignment(
            id=id_from_number(20_000 + number),
            name="front",
            subnet=f"10.201.{number}.0/24",
            gateway=f"10.201.{number}.1",
            vni=4096 + number,
        )


class FakeBench(_Bench):
    def __init__(self) -> None:
        self.fake = FakeEngine(SystemClock(), {"missing:1": Behaviour(missing=True)})
        super().__init__(self.fake)

    def image(self, wish: Wish) -> str:
        name = f"image-{next(_numbers)}:1"
        self.fake.behaviours[name] = wish.behaviour
        return name

    async def unreachable(self) -> Engine:
        self.fake.go_away()
        return self.fake

    async def close(self) -> None:
        await self.fake.close()


class RealBench(_Bench):
    def __init__(self, dockerd: Dockerd) -> None:
        self._dockerd = dockerd
        self._others: list[Engine] = []
        super().__init__(DockerEngine(dockerd.host))

    async def unreachable(self) -> Engine:
        other = DockerEngine(f"unix://{self._dockerd.folder}/nobody.sock")
        self._others.append(other)
        return other

    async def close(self) -> None:
        for container in await self.engine.containers(self.node_id):
            await self.engine.remove(container.id)
        for name in await self.engine.networks(self.node_id):
            await self.engine.remove_network(name)
        for engine in (self.engine, *self._others):
            await engine.close()
