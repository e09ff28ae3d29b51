"""What the network keeper reads of the node's tasks."""

from agent.network.drawing import picture_of
from agent.network.picture import Picture, Underlay, bridge_of
from agent.runner import Runner


class NodeView:
    def __init__(self, node_id: str, runner: Runner) -> None:
        self._node_id = node_id
        self._runner = runner

    def picture(self, underlay: Underlay) -> tuple[Picture, int] | None:
        runner = self._runner
        if not runner.knows_something:
            return None
        picture = picture_of(
            self._node_id, underlay, runner.assigned, runner.runs, runner.shares.addresses_of, runner.networks_on_engine
        )
        return picture, runner.assigned.revision

    def bridges(self) -> frozenset[str]:
        networks = self._runner.networks_on_engine | self._runner.assigned.networks.keys()
        return frozenset(map(bridge_of, networks))
