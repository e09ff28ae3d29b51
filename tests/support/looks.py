"""Documents of services, tasks and nodes as a deployment sees them, and looks at them one after the other."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from swarmpy.cli.convergence import Memory, ServiceVerdict, look

START = datetime(2030, 1, 1, tzinfo=UTC)
Document = dict[str, Any]

HEALTHCHECK = {"Test": ["CMD", "true"]}


def service(
    mode: Document | None = None, *, restart: str = "", update: str = "", health: bool = False, **fields: Any
) -> Document:
    template: Document = {"ContainerSpec": {"Image": "web:1"} | ({"Healthcheck": HEALTHCHECK} if health else {})}
    if restart:
        template["RestartPolicy"] = {"Condition": restart}
    spec = {"Name": "web", "Mode": mode or {"Replicated": {"Replicas": 2}}, "TaskTemplate": template}
    status = {"UpdateStatus": {"State": update, "Message": "so it is"}} if update else {}
    return {"ID": "web", "Spec": spec, **status, **fields}


def task(
    slot: int, state: str = "running", *, attempt: int = 1, desired: str = "running", node: str = "n1", **fields: Any
) -> Document:
    """A later attempt is a newer one."""
    status = {"State": state} | ({"Err": fields.pop("err")} if "err" in fields else {})
    place = {"Slot": slot} if slot else {}
    created = (START + timedelta(seconds=attempt)).isoformat()
    return {
        "ID": f"web-{slot or node}-{attempt}",
        "ServiceID": "web",
        "NodeID": node,
        "CreatedAt": created,
        "DesiredState": desired,
        "Status": status,
        **place,
        **fields,
    }


def node(node_id: str = "n1", state: str = "ready") -> Document:
    return {"ID": node_id, "Description": {"Hostname": f"host-{node_id}"}, "Status": {"State": state}}


class Watch:
    """Looks at a cluster, one after the other."""

    def __init__(self, *, changed: bool = True, before: Sequence[str] = (), **given: Any) -> None:
        names = {"web": "web"}
        self.memory = Memory(START, names, frozenset(before), frozenset(names) if changed else frozenset(), **given)

    def look(
        self,
        seconds: float,
        of: Document | None,
        tasks: Sequence[Document],
        nodes: Sequence[Document] = (node(),),
        former: Sequence[Document] = (),
    ) -> ServiceVerdict:
        now = START + timedelta(seconds=seconds)
        self.memory, verdict = look(self.memory, [of] if of else [], tasks, nodes, now, former=former)
        return verdict.services[0]


BOTH = [task(1), task(2)]
GAVE_UP: Document = {"Reason": {"Code": "gave-up", "Text": "no attempts left"}}
