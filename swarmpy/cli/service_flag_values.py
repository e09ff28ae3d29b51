"""Values of docker's flags for services, from their text to Docker's JSON. Pure; each raises a `ValueError` that says
why."""

import csv
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from swarmpy.stack.docker_json import Object, stated
from swarmpy.stack.shortforms import PROPAGATIONS, PROTOCOLS, parse_port
from swarmpy.stack.units import parse_cpus, parse_duration, parse_size

_HIGHEST_PORT = 65535
_WORDS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
# What a bind mount does with mounts below its source.
_RECURSIONS: dict[str, Object] = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}


def truth(text: str) -> bool:
    if text.lower() not in _WORDS:
        raise ValueError(f"{text!r} is neither true nor false")
    return _WORDS[text.lower()]


def count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no number; write one like 3")
    return int(text)


def duration(text: str) -> int:
    nanoseconds = parse_duration(text)
    if nanoseconds < 0:
        raise ValueError(f"{text} is less than nothing")
    return nanoseconds


def ratio(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number; write one like 0.2") from None
    if not 0 <= number <= 1:
        raise ValueError(f"{text} is not between 0 and 1")
    return number


def score(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None
    if not -1000 <= number <= 1000:
        raise ValueError(f"{text} is not between -1000 and 1000")
    return number


cpus, size = parse_cpus, parse_size


def one_of(*words: str) -> Callable[[str], str]:
    def chosen(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text

    return chosen


def pair(text: str) -> tuple[str, str]:
    """`key=value`; a key alone has the empty value."""
    key, _, value = text.partition("=")
    if not key:
        raise ValueError(f"{text!r} has no key before its =")
    return key, value


def variable(text: str) -> str:
    pair(text)
    return text


def full_pair(text: str) -> tuple[str, str]:
    if "=" not in text:
        raise ValueError(f"{text!r} is not of the form KEY=VALUE")
    return pair(text)


def preference(text: str) -> Object:
    strategy, descriptor = full_pair(text)
    if strategy != "spread" or not descriptor:
        raise ValueError(f"{text!r}: the only strategy is spread, as in spread=node.labels.rack")
    return {"Spread": {"SpreadDescriptor": descriptor}}


def capability(text: str) -> str:
    name = text.strip().upper()
    if name in ("ALL", "RESET"):
        return name
    return name if name.startswith("CAP_") else f"CAP_{name}"


def host(text: str) -> str:
    """`name:address` as it stands in a file of hosts."""
    name, _, address = text.partition(":")
    try:
        ip_address(address.strip("[]"))
    except ValueError:
        raise ValueError(f"{text!r} is not of the form NAME:ADDRESS, such as db:10.0.0.7") from None
    return f"{address.strip('[]')} {name}"


def address(text: str) -> str:
    return str(ip_address(text.strip()))


def ulimit(text: str) -> Object:
    name, values = full_pair(text)
    soft, colon, hard = values.partition(":")
    try:
        low = int(soft)
        high = int(hard) if colon else low
    except ValueError:
        raise ValueError(f"{text!r} is not of the form NAME=SOFT[:HARD], such as nofile=1024:2048") from None
    if high != -1 and (low > high or low == -1):
        raise ValueError(f"{text!r}: the soft limit is above the hard one")
    return {"Name": name, "Soft": low, "Hard": high}


def generic_resource(text: str) -> Object:
    kind, value = full_pair(text)
    if not value.isdecimal():
        raise ValueError(f"{text!r} asks for no number of them; write one like gpu=2")
    return {"DiscreteResourceSpec": {"Kind": kind, "Value": int(value)}}


def ports(text: str) -> list[Object]:
    """`8080:80/udp`, with ranges; or `published=8080,target=80,protocol=udp,mode=host`."""
    if "=" not in text:
        if text.partition("/")[0].count(":") > 1:
            raise ValueError(f"{text!r} names an address, and a service's ports are on all of them: leave it out")
        return [_port(given) for given in parse_port(text)]
    given: Object = {"protocol": "tcp", "mode": "ingress"}
    for key, value in _fields(text, ("target", "published", "protocol", "mode")):
        given[key] = _port_number(value) if key in ("target", "published") else value.lower()
    if not given.get("target"):
        raise ValueError(f"{text!r} has no target, the port in the container")
    one_of(*PROTOCOLS)(given["protocol"])
    one_of("ingress", "host")(given["mode"])
    return [_port(given)]


def _port(given: Object) -> Object:
    return stated(
        {
            "Protocol": given["protocol"],
            "TargetPort": given["target"],
            "PublishedPort": given.get("published") or None,
            "PublishMode": given["mode"],
        }
    )


def target_port(text: str) -> Object:
    """`80`, `53/udp` or `target=80,mode=host`, as a port is taken away: what is said must fit."""
    if "=" in text:
        (port,) = ports(text)
        return port if "mode" in text else {key: value for key, value in port.items() if key != "PublishMode"}
    number, _, protocol = text.partition("/")
    return {"TargetPort": _port_number(number), "Protocol": one_of(*PROTOCOLS)(protocol.lower() or "tcp")}


def _port_number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _HIGHEST_PORT:
        raise ValueError(f"{text!r} is no port; ports go from 1 to {_HIGHEST_PORT}")
    return int(text)


def network(text: str) -> Object:
    """`NAME`, or `name=NAME,alias=A,driver-opt=K=V`."""
    if "=" not in text:
        return {"Target": text}
    found: Object = {}
    for key, value in _fields(text, ("name", "alias", "driver-opt")):
        if key == "name":
            found["Target"] = value
        elif key == "alias":
            found.setdefault("Aliases", []).append(value)
        else:
            option, setting = full_pair(value)
            found.setdefault("DriverOpts", {})[option] = setting
    if not found.get("Target"):
        raise ValueError(f"{text!r} has no name=")
    return found


def reference(name_field: str) -> Callable[[str], Object]:
    """Of a secret or config: `NAME`, or `source=NAME,target=FILE,uid=0,gid=0,mode=0400`. Without its id."""

    def parsed(text: str) -> Object:
        given = {"source": text} if "=" not in text else _reference_fields(text)
        if not given.get("source"):
            raise ValueError(f"{text!r} has no source=")
        mode = given.get("mode", "0444")
        try:
            number = int(mode, 8 if mode.startswith("0") else 10)
        except ValueError:
            raise ValueError(f"{text!r}: mode {mode!r} is no file mode such as 0400") from None
        file = {"Name": given.get("target") or given["source"], "UID": given.get("uid", "0")}
        return {"File": file | {"GID": given.get("gid", "0"), "Mode": number}, name_field: given["source"]}

    return parsed


def _reference_fields(text: str) -> dict[str, str]:
    return {"source" if key == "src" else key: value for key, value in _fields(text, _REFERENCE_KEYS)}


_REFERENCE_KEYS = ("source", "src", "target", "uid", "gid", "mode")
_MOUNT_NAMES = {
    "type": "type", "source": "source", "src": "source", "target": "target", "dst": "target", "destination": "target",
    "readonly": "readonly", "ro": "readonly", "consistency": "consistency",
}  # fmt: skip
_MOUNT_OPTIONS = (
    "bind-propagation", "bind-nonrecursive", "bind-recursive", "bind-create-mountpoint", "volume-nocopy",
    "volume-label", "volume-driver", "volume-opt", "volume-subpath", "tmpfs-size", "tmpfs-mode",
)  # fmt: skip


def mount(text: str) -> Object:
    """`type=bind,source=/a,target=/b,readonly` and the options of each type."""
    given: dict[str, Any] = {"type": "volume"}
    options: list[tuple[str, str]] = []
    for key, value in _fields(
        text, (*_MOUNT_NAMES, *_MOUNT_OPTIONS), bare=("readonly", "ro", "bind-nonrecursive", "volume-nocopy")
    ):
        if key in _MOUNT_NAMES:
            given[_MOUNT_NAMES[key]] = value
        else:
            options.append((key, value))
    kind = one_of("bind", "volume", "tmpfs")(given["type"])
    _check_mount(text, kind, given, options)
    found = {
        "Type": kind,
        "Source": given.get("source") or None,
        "Target": given["target"],
        "ReadOnly": truth(given.get("readonly", "false")) or None,
        "Consistency": given.get("consistency"),
    }
    if options:
        made: Object = {}
        for key, value in options:
            _mount_option(made, key, value)
        found[f"{kind.capitalize()}Options"] = made
    return stated(found)


def _check_mount(text: str, kind: str, given: Object, options: Sequence[tuple[str, str]]) -> None:
    for key, _ in options:
        if not key.startswith(f"{kind}-"):
            raise ValueError(f"{text!r}: {key} does not go with mounts of type {kind}")
    if not given.get("target"):
        raise ValueError(f"{text!r} has no target, the path in the container")
    if kind == "bind" and not given.get("source"):
        raise ValueError(f"{text!r}: a bind mount needs a source, the path on the node")
    if kind == "tmpfs" and given.get("source"):
        raise ValueError(f"{text!r}: a tmpfs has no source")


def _mount_option(made: Object, key: str, value: str) -> None:
    match key:
        case "bind-propagation":
            made["Propagation"] = one_of(*PROPAGATIONS)(value)
        case "bind-nonrecursive":
            made["NonRecursive"] = truth(value)
        case "bind-recursive":
            made.update(_RECURSIONS[one_of(*_RECURSIONS)(value)])
        case "bind-create-mountpoint":
            made["CreateMountpoint"] = truth(value)
        case "volume-nocopy":
            made["NoCopy"] = truth(value)
        case "volume-label":
            made.setdefault("Labels", {}).update([pair(value)])
        case "volume-driver":
            made.setdefault("DriverConfig", {})["Name"] = value
        case "volume-opt":
            made.setdefault("DriverConfig", {}).setdefault("Options", {}).update([pair(value)])
        case "volume-subpath":
            made["Subpath"] = value
        case "tmpfs-size":
            made["SizeBytes"] = size(value)
        case _:
            made["Mode"] = _octal(value)


def _octal(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError(f"{text!r} is no file mode such as 1777") from None


def _fields(text: str, known: Sequence[str], bare: Sequence[str] = ()) -> list[tuple[str, str]]:
    """`a=b,c=d` with quotes as in CSV; the keys in `bare` may stand without a value, which is true."""
    found = []
    for item in next(csv.reader([text]), []):
        key, equals, value = item.partition("=")
        key = key.strip().lower()
        if key not in known:
            raise ValueError(f"{text!r}: {key!r} is no part of it; there are {', '.join(known)}")
        if not equals and key not in bare:
            raise ValueError(f"{text!r}: {key} has no value")
        found.append((key, value if equals else "true"))
    return found
