"""The node's identity folder: who it is, and the proof. Written file by file, each whole or not at all.

Owns the files. What is in them the managers decide; the first node decides for itself, for nobody else is there.
"""

import shutil
from datetime import datetime
from pathlib import Path

from swarmpy.errors import BadRequest
from swarmpy.files import write_private
from swarmpy.pki import (
    CA_FILE,
    CA_KEY_FILE,
    CERT_FILE,
    CERTIFICATE_LIFETIME,
    KEY_FILE,
    Authority,
    Credentials,
    Identity,
    Validity,
    identity_of,
    new_key,
    request_for,
    to_der,
    validity_of,
)
from swarmpy.states import Role

ETCD_CERT_FILE, ETCD_KEY_FILE = "etcd.pem", "etcd.key"


class IdentityFolder:
    """`exists` once the node is a member: the certificate is written last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.credentials = Credentials.of(folder)
        self.etcd_cert_file = folder / ETCD_CERT_FILE
        self.etcd_key_file = folder / ETCD_KEY_FILE

    @property
    def exists(self) -> bool:
        return (self.folder / CERT_FILE).exists()

    def read(self) -> Identity:
        """What the certificate says. Raises `BadRequest` when it cannot be read."""
        try:
            return identity_of(to_der(self._text(CERT_FILE)))
        except ValueError as error:
            raise self._damaged(CERT_FILE) from error

    def validity(self) -> Validity:
        try:
            return validity_of(self._text(CERT_FILE))
        except ValueError as error:
            raise self._damaged(CERT_FILE) from error

    def ca_certificate(self) -> str:
        return self._text(CA_FILE)

    def request(self) -> str:
        """For a certificate of the node's own key, which is drawn on first use and kept."""
        return self._request(KEY_FILE)

    def etcd_request(self) -> str:
        return self._request(ETCD_KEY_FILE)

    def trust(self, ca_certificate: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.folder / CA_FILE, ca_certificate)

    def accept(self, certificate: str) -> None:
        """From now on the node is what the certificate says."""
        write_private(self.folder / CERT_FILE, certificate)

    def accept_for_etcd(self, certificate: str) -> None:
        write_private(self.etcd_cert_file, certificate)

    def found(self, cluster_id: str, node_id: str, host: str, now: datetime) -> None:
        """Make a cluster of this node: a CA, and a manager's certificates signed with it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = Authority.create(cluster_id, now)
        self.trust(authority.certificate)
        write_private(self.folder / CA_KEY_FILE, authority.key)
        self.accept_for_etcd(authority.issue_for_etcd(self.etcd_request(), host, now, CERTIFICATE_LIFETIME))
        identity = Identity(node_id, Role.MANAGER, cluster_id)
        self.accept(authority.issue(self.request(), identity, now, CERTIFICATE_LIFETIME))

    def drop_etcd(self) -> None:
        for file in (self.etcd_cert_file, self.etcd_key_file):
            file.unlink(missing_ok=True)

    def remove(self) -> None:
        """The certificate goes first: without it, nothing else here makes the node a member."""
        (self.folder / CERT_FILE).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _request(self, key_name: str) -> str:
        try:
            return request_for(self._key(key_name))
        except ValueError as error:
            raise self._damaged(key_name) from error

    def _damaged(self, name: str) -> BadRequest:
        return BadRequest(f"{self.folder / name} is damaged: restore it, or `swarmpy leave --force` and join again")

    def _key(self, name: str) -> str:
        if not (self.folder / name).exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self.folder / name, new_key())
        return self._text(name)

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text()
        except OSError as error:
            raise BadRequest(f"cannot read {self.folder / name}: {error.strerror}") from error
