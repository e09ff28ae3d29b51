"""Descriptors that outlive the process that uses them: its supervisor keeps them for the next in its place. Pure.

What is sent are messages of systemd's descriptor store (sd_notify, at NOTIFY_SOCKET), one descriptor and one name each;
a name that is known already has the newer one from then on. How they come back differs from sd_listen_fds: there they
are numbered from 3 on, and LISTEN_PID names the process. Python's `subprocess` has descriptors of its own on those
numbers until the program runs, and fixes the variables before the process has a pid. So one variable says which number
has which name, and whoever reads it takes it away before it starts anything.
"""

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

NOTIFY_SOCKET = "NOTIFY_SOCKET"
GIVEN = "SWARMPY_DESCRIPTORS"
# For `MOST` such names the kernel still takes the variable (128 KiB).
LONGEST_NAME = 48
MOST = 2_000
LONGEST_MESSAGE = 256

_NAME = re.compile(rf"[A-Za-z0-9._/-]{{1,{LONGEST_NAME}}}")


@dataclass(frozen=True, slots=True)
class Keep:
    """The descriptor that comes along, under that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Forget:
    name: str


def written(wish: Keep | Forget) -> bytes:
    word = "FDSTORE" if isinstance(wish, Keep) else "FDSTOREREMOVE"
    return f"{word}=1\nFDNAME={wish.name}".encode()


def read(message: bytes) -> Keep | Forget:
    """Raises `ValueError` for what is no such wish."""
    fields = dict(line.partition("=")[::2] for line in message.decode().splitlines())
    name = fields.get("FDNAME", "")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:LONGEST_NAME]!r} is no name for a descriptor")
    if fields.get("FDSTOREREMOVE") == "1":
        return Forget(name)
    if fields.get("FDSTORE") == "1":
        return Keep(name)
    raise ValueError("neither to be kept nor to be forgotten")


def told(descriptors: Mapping[str, int]) -> str:
    """What `GIVEN` holds."""
    return " ".join(f"{name}={number}" for name, number in descriptors.items())


def given(variables: MutableMapping[str, str]) -> dict[str, int]:
    """By name; the variable is gone afterwards."""
    found = {}
    for word in variables.pop(GIVEN, "").split():
        name, _, number = word.partition("=")
        if number.isdecimal():
            found[name] = int(number)
    return found
