"""What is read in which order while a command waits."""

from datetime import timedelta
from typing import Any

from swarmpy.cli.awaited import Awaited
from swarmpy.cli.waiting import wait_until_converged
from swarmpy.client import Client

THEN = "2026-01-01T00:00:00Z"


class Racing(Client):
    """The update of its service fails and pauses just after the first list of anything was made."""

    def __init__(self) -> None:
        super().__init__("unix:///nowhere")
        self._is_paused = False

    def _call(self, method: str, target: str, body: Any = None, headers: Any = None) -> Any:
        path = target.removeprefix("/v1.45").partition("?")[0]
        answer = {"/services": self._services, "/tasks": self._tasks}.get(path, list)()
        self._is_paused = True
        return answer

    def _services(self) -> list[dict[str, Any]]:
        spec = {
            "Name": "web",
            "TaskTemplate": {"ContainerSpec": {"Image": "none:1"}},
            "Mode": {"Replicated": {"Replicas": 1}},
        }
        update = {"State": "updating", "StartedAt": THEN}
        if self._is_paused:
            message = "update paused due to failure or early termination of task t1"
            update = {"State": "paused", "Message": message, "StartedAt": THEN}
        return [{"ID": "s1", "Spec": spec, "PreviousSpec": spec, "UpdateStatus": update, "Version": {"Index": 1}}]

    def _tasks(self) -> list[dict[str, Any]]:
        state, err = ("rejected", "No such image: none:1") if self._is_paused else ("preparing", "")
        return [
            {
                "ID": "t1", "ServiceID": "s1", "Slot": 1, "NodeID": "n1", "CreatedAt": THEN,
                "Spec": {"ContainerSpec": {"Image": "none:1"}}, "DesiredState": "running",
                "Status": {"State": state, "Err": err, "Timestamp": THEN},
            }
        ]  # fmt: skip


def test_an_update_that_pauses_meanwhile_is_told_with_what_failed(capsys: Any) -> None:
    awaited = Awaited({"s1": "web"}, frozenset(), frozenset({"s1"}))
    assert wait_until_converged(Racing(), awaited, limit=timedelta(seconds=5), form="json") == 1
    assert "No such image: none:1" in capsys.readouterr().err.splitlines()[0]
