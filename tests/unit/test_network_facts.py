"""What a node tells the cluster of its network fits into a frame."""

from pathlib import Path

from support.agents import agent_settings

from agent.engine.fake import FakeEngine
from agent.network.conntrack import Conntrack
from agent.network.docker_user import DockerUser
from agent.network.fake import FakeKernel
from agent.network.machine import Network
from agent.network.parts import Parts
from agent.network.picture import Picture
from agent.network.rules_port import MemoryRules
from agent.runner import Runner
from swarmpy.clock import ManualClock
from swarmpy.wire import LONGEST_NOTE


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
