"""Join tokens, in Swarm's form: `SWMTKN-1-<digest of the CA>-<secret>`. Pure; `idgen` draws the secrets.

The digest lets a joining node know the cluster's CA before it trusts a word of it; the secret tells the cluster which
role the node may have.
"""

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field

from swarmpy.errors import BadRequest
from swarmpy.ids import ALPHABET

PREFIX = "SWMTKN-1"
DEFAULT_PORT = 2377
# 256 bits in base 36.
_DIGEST_LENGTH = 50
_FORM = re.compile(rf"{PREFIX}-([0-9a-z]{{{_DIGEST_LENGTH}}})-([0-9a-z]{{25}})")
# Whatever passes can stand in a URL as it is.
_ADDRESS = re.compile(r"([A-Za-z0-9._-]{1,253}|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class JoinToken:
    ca_digest: str
    secret: str = field(repr=False)

    def __str__(self) -> str:
        return f"{PREFIX}-{self.ca_digest}-{self.secret}"


@dataclass(frozen=True, slots=True)
class JoinWish:
    """A token and the manager (`host:port`) to show it to. A standing wish is read at every start: it is none to come
    back after a removal."""

    token: JoinToken
    manager: str
    is_standing: bool = False


def ca_digest(certificate: bytes) -> str:
    """SHA-256 of a certificate's DER form, in base 36."""
    number = int.from_bytes(hashlib.sha256(certificate).digest(), "big")
    digits = []
    for _ in range(_DIGEST_LENGTH):
        number, digit = divmod(number, 36)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def parse_token(text: str) -> JoinToken:
    """Raises `BadRequest`; the secret is never part of the sentence."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise BadRequest(
            f"the join token has not the form {PREFIX}-DIGEST-SECRET; `swarmpy token worker` prints it whole"
        )
    return JoinToken(found[1], found[2])


def parse_join(text: str) -> JoinWish:
    """`TOKEN@HOST[:PORT]`. Raises `BadRequest`."""
    token, at, manager = text.strip().partition("@")
    if not at or not manager:
        raise BadRequest("--join wants TOKEN@HOST:PORT, as `swarmpy token worker` prints it on a manager")
    return JoinWish(parse_token(token), parse_address(manager, "--join", DEFAULT_PORT))


def parse_address(text: str, option: str, default_port: int) -> str:
    """`HOST:PORT`, the port filled in. IPv6 addresses stand in brackets. Raises `BadRequest` that names the option."""
    found = _ADDRESS.fullmatch(text)
    port = int(found[3] or default_port) if found else 0
    if found is None or not 0 < port < 65536 or (found[2] and not _is_ipv6(found[2])):
        raise BadRequest(f"{option}: {text[:300]!r} is no address: write HOST or HOST:PORT, IPv6 as [ADDRESS]:PORT")
    return f"{found[1]}:{port}"


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def host_of(address: str) -> str:
    """Of `HOST:PORT`, without brackets."""
    return address.rpartition(":")[0].strip("[]")


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])
