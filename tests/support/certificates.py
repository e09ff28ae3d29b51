"""Throw-away certificates: a CA, and what it signs for a loopback server and its clients."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from swarmpy.clock import SystemClock


@dataclass(frozen=True)
class Pair:
    cert_file: Path
    key_file: Path


class Authority:
    """A CA whose files lie in `directory`."""

    def __init__(self, directory: Path, name: str = "test-ca") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        authority = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = self._signed(self._name, self._key.public_key(), authority)
        self.ca_file = directory / f"{name}.crt"
        self.ca_file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str) -> Pair:
        """For 127.0.0.1 as a server, and as the client `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(_named(name), key.public_key(), x509.BasicConstraints(ca=False, path_length=None))
        pair = Pair(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        pair.cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        pair.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pair

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, kind: x509.BasicConstraints
    ) -> x509.Certificate:
        now: datetime = SystemClock().now().astimezone(UTC)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(kind, critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        )
        if not kind.ca:
            builder = builder.add_extension(usage, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
