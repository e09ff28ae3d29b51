"""The key pair of this node's WireGuard device. The private half lies in the agent's folder and nowhere else: whoever
leaves a cluster loses it with that folder, and joins with a new one."""

from base64 import b64decode, b64encode
from binascii import Error
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from swarmpy.files import write_private


def public_key_of(key_file: Path) -> str:
    """Of the private key in that file, which is made when it is not there, or is none. Raises `OSError`."""
    key = _read(key_file)
    if key is None:
        key = X25519PrivateKey.generate()
        private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(key_file, b64encode(private) + b"\n")
    return b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def _read(key_file: Path) -> X25519PrivateKey | None:
    try:
        return X25519PrivateKey.from_private_bytes(b64decode(key_file.read_bytes(), validate=False))
    except (FileNotFoundError, Error, ValueError):
        return None
