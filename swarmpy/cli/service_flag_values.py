"""Values of docker's flags for services, from their text to Docker's JSON. Pure; each raises a `ValueError` that says
why."""

import csv
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from swarmpy.container_values import check_capability, check_host_address, check_sysctl
from swarmpy.errors import BadRequest
from swarmpy.stack.docker_json import Object, stated
from swarmpy.stack.shortforms import PROTOCOLS, parse_port
from swarmpy.stack.units import parse_cpus, parse_duration, parse_size

_HIGHEST_PORT = 65535
_WORDS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


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


def checked(check: Callable[[str], None]) -> Callable[[str], str]:
    """The text itself when it passes; an empty one takes away what was there."""

    def parsed(text: str) -> str:
        if text:
            check(text)
        return text

    return parsed


def sysctl(text: str) -> tuple[str, str]:
    key, value = full_pair(text)
    check_sysctl(key)
    return key, value


def capability(text: str) -> str:
    name = text.strip().upper()
    if name in ("ALL", "RESET"):
        return name
    check_capability(text.strip())
    return name if name.startswith("CAP_") else f"CAP_{name}"


def host(text: str) -> str:
    """`name:address` as it stands in a file of hosts."""
    name, _, address = text.partition(":")
    address = address.strip("[]")
    try:
        check_host_address(address)
    except BadRequest:
        raise ValueError(f"{text!r} is not of the form NAME:ADDRESS, such as db:10.0.0.7") from None
    if not name.strip():
        raise ValueError(f"{text!r} has no name before its address")
    return f"{address} {name}"


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
    for key, value in fields(text, ("target", "published", "protocol", "mode")):
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
    if ":" in number:
        target = text.rpartition(":")[2]
        raise ValueError(
            f"{text!r} is more than the port in the container, and that alone is asked for: write {target}"
        )
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
    for key, value in fields(text, ("name", "alias", "driver-opt")):
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
    return {"source" if key == "src" else key: value for key, value in fields(text, _REFERENCE_KEYS)}


_REFERENCE_KEYS = ("source", "src", "target", "uid", "gid", "mode")


def fields(text: str, known: Sequence[str], bare: Sequence[str] = ()) -> list[tuple[str, str]]:
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
