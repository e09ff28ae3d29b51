"""Updates that a hand has paused: they stay so until a hand takes them up again, whatever else is done to the service,
and no command that leaves them so has failed for that. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from swarmpy.states import PAUSED_BY_HAND

# Of the updates that stand still, what stands still.
PAUSED = {"paused": "update", "rollback_paused": "rollback"}

Object = Mapping[str, Any]


def held_updates(services: Iterable[Object]) -> dict[str, Object]:
    """The status of each such update, by the service's id."""
    updates = ((service["ID"], service.get("UpdateStatus") or {}) for service in services)
    return {
        service_id: update
        for service_id, update in updates
        if update.get("State") in PAUSED and update.get("Message") == PAUSED_BY_HAND
    }


def is_held(service: Object, held: Mapping[str, Object]) -> bool:
    """Whether it is the same one still, and no other that was paused since."""
    return service["ID"] in held and service.get("UpdateStatus") == held[service["ID"]]


def note_of(service: Object) -> str:
    what = PAUSED[service["UpdateStatus"]["State"]]
    return f"its {what} is still paused by hand; `swarmpy service continue {service['Spec']['Name']}` takes it up again"
