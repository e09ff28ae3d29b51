"""Sealing: secrets and registry credentials are encrypted before they reach the store. Knows no store.

AES-256-GCM under one key, kept in a file that only its owner can read. A sealed text is `v1:` and the base64 of nonce
and ciphertext.
"""

import base64
import binascii
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from swarmpy.errors import Unavailable
from swarmpy.membership import SEALING_KEY_FILE

_PREFIX = "v1:"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class Sealer:
    """`key` is what all managers share."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes) -> str:
        """Encrypted, as text; two sealings of one value differ."""
        nonce = os.urandom(_NONCE_BYTES)
        return _PREFIX + base64.b64encode(nonce + self._cipher.encrypt(nonce, plain, None)).decode()

    def unseal(self, sealed: str) -> bytes:
        """Raises `Unavailable` when it was not this key that sealed it, or the text was changed."""
        try:
            raw = base64.b64decode(sealed.removeprefix(_PREFIX), validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError, binascii.Error) as cause:
            raise Unavailable(
                f"a secret in the store was sealed with another key; copy {SEALING_KEY_FILE} here from the manager "
                "that made it"
            ) from cause


def load_sealer(data_dir: Path, *, may_draw: bool = True) -> Sealer:
    """The sealer of this data directory. Its key is drawn on first use by the first manager alone: the others are given
    it, and one of their own would seal what nobody else can read.

    Written aside, then linked: the key is there whole or not at all, and two processes that start at once use the
    same one.
    """
    path = data_dir / SEALING_KEY_FILE
    if not path.exists():
        if not may_draw:
            raise Unavailable(
                f"{SEALING_KEY_FILE} is missing in {data_dir}: copy it from another manager, or demote and promote "
                "this node"
            )
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _draw_key(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise Unavailable(
            f"{SEALING_KEY_FILE} in {data_dir} is damaged: copy it from a backup or another manager; without it, what "
            "was sealed is lost, and once it is removed a new one is made"
        )
    return Sealer(key)


def _draw_key(path: Path) -> None:
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(AESGCM.generate_key(bit_length=8 * _KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(aside)
        except FileExistsError:
            return
    finally:
        aside.unlink()
