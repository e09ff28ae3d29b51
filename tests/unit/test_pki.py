import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from swarmpy.clock import SystemClock
from swarmpy.errors import BadRequest
from swarmpy.pki import (
    MANAGER_NAME,
    Authority,
    Credentials,
    Identity,
    digest_of,
    identity_of,
    new_key,
    request_for,
    to_der,
    validity_of,
)
from swarmpy.states import Role

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_certificate_says_who_its_holder_is_whatever_the_request_says() -> None:
    authority = Authority.create("c1", NOW)
    identity = Identity("n1", Role.WORKER, "c1")
    assert identity_of(to_der(authority.issue(request_for(new_key()), identity, NOW, DAY))) == identity


def test_a_certificate_lives_as_long_as_it_is_told_to() -> None:
    authority = Authority.create("c1", NOW)
    life = validity_of(authority.issue(request_for(new_key()), Identity("n1", Role.WORKER, "c1"), NOW, DAY))
    assert (life.issued, life.ends) == (NOW, NOW + DAY)
    assert life.renew_at(0.5) == NOW + DAY / 2


def test_a_certificate_of_etcd_is_no_identity_of_a_node() -> None:
    authority = Authority.create("c1", NOW)
    with pytest.raises(BadRequest):
        identity_of(to_der(authority.issue_for_etcd(request_for(new_key()), "10.0.0.1", NOW, DAY)))


def test_a_request_that_is_not_signed_with_its_own_key_is_refused() -> None:
    authority = Authority.create("c1", NOW)
    raw = bytearray(ssl.PEM_cert_to_DER_cert(request_for(new_key()).replace(" REQUEST", "")))
    raw[-1] ^= 1
    forged = ssl.DER_cert_to_PEM_cert(bytes(raw)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    for text in ("", "no request", forged, authority.certificate):
        with pytest.raises(BadRequest):
            authority.issue(text, Identity("n1", Role.WORKER, "c1"), NOW, DAY)


def test_the_digest_is_that_of_the_certificate() -> None:
    authority = Authority.create("c1", NOW)
    assert digest_of(authority.certificate) == authority.digest
    assert authority.digest != Authority.create("c1", NOW).digest
    assert authority.cluster_id == "c1"


class Desk:
    """Writes what an authority issues where TLS finds it, and lets two sides shake hands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = SystemClock().now()
        self.authority = Authority.create("c1", self.now)

    def credentials(self, name: str, role: Role, *, by: Authority | None = None, ended: bool = False) -> Credentials:
        authority = by or self.authority
        key = new_key()
        issued = self.now - DAY if ended else self.now
        certificate = authority.issue(request_for(key), Identity(name, role, "c1"), issued, DAY / 2)
        files = [self.folder / f"{name}.{kind}" for kind in ("ca", "crt", "key")]
        for file, text in zip(files, (self.authority.certificate, certificate, key), strict=True):
            file.write_text(text)
        return Credentials(*files)

    def shake_hands(self, server: Credentials, client: Credentials) -> Identity | None:
        """Who the server saw. Raises what the client was told."""
        ours, theirs = socket.socketpair()
        seen: list[bytes | None] = []

        def serve() -> None:
            try:
                with server.server_context().wrap_socket(ours, server_side=True) as wrapped:
                    wrapped.recv(1)
                    seen.append(wrapped.getpeercert(binary_form=True))
                    wrapped.send(b"y")
            except OSError:
                ours.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with client.client_context().wrap_socket(theirs, server_hostname=MANAGER_NAME) as wrapped:
                wrapped.send(b"x")
                if not wrapped.recv(1):
                    raise ssl.SSLError("refused")
        finally:
            theirs.close()
            thread.join(10)
        return identity_of(seen[0]) if seen and seen[0] else None


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_manager_sees_who_connects(desk: Desk) -> None:
    server, client = desk.credentials("m1", Role.MANAGER), desk.credentials("w1", Role.WORKER)
    assert desk.shake_hands(server, client) == Identity("w1", Role.WORKER, "c1")


def test_a_worker_cannot_pass_for_a_manager(desk: Desk) -> None:
    with pytest.raises(ssl.SSLError):
        desk.shake_hands(desk.credentials("w1", Role.WORKER), desk.credentials("w2", Role.WORKER))


def test_the_certificate_of_another_cluster_is_refused_on_both_sides(desk: Desk) -> None:
    foreign = Authority.create("c2", desk.now)
    manager, stranger = desk.credentials("m1", Role.MANAGER), desk.credentials("x1", Role.MANAGER, by=foreign)
    with pytest.raises(OSError):
        desk.shake_hands(manager, stranger)
    with pytest.raises(ssl.SSLError):
        desk.shake_hands(stranger, manager)


def test_a_certificate_that_has_ended_is_refused(desk: Desk) -> None:
    manager, late = desk.credentials("m1", Role.MANAGER), desk.credentials("w1", Role.WORKER, ended=True)
    with pytest.raises(OSError):
        desk.shake_hands(manager, late)
