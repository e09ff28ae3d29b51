"""Where a network that is there differs from what a file says of it. Pure."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from swarmpy.stack.diff import FieldChange
from swarmpy.stack.docker_json import Object

_TRUTHS = ("Attachable", "EnableIPv6", "Internal")
_RANGE = ("Subnet", "IPRange", "Gateway")


def network_changes(wish: Object, stored: Object) -> tuple[FieldChange, ...]:
    """What the wish states and is otherwise; what it leaves to the cluster, such as a subnet, differs never.

    Both are in the API's JSON. An option that the manager does not show cannot be compared.
    """
    return (*_driver(wish, stored), *_truths(wish, stored), *_options(wish, stored), *_ranges(wish, stored))


def _driver(wish: Object, stored: Object) -> Iterator[FieldChange]:
    old, new = stored.get("Driver"), wish.get("Driver")
    if old and new and old != new:
        yield FieldChange("Driver", old, new)


def _truths(wish: Object, stored: Object) -> Iterator[FieldChange]:
    for field in _TRUTHS:
        old, new = bool(stored.get(field)), bool(wish.get(field))
        if old != new:
            yield FieldChange(field, old, new)


def _options(wish: Object, stored: Object) -> Iterator[FieldChange]:
    known: Mapping[str, str] = stored.get("Options") or {}
    for name, value in sorted((wish.get("Options") or {}).items()):
        if name in known and known[name] != value:
            yield FieldChange(f"Options.{name}", known[name], value)


def _ranges(wish: Object, stored: Object) -> Iterator[FieldChange]:
    known = (stored.get("IPAM") or {}).get("Config") or ()
    for index, asked in enumerate((wish.get("IPAM") or {}).get("Config") or ()):
        there = known[index] if index < len(known) else {}
        for field in _RANGE:
            old, new = there.get(field), asked.get(field)
            if new and _range(old) != _range(new):
                yield FieldChange(f"IPAM.Config.{field}", old, new)


def _range(text: str | None) -> str | None:
    """In one spelling."""
    try:
        return text and str(ip_network(text))
    except ValueError:
        return text
