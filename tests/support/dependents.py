"""A service that depends on others, and what is decided for it."""

import json
from collections.abc import Mapping
from typing import Any

from support.builders import (
    T0,
    a_node,
    a_revision,
    a_service,
    a_state,
    a_template,
    at,
)

from manager.objects import AnyObject, ReasonCode, Service
from manager.orchestrator.decision import Decision
from manager.orchestrator.plan import Surroundings, reconcile_service
from manager.state import State
from manager.store.keys import name_key
from manager.store.port import Batch, Change, Entry
from swarmpy.labels import DEPENDS_ON
from swarmpy.models.service import UpdateState, UpdateStatus
from swarmpy.models.task import RestartCondition, RestartPolicy
from swarmpy.states import TaskState

STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
ONCE = RestartPolicy(condition=RestartCondition.ON_FAILURE)
UPDATING = UpdateStatus(state=UpdateState.UPDATING, started_at=T0, message="update in progress")
NODES = (a_node("n1"), a_node("n2"))


def with_label(service: Service, on: Mapping[str, str] | str) -> Service:
    label = on if isinstance(on, str) else json.dumps(on)
    return service.model_copy(update={"spec": service.spec.model_copy(update={"labels": {DEPENDS_ON: label}})})


def web(on: Mapping[str, str] | None = None, **fields: Any) -> Service:
    return with_label(a_service("web", **fields), on or {"db": HEALTHY})


def a_picture(*objects: AnyObject) -> State:
    """Where services are found by their names, too."""
    state = a_state(*NODES, *objects)
    names = {name_key("services", value.id): value.id for value in objects if isinstance(value, Service)}
    state.apply(Batch(2, tuple(Change(key, Entry(key, name.encode(), 2, 2)) for key, name in names.items())))
    return state


def decide(service: Service, *objects: AnyObject, now: float = 0) -> Decision:
    state = a_picture(a_revision(service, 1, a_template(image="old:1")), service, *objects)
    around = Surroundings(eligible=lambda _: frozenset({"n1", "n2"}))
    return reconcile_service(state, state.services[service.id], at(now), around)


def held(decision: Decision) -> list[tuple[TaskState, ReasonCode | None]]:
    return [(task.desired_state, task.reason.code if task.reason else None) for task in decision.create]


COMPLETE: dict[str, Any] = {"state": TaskState.COMPLETE, "desired": TaskState.COMPLETE, "started": 0}
CRASHED: dict[str, Any] = {"state": TaskState.FAILED, "desired": TaskState.SHUTDOWN, "started": -50, "finished": 0}
