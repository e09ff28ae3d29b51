"""The text of the files by which systemd runs a node. Pure: whoever installs looks, asks and writes.

No secret is part of it: the unit names the file that the join token lies in.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

UNIT = "swarmpy.service"
UNIT_FILE = PurePosixPath("/etc/systemd/system") / UNIT
WANTED_LINK = PurePosixPath("/etc/systemd/system/multi-user.target.wants") / UNIT
JOIN_FILE = PurePosixPath("/etc/swarmpy/join")
SYSUSERS_FILE = PurePosixPath("/etc/sysusers.d/swarmpy.conf")
SYSUSERS_TEXT = """\
# Members of this group may use the socket of swarmpy's manager, and with it command the cluster.
g swarmpy -
"""

_HOMES = tuple(PurePosixPath(place) for place in ("/home", "/root", "/run/user"))
_TEMPORARY = tuple(PurePosixPath(place) for place in ("/tmp", "/var/tmp"))
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@+=:,./\[\]-]+")

_UNIT = """\
# Written by `swarmpy install`, which overwrites changes; yours go into `systemctl edit {unit}`.
[Unit]
Description=swarmpy node
After=docker.service network-online.target time-sync.target
Wants=docker.service network-online.target
# A node that cannot start yet is tried for ever, at the pace of RestartSec.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
Restart=always
RestartSec=5
# Not again: 0 was stopped or left the cluster, 2 has wrong options, 7 was removed from the cluster.
RestartPreventExitStatus=0 2 7
# The supervisor ends its children in order, each within ten seconds. Containers are the engine's, and run on.
KillMode=mixed
TimeoutStopSec=45
LimitNOFILE=1048576
StateDirectory=swarmpy
StateDirectoryMode=0700
RuntimeDirectory=swarmpy
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes

# What it may: command the engine by its socket, set up networks by netlink and nft, give its socket to a group.
# SYS_ADMIN and SYS_PTRACE: to set routes inside of containers, it enters their network namespaces.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_SYS_ADMIN CAP_SYS_PTRACE
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL
# The lock that iptables shares with the engine, where it has one.
ReadWritePaths=-/run/xtables.lock
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome={protect_home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Service:
    """What differs between two machines. `executable` is the path of `swarmpy`; `program_places` are the folders that
    it runs from, its interpreter's too. `joins`: the token lies in `JOIN_FILE`."""

    executable: PurePosixPath
    program_places: tuple[PurePosixPath, ...]
    listen_address: str | None = None
    advertise_address: str | None = None
    labels: tuple[str, ...] = ()
    joins: bool = False

    @property
    def is_in_a_home(self) -> bool:
        return any(_is_within(place, _HOMES) for place in (self.executable, *self.program_places))

    @property
    def is_temporary(self) -> bool:
        """Where the unit, with a /tmp of its own, would not find it."""
        return any(_is_within(place, _TEMPORARY) for place in (self.executable, *self.program_places))


def unit_text(service: Service) -> str:
    command = " ".join(_quoted(word) for word in command_of(service))
    return _UNIT.format(unit=UNIT, command=command, protect_home="read-only" if service.is_in_a_home else "yes")


def command_of(service: Service) -> list[str]:
    """The words of ExecStart, before systemd's quoting."""
    words = [str(service.executable), "up"]
    if service.listen_address is not None:
        words += ["--listen-address", service.listen_address]
    if service.advertise_address is not None:
        words += ["--advertise-address", service.advertise_address]
    for label in service.labels:
        words += ["--label", label]
    if service.joins:
        words += ["--join-file", str(JOIN_FILE)]
    return words


def _quoted(word: str) -> str:
    """As systemd reads it back: `%` and `$` stand for something else there, unless doubled."""
    word = word.replace("%", "%%").replace("$", "$$")
    if _PLAIN_WORD.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_within(place: PurePosixPath, folders: tuple[PurePosixPath, ...]) -> bool:
    return any(place.is_relative_to(folder) for folder in folders)
