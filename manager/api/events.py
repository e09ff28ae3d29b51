"""From changes of the state to Docker's cluster events. Pure."""

from collections.abc import Mapping
from datetime import datetime

from manager.api.filters import Filters
from manager.objects import AnyObject, Config, Network, Node, Secret, Service
from manager.state import Changed
from swarmpy.models.event import Actor, Event

FILTERS = ("type", "event", "service", "node", "secret", "config", "network", "scope", "label")
_TYPES: Mapping[type[AnyObject], str] = {
    Service: "service",
    Node: "node",
    Network: "network",
    Secret: "secret",
    Config: "config",
}


def event_of(change: Changed, now: datetime) -> Event | None:
    """None for what Docker's clients hear nothing of: tasks, and records that go after their object was removed."""
    before, after = _shown(change.before), _shown(change.after)
    subject = after or before
    if subject is None or type(subject) not in _TYPES:
        return None
    action = "create" if before is None else "remove" if after is None else "update"
    attributes = {"name": _name(subject)}
    if before is not None and after is not None:
        attributes |= _differences(before, after)
    if isinstance(before, Node) and isinstance(after, Node) and after.repaired not in (None, before.repaired):
        action, attributes["repaired"] = "repair", "; ".join(after.repaired.what if after.repaired else ())
    nanoseconds = int(now.timestamp()) * 1_000_000_000 + now.microsecond * 1_000
    return Event(
        type=_TYPES[type(subject)],
        action=action,
        actor=Actor(id=subject.id, attributes=attributes),
        time=int(now.timestamp()),
        time_nano=nanoseconds,
    )


def passes(event: Event, wanted: Filters) -> bool:
    """A filter by kind (`service=web`) takes name or id, and lets no other kind pass."""
    attributes = event.actor.attributes or {}
    return (
        wanted.passes("type", event.type)
        and wanted.passes("event", event.action)
        and wanted.passes("scope", event.scope)
        and wanted.passes_labels("label", attributes)
        and all(
            not wanted.get(kind) or (event.type == kind and wanted.passes(kind, event.actor.id, attributes.get("name")))
            for kind in _TYPES.values()
        )
    )


def _shown(value: AnyObject | None) -> AnyObject | None:
    """An object that is being removed counts as gone."""
    return None if getattr(value, "removed", False) else value


def _name(value: AnyObject) -> str:
    if isinstance(value, Node):
        return value.description.hostname
    return getattr(getattr(value, "spec", None), "name", None) or ""


def _differences(before: AnyObject, after: AnyObject) -> dict[str, str]:
    facts_before, facts_after = _facts(before), _facts(after)
    changed: dict[str, str] = {}
    for name, new in facts_after.items():
        old = facts_before.get(name, "")
        if new != old:
            changed |= {f"{name}.new": new, f"{name}.old": old}
    return changed


def _facts(value: AnyObject) -> dict[str, str]:
    """What an update event names when it changed."""
    if isinstance(value, Node):
        return {
            "availability": value.spec.availability.value,
            "state": value.state.value,
            "role": value.spec.role.value,
        }
    if isinstance(value, Service):
        container, replicated = value.spec.task_template.container_spec, value.spec.mode.replicated
        facts = {"updatestate": value.update.state.value if value.update and value.update.state else ""}
        if replicated is not None:
            facts["replicas"] = str(replicated.replicas)
        if container is not None:
            facts["image"] = container.image or ""
        return facts
    return {}
