"""What a node tells the cluster of its network fits into a frame, and what it knows of it itself."""

from ipaddress import IPv4Address
from pathlib import Path

from support.agents import agent_settings
from support.assignments import a_network

from agent.engine.fake import FakeEngine
from agent.network.conntrack import Conntrack
from agent.network.docker_user import DockerUser
from agent.network.fake import FakeKernel
from agent.network.machine import Network
from agent.network.node_view import NodeView
from agent.network.parts import Parts
from agent.network.picture import Picture, Underlay
from agent.network.rules_port import MemoryRules
from agent.runner import Runner
from agent.task.assign import NOTHING_YET, AssignedSet
from swarmpy.clock import ManualClock
from swarmpy.wire import LONGEST_NOTE

UNDERLAY = Underlay(IPv4Address("192.0.2.1"), "eth0")


class NoNames:
    async def show(self, picture: Picture) -> None:
        """There are none."""

    async def serve(self) -> None:
        """Nobody asks."""


async def test_a_sentence_of_any_length_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    clock, names = ManualClock(), NoNames()
    settings = agent_settings(tmp_path)
    runner = Runner(FakeEngine(clock), clock, settings.node_id)
    parts = Parts(FakeKernel(), MemoryRules(), names, Conntrack(), DockerUser())
    node = Network(parts, names.serve, tmp_path / "no routes").of_node(settings, clock, runner)
    node.keeper.trouble = "x" * 10_000

    assert [len(limit) for limit in (await node.facts()).limits] == [LONGEST_NOTE]


async def test_a_node_has_no_picture_before_somebody_has_said_what_it_is_to_have() -> None:
    clock = ManualClock()
    for assigned, full, is_known in (
        (NOTHING_YET, False, False),
        (AssignedSet(0, {}, {a_network().id: a_network()}), False, True),
        (NOTHING_YET, True, True),
    ):
        runner = Runner(FakeEngine(clock), clock, "node-1")
        runner.apply(assigned, full=full)
        assert (NodeView("node-1", runner).picture(UNDERLAY) is not None) == is_known
        await runner.work.close()
