"""Whether a secret of a file is the one in the cluster, which nobody can read back: by a slow, salted digest. Pure.

Slow, so that a short secret is not found by trying; the salt comes from the caller.
"""

import base64
import binascii
import hashlib
import hmac

DIGEST_LABEL = "swarmpy.digest"

_COST, _BLOCK, _PARALLEL = 1 << 14, 8, 1
_HEAD = f"scrypt${_COST}${_BLOCK}${_PARALLEL}$"
_MEMORY = 64 << 20


def digest_of(data: str, salt: bytes) -> str:
    """Of base64 data, as it is kept in the label."""
    made = hashlib.scrypt(base64.b64decode(data), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, maxmem=_MEMORY, dklen=32)
    return f"{_HEAD}{base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def agrees(digest: str, data: str) -> bool | None:
    """Whether the digest is that of the data; None when nobody can tell from it."""
    salt, dollar, _ = digest.removeprefix(_HEAD).partition("$")
    if not digest.startswith(_HEAD) or not dollar:
        return None
    try:
        return hmac.compare_digest(digest, digest_of(data, base64.b64decode(salt, validate=True)))
    except binascii.Error:
        return None
