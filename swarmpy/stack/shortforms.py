"""Short forms that stack files allow, as their long forms: ports, volumes, commands, env files. Pure.

Every parser raises `ValueError` that says why.
"""

import re
from collections.abc import Mapping
from typing import Any

from swarmpy.container_values import PROPAGATIONS
from swarmpy.stack.units import parse_size

PROTOCOLS = ("tcp", "udp", "sctp")
_HIGHEST_PORT = 65535
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
# A colon before a backslash is that of a Windows drive.
_COLON = re.compile(r":(?!\\)")
_BLANK = " \t\r\n"


def parse_port(text: str) -> list[dict[str, Any]]:
    """The short form `[ip:][published:]target[/protocol]`, with ranges, as long forms one a port."""
    body, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise ValueError(f"{text!r}: the protocols are {', '.join(PROTOCOLS)}, not {protocol!r}")
    host, target_text = body.rpartition(":")[::2]
    published_text = host.rpartition(":")[2] if not host.endswith("]") else ""
    targets = _ports(target_text, text)
    published = _ports(published_text, text) if published_text else []
    if published and len(targets) == 1 and len(published) > 1:
        targets = targets * len(published)
    if published and len(published) != len(targets):
        raise ValueError(f"{text!r}: {len(published)} published ports do not fit {len(targets)} targets")
    return [
        {"mode": "ingress", "target": target, "protocol": protocol}
        | ({"published": published[index]} if published else {})
        for index, target in enumerate(targets)
    ]


def port_address(text: str) -> str:
    """The address before the ports of a short form; empty where there is none."""
    return text.partition("/")[0].rpartition(":")[0].rpartition(":")[0]


def _ports(text: str, whole: str) -> list[int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{whole!r} is no port; write one like 8080:80, 53:53/udp or 5000-5010")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last <= _HIGHEST_PORT:
        raise ValueError(f"{whole!r}: ports go up to {_HIGHEST_PORT}, and a range from low to high")
    return list(range(first, last + 1))


def parse_volume(text: str) -> dict[str, Any]:
    """`[source:]target[:option,...]`; a source that looks like a path is a bind mount, else the name of a volume."""
    parts = _COLON.split(text)
    if len(parts) > 3 or not all(parts):
        raise ValueError(f"{text!r} is no volume; write SOURCE:TARGET, SOURCE:TARGET:ro or TARGET")
    if len(parts) == 1:
        return {"type": "volume", "target": parts[0]}
    is_path = parts[0].startswith((".", "/", "~")) or re.match(r"[A-Za-z]:\\|\\\\", parts[0]) is not None
    volume: dict[str, Any] = {"type": "bind" if is_path else "volume", "source": parts[0], "target": parts[1]}
    for option in volume_options(text):
        if option == "ro":
            volume["read_only"] = True
        elif option == "nocopy":
            volume["volume"] = {"nocopy": True}
        elif option in PROPAGATIONS:
            volume["bind"] = {"propagation": option}
    return volume


def volume_options(text: str) -> list[str]:
    """The words behind the second colon of a volume's short form."""
    parts = _COLON.split(text)
    return parts[2].split(",") if len(parts) == 3 else []


def parse_tmpfs(text: str) -> dict[str, Any]:
    """`/path[:option,...]` of the key `tmpfs`, as target, size, mode and what remains."""
    target, _, words = text.partition(":")
    options: dict[str, Any] = {"target": target, "others": []}
    for word in filter(None, words.split(",")):
        key, _, value = word.partition("=")
        if key == "size":
            options["size"] = parse_size(value)
        elif key == "mode" and re.fullmatch("[0-7]+", value):
            options["mode"] = int(value, 8)
        else:
            options["others"].append(word)
    return options


def split_words(text: str) -> list[str]:
    """A command line cut into words as a shell does, without anything else that a shell does."""
    words: list[str] = []
    word: list[str] | None = None
    quote, at = "", 0
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            at += 1
            if at == len(text):
                raise ValueError(f"{text!r} ends with a backslash")
            word = [*(word or ()), text[at]]
        elif quote:
            quote, word = ("", word) if char == quote else (quote, [*(word or ()), char])
        elif char in "'\"":
            quote, word = char, word or []
        elif char in _BLANK:
            words, word = (words, None) if word is None else ([*words, "".join(word)], None)
        elif char == "#" and word is None:
            at = text.find("\n", at)
            if at < 0:
                break
        else:
            word = [*(word or ()), char]
        at += 1
    if quote:
        raise ValueError(f"{text!r} has a quote {quote} that is not closed")
    return words if word is None else [*words, "".join(word)]


def parse_env_file(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """`NAME=value` lines, values as they stand; a bare `NAME` is taken from the environment or left out."""
    variables: dict[str, str] = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = raw.lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name or any(blank in name for blank in _BLANK):
            raise ValueError(f"line {number}: {line!r} has no valid name before its =")
        if equals:
            variables[name] = value
        elif name in environment:
            variables[name] = environment[name]
    return variables
