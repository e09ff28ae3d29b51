"""Short forms of a service's keys spelled out: each takes a value as the file has it. Pure."""

from collections.abc import Callable
from typing import Any

from swarmpy.stack.scalars import text_of
from swarmpy.stack.shortforms import parse_port, parse_volume, split_words
from swarmpy.stack.units import parse_duration, parse_size, show_duration


def pairs(value: Any, *, bare: str | None = "") -> dict[str, str | None]:
    """A mapping or a list of `key=value` as a mapping to texts; `bare` stands for a key without a value."""
    if isinstance(value, list):
        split = (str(item).partition("=") for item in value)
        return {key: text if equals else bare for key, equals, text in split}
    return {key: bare if item is None else text_of(item) for key, item in (value or {}).items()}


def _variables(value: Any) -> dict[str, str | None]:
    return pairs(value, bare=None)


def _words(value: Any) -> list[str]:
    return split_words(value) if isinstance(value, str) else list(value or ())


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _hosts(value: Any) -> list[str]:
    """`name:address`, from that, from `name=address`, or from a mapping; brackets around IPv6 go."""
    if isinstance(value, dict):
        pairs = sorted((name, text_of(address)) for name, address in value.items() if address is not None)
    else:
        pairs = [split_host(item) for item in value]
    return [f"{name}:{unbracketed(address)}" for name, address in pairs if address]


def split_host(item: str) -> tuple[str, str]:
    """Name and address of one in a list."""
    name, equals, address = item.partition("=")
    return (name, address) if equals else (item.partition(":")[0], item.partition(":")[2])


def unbracketed(address: str) -> str:
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


def _port(given: Any) -> Any:
    """Texts that are numbers are numbers."""
    return with_spelled(given, published=int)


def _ports(value: Any) -> list[dict[str, Any]]:
    ports: list[dict[str, Any]] = []
    for item in value or ():
        ports.extend([_port(item)] if isinstance(item, dict) else parse_port(str(item)))
    return ports


def _volume(item: Any) -> Any:
    if isinstance(item, str):
        return parse_volume(item)
    volume = with_spelled(item.get("volume"), labels=pairs)
    tmpfs = with_spelled(item.get("tmpfs"), size=lambda size: parse_size(str(size)))
    return item | {key: value for key, value in (("volume", volume), ("tmpfs", tmpfs)) if key in item}


def _networks(value: Any) -> dict[str, Any]:
    return dict.fromkeys(value) if isinstance(value, list) else dict(value or {})


def _references(value: Any) -> list[dict[str, Any]]:
    return [{"source": item} if isinstance(item, str) else item for item in value or ()]


def _texts(value: Any) -> list[str]:
    return [text_of(item) for item in value]


def _logging(value: Any) -> dict[str, Any]:
    return {**value, "options": pairs(value["options"])} if value.get("options") else value


def _duration(value: str) -> str:
    return show_duration(parse_duration(value))


def with_spelled(value: Any, **spellings: Callable[[Any], Any]) -> Any:
    """The mapping with these keys, where it has them, spelled out."""
    if not isinstance(value, dict):
        return value
    return {key: spellings[key](item) if key in spellings else item for key, item in value.items()}


def _amounts(value: Any) -> Any:
    return with_spelled(value, memory=lambda size: str(parse_size(size)))


def _update(value: Any) -> Any:
    return with_spelled(value, delay=_duration, monitor=_duration)


def _deploy(value: Any) -> Any:
    return with_spelled(
        value,
        labels=pairs,
        update_config=_update,
        rollback_config=_update,
        resources=lambda resources: with_spelled(resources, limits=_amounts, reservations=_amounts),
        restart_policy=lambda policy: with_spelled(policy, delay=_duration, window=_duration),
    )


def _healthcheck(value: Any) -> Any:
    return with_spelled(
        value,
        test=lambda test: ["CMD-SHELL", test] if isinstance(test, str) else test,
        interval=_duration,
        timeout=_duration,
        start_period=_duration,
        start_interval=_duration,
    )


SPELLED: dict[str, Callable[[Any], Any]] = {
    "annotations": pairs,
    "command": _words,
    "configs": _references,
    "deploy": _deploy,
    "dns": _listed,
    "dns_search": _listed,
    "entrypoint": _words,
    "env_file": _listed,
    "environment": _variables,
    "expose": _texts,
    "extra_hosts": _hosts,
    "group_add": _texts,
    "healthcheck": _healthcheck,
    "label_file": _listed,
    "labels": pairs,
    "logging": _logging,
    "networks": _networks,
    "ports": _ports,
    "secrets": _references,
    "stop_grace_period": _duration,
    "storage_opt": pairs,
    "sysctls": pairs,
    "tmpfs": _listed,
    "volumes": lambda value: [_volume(item) for item in value],
}
