"""Texts of a container's wish that no engine takes: signals, capabilities, kernel settings, hosts, paths. Pure.

Each check raises `BadRequest` that says what is wrong with the text and how one looks that is right, not where it
stands: that is for the caller, who knows whether it was a stack file or a request.
"""

import re
from difflib import get_close_matches
from ipaddress import ip_address
from posixpath import normpath

from swarmpy.errors import BadRequest
from swarmpy.shown import shown
from swarmpy.templating import BEGIN as TEMPLATE_BEGIN

# Where relative targets of secrets and configs begin.
SECRET_FOLDER = "/run/secrets"
CONFIG_FOLDER = "/"
# Of bind mounts.
PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
# Of users and groups.
HIGHEST_ID = 2**31 - 1

_SIGNALS = """
    ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP
    TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX
"""
# Every name that an engine on Linux knows, without SIG.
SIGNALS = frozenset(
    _SIGNALS.split() + [f"RTMIN+{number}" for number in range(1, 16)] + [f"RTMAX-{number}" for number in range(1, 15)]
)
_HIGHEST_SIGNAL = 64
_MOST_DIGITS = 64

_CAPABILITIES = """
    AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH
    FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN
    NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT
    SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM
"""
# Every capability of Linux, without CAP_.
CAPABILITIES = frozenset(_CAPABILITIES.split())
ALL_CAPABILITIES = "ALL"

_SYSCTL = re.compile(r"[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)+")
# An address that the engine itself finds out.
_HOST_GATEWAY = "host-gateway"


def check_signal(text: str) -> None:
    """A name with or without SIG, or a number."""
    if text.isascii() and text.isdecimal():
        if not is_number_within(text, 1, _HIGHEST_SIGNAL):
            raise BadRequest(f"{text[:32]} is no signal; their numbers go from 1 to {_HIGHEST_SIGNAL}")
        return
    name = text.upper().removeprefix("SIG")
    if name not in SIGNALS:
        raise BadRequest(
            f"{shown(text)} is no signal; {_near(name, SIGNALS, 'SIG') or 'write one like SIGTERM or SIGINT'}"
        )


def check_capability(text: str) -> None:
    """A name with or without CAP_, in any case; or ALL."""
    name = text.upper().removeprefix("CAP_")
    if text.upper() != ALL_CAPABILITIES and name not in CAPABILITIES:
        near = _near(name, CAPABILITIES, "") or "write one like NET_ADMIN, or ALL"
        raise BadRequest(f"{shown(text)} is no capability; {near}")


def check_sysctl(key: str) -> None:
    if _SYSCTL.fullmatch(key) is None:
        raise BadRequest(f"{shown(key)} is no kernel setting; write one like net.core.somaxconn")


def check_extra_host(text: str) -> None:
    """As a hosts file and Docker's service spec have it: `address name [name ...]`."""
    address, _, names = text.partition(" ")
    if not names.strip() or not address:
        raise BadRequest(f"{shown(text)} is not of the form `address name [name ...]`")
    check_host_address(address)


def check_host_address(text: str) -> None:
    """Of an extra host."""
    try:
        ip_address(text)
    except ValueError:
        if text != _HOST_GATEWAY:
            raise BadRequest(f"{shown(text)} is no IP address") from None


def check_working_dir(text: str) -> None:
    if not text.startswith("/"):
        raise BadRequest(f"{shown(text)} is no absolute path; a working directory begins with /")


def check_target(text: str) -> None:
    """Where in the container a mount stands."""
    if not text.startswith(("/", TEMPLATE_BEGIN)):
        raise BadRequest(f"{shown(text)} is no absolute path in the container")
    if clean_target(text) == "/":
        raise BadRequest("a mount cannot stand at /, where the image is")


def clean_target(text: str) -> str:
    """As the engine compares them; those with templates only once they are filled in."""
    return f"/{normpath(text).lstrip('/')}" if text.startswith("/") else text


def is_number_within(text: str, least: int, most: int) -> bool:
    """Whether the text is such a number, in digits and nothing else. Zeros before it do not count, but so many that
    nobody would read them are none."""
    if len(text) > _MOST_DIGITS or not (text.isascii() and text.isdecimal()):
        return False
    digits = text.lstrip("0") or "0"
    return len(digits) <= len(str(most)) and least <= int(digits) <= most


def _near(name: str, known: frozenset[str], prefix: str) -> str:
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"did you mean {prefix}{near[0]}?" if near else ""
