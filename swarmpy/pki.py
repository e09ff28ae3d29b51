"""Keys and certificates: who a node is, proved. Knows no files and no policy; times are arguments.

Every certificate is signed by the cluster's one CA. A node's names the cluster (O), its role (OU) and its id (CN). A
manager's carries the name `swarmpy-manager` too, and only such a one may serve: clients ask for that name, so a worker
cannot pass for a manager. etcd's members know each other by the CN `swarmpy-etcd`, which only managers are given.
"""

import hashlib
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from swarmpy.errors import BadRequest
from swarmpy.states import Role
from swarmpy.tokens import ca_digest

MANAGER_NAME = "swarmpy-manager"
ETCD_NAME = "swarmpy-etcd"
_UNITS = {Role.MANAGER: MANAGER_NAME, Role.WORKER: "swarmpy-worker"}
_ROLES = {unit: role for role, unit in _UNITS.items()}
# Clocks of machines differ: a fresh certificate is valid from a while ago.
_SKEW = timedelta(hours=1)
# What lies in a node's identity folder.
CA_FILE, CERT_FILE, KEY_FILE = "ca.pem", "node.pem", "node.key"
# The first node's, until the store has it.
CA_KEY_FILE = "ca.key"
CA_LIFETIME = timedelta(days=20 * 365)
# A certificate's, unless the operators choose another.
CERTIFICATE_LIFETIME = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate says its holder is."""

    node_id: str
    role: Role
    cluster_id: str


def new_key() -> str:
    """A private key (P-256), PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def request_for(key: str) -> str:
    """A signing request that proves possession of the key; names in it mean nothing, the CA gives them."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(_key(key), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def identity_of(certificate: bytes) -> Identity:
    """Of a node's certificate, DER. Raises `BadRequest` for any other certificate, signed or not."""
    subject = x509.load_der_x509_certificate(certificate).subject
    node_id, unit, cluster_id = (
        _attribute(subject, oid)
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME)
    )
    if not node_id or unit not in _ROLES:
        raise BadRequest("this certificate names no node of a cluster")
    return Identity(node_id, _ROLES[unit], cluster_id)


@dataclass(frozen=True, slots=True)
class Validity:
    """When a certificate was issued and when it ends."""

    issued: datetime
    ends: datetime

    def renew_at(self, share: float) -> datetime:
        """When that share of its life, 0 to 1, is over."""
        return self.issued + share * (self.ends - self.issued)


def validity_of(pem: str) -> Validity:
    """Raises `ValueError` for what is no certificate."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return Validity(certificate.not_valid_before_utc + _SKEW, certificate.not_valid_after_utc)


def only_certificate(pem: str) -> str:
    """The first certificate of a text, and nothing that stands behind it. Raises `ValueError` when there is none."""
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.PEM).decode()


def digest_of(pem: str) -> str:
    """Of a CA, as join tokens carry it. Raises `ValueError` for what is no certificate."""
    return ca_digest(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER))


def key_digest_of(request: str) -> str:
    """Names the key that a signing request is for: SHA-256 of its public half, hex. Raises `BadRequest`."""
    public = _public_key_of(request).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


def to_der(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


class Authority:
    """The CA of one cluster."""

    def __init__(self, certificate: str, key: str) -> None:
        self.certificate = certificate
        self.key = key
        self._certificate = x509.load_pem_x509_certificate(certificate.encode())
        self._key = _key(key)

    @classmethod
    def create(cls, cluster_id: str, now: datetime) -> "Authority":
        key = new_key()
        private = _key(key)
        name = _name(CN="swarmpy-ca", O=cluster_id)
        builder = _builder(name, name, private.public_key(), now - _SKEW, now + CA_LIFETIME)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
            .sign(private, hashes.SHA256())
        )
        return cls(certificate.public_bytes(Encoding.PEM).decode(), key)

    @property
    def digest(self) -> str:
        return ca_digest(self._certificate.public_bytes(Encoding.DER))

    @property
    def cluster_id(self) -> str:
        return _attribute(self._certificate.subject, NameOID.ORGANIZATION_NAME)

    def issue(self, request: str, identity: Identity, now: datetime, lifetime: timedelta) -> str:
        """A node's certificate for the key of the request. Raises `BadRequest` for a bad request."""
        names = [identity.node_id]
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if identity.role is Role.MANAGER:
            names.append(MANAGER_NAME)
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        subject = _name(CN=identity.node_id, OU=_UNITS[identity.role], O=identity.cluster_id)
        return self._sign(request, subject, [x509.DNSName(name) for name in names], usages, now, lifetime)

    def issue_for_etcd(self, request: str, host: str, now: datetime, lifetime: timedelta) -> str:
        """A certificate for the member of etcd at `host`: etcd compares it with where a connection comes from."""
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        subject = _name(CN=ETCD_NAME, O=self.cluster_id)
        return self._sign(request, subject, [_general_name(host)], usages, now, lifetime)

    def _sign(
        self,
        request: str,
        subject: x509.Name,
        names: list[x509.GeneralName],
        usages: list[x509.ObjectIdentifier],
        now: datetime,
        lifetime: timedelta,
    ) -> str:
        public = _public_key_of(request)
        end = min(now + lifetime, self._certificate.not_valid_after_utc)
        builder = _builder(subject, self._certificate.subject, public, now - _SKEW, end)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM).decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a process finds the cluster's CA, its own certificate and its key."""

    ca_file: Path
    cert_file: Path
    key_file: Path

    @classmethod
    def of(cls, folder: Path) -> "Credentials":
        """Those of a node, in its identity folder."""
        return cls(folder / CA_FILE, folder / CERT_FILE, folder / KEY_FILE)

    def client_context(self) -> ssl.SSLContext:
        """Towards managers, read anew at each call, so that a renewed certificate is used: connect with the server
        name `MANAGER_NAME`. Raises `OSError` (`ssl.SSLError` among them) when a file cannot be used."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.cert_file, self.key_file)
        return context

    def server_context(self) -> ssl.SSLContext:
        """For port 2377: asks every client for a certificate. One that shows none may only ask to join."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), begin, end)


def _key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadRequest("the private key is of another kind than swarmpy makes (P-256)")
    return key


def _public_key_of(request: str) -> ec.EllipticCurvePublicKey:
    try:
        parsed = x509.load_pem_x509_csr(request.encode())
        key = parsed.public_key()
        is_proved = parsed.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadRequest("the certificate request cannot be read: it must be a PEM signing request") from error
    if not is_proved or not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise BadRequest("the certificate request must be signed with its own P-256 key")
    return key


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(*, CN: str, O: str, OU: str = "") -> x509.Name:  # noqa: E741
    parts = [(NameOID.ORGANIZATION_NAME, O), (NameOID.ORGANIZATIONAL_UNIT_NAME, OU), (NameOID.COMMON_NAME, CN)]
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts if text])


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    values = name.get_attributes_for_oid(oid)
    return str(values[0].value) if values else ""


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
