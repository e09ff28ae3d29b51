"""The cluster's port: who is seen there, who is refused, and how its certificate is renewed. Real sockets."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.node_certificates import ClusterCa
from support.tls_port import BOUND, TlsPort, stranger, tls_port
from websockets.exceptions import InvalidStatus

from manager.peer import HttpOfPeer
from manager.tls import ServerTls
from swarmpy.clock import ManualClock
from swarmpy.pki import Credentials, Identity, to_der
from swarmpy.states import Role


@pytest.fixture
def ca(tmp_path: Path) -> ClusterCa:
    return ClusterCa(tmp_path)


@pytest.fixture
def silent(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing is printed meanwhile, and no logger has more to say than what one sees who debugs."""
    with caplog.at_level(logging.INFO):
        yield
        said = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
        assert said == []
        assert "".join(capfd.readouterr()) == ""


# who is seen


@pytest.mark.parametrize("role", list(Role))
async def test_a_request_carries_who_sent_it(ca: ClusterCa, role: Role) -> None:
    async with tls_port(ca.manager("m1")) as port:
        answer = await port.get("/who", ca.node("n1", role).client_context())

    assert answer == (200, repr(Identity("n1", role, "cluster1")))


async def test_a_websocket_carries_who_opened_it(ca: ClusterCa) -> None:
    async with (
        tls_port(ca.manager("m1")) as port,
        port.websocket("/who", ca.worker("n1").client_context()) as socket,
    ):
        await socket.send("?")
        assert await socket.recv() == repr(Identity("n1", Role.WORKER, "cluster1"))


async def test_who_shows_no_certificate_is_nobody(ca: ClusterCa) -> None:
    async with tls_port(ca.manager("m1")) as port:
        assert await port.get("/who", stranger(ca.ca_file)) == (200, "None")
        async with port.websocket("/who", stranger(ca.ca_file)) as socket:
            await socket.send("?")
            assert await socket.recv() == "None"


# who is refused


async def test_a_certificate_that_names_no_node_is_refused(ca: ClusterCa) -> None:
    context = ca.etcd().client_context()
    async with tls_port(ca.manager("m1")) as port:
        status, body = await port.get("/who", context)
        with pytest.raises(InvalidStatus, match="403"):
            async with port.websocket("/who", context):
                pass

    assert status == 403
    assert "names no node" in body


@pytest.mark.usefixtures("silent")
async def test_the_certificate_of_another_cluster_is_refused_without_noise(ca: ClusterCa, tmp_path: Path) -> None:
    other = ClusterCa(tmp_path, "cluster2")
    disguised = Credentials(ca.ca_file, *_pair(other.manager("m1")))
    async with tls_port(ca.manager("m1")) as port:
        await _refuses(port, disguised)


@pytest.mark.usefixtures("silent")
async def test_a_certificate_whose_time_is_over_is_refused_without_noise(ca: ClusterCa) -> None:
    async with tls_port(ca.manager("m1")) as port:
        await _refuses(port, ca.node("n1", Role.WORKER, ended=True))


@pytest.mark.usefixtures("silent")
async def test_plain_http_is_refused_without_noise(ca: ClusterCa) -> None:
    async with tls_port(ca.manager("m1")) as port:
        said = await port.say(b"GET /who HTTP/1.1\r\nHost: manager\r\n\r\n")
        await _still_serves(port, ca)

    assert b"HTTP" not in said
    assert port.faults == []


@pytest.mark.usefixtures("silent")
async def test_who_hangs_up_in_the_middle_of_the_handshake_does_no_harm(ca: ClusterCa) -> None:
    async with tls_port(ca.manager("m1")) as port:
        for first_bytes in (b"", b"\x16\x03\x01\x02\x00\x01"):
            _, writer = await asyncio.open_connection("127.0.0.1", port.number)
            writer.write(first_bytes)
            writer.transport.abort()
        await _still_serves(port, ca)

    assert port.faults == []


@pytest.mark.usefixtures("silent")
async def test_who_never_finishes_the_handshake_is_cut(ca: ClusterCa) -> None:
    class Impatient(ServerTls):
        HANDSHAKE_WITHIN = 0.2

    credentials = ca.manager("m1")
    async with tls_port(credentials, tls=Impatient(credentials)) as port:
        waiting = asyncio.create_task(port.say(b"\x16\x03\x01\x02\x00\x01"))
        await _still_serves(port, ca)

        assert await waiting == b""
        assert port.faults == []


@pytest.mark.parametrize("half", [b"", b"GET /who HTTP/1.1\r\nHost: man"])
async def test_who_shows_no_certificate_and_asks_nothing_is_cut(ca: ClusterCa, half: bytes) -> None:
    async with tls_port(ca.manager("m1"), protocol=_Impatient) as port:
        assert await port.say_in_tls(half, stranger(ca.ca_file)) == b""


async def test_a_request_that_never_ends_its_headers_is_cut(ca: ClusterCa) -> None:
    async with tls_port(ca.manager("m1")) as port:
        endless = b"GET /who HTTP/1.1\r\n" + b"a: b\r\n" * 100_000
        assert await port.say_in_tls(endless, stranger(ca.ca_file)) == b""
        assert port.faults == []


class _Impatient(HttpOfPeer):
    NOBODY_ASKS_WITHIN = 0.3


# renewal


async def test_a_renewed_certificate_is_shown_to_new_clients_and_old_connections_live_on(ca: ClusterCa) -> None:
    context = ca.worker("n1").client_context()
    clock = ManualClock()
    async with tls_port(ca.manager("m1")) as port, port.websocket("/who", context) as socket:
        before = await port.certificate_shown(context)
        following = asyncio.create_task(port.tls.follow(clock))
        renewed = ca.manager("m1")
        shown = await _shown_next(port, clock, ca, before)

        assert shown == to_der(renewed.cert_file.read_text())
        await socket.send("?")
        assert "n1" in str(await asyncio.wait_for(socket.recv(), BOUND))
        following.cancel()


async def test_half_a_pair_changes_nothing_is_told_once_and_tried_again(
    ca: ClusterCa, capsys: pytest.CaptureFixture[str]
) -> None:
    context = ca.worker("n1").client_context()
    clock = ManualClock()
    async with tls_port(ca.manager("m1")) as port:
        before = await port.certificate_shown(context)
        following = asyncio.create_task(port.tls.follow(clock))
        credentials = ca.manager("m1")
        key = credentials.key_file.read_text()
        credentials.key_file.write_text(key[: len(key) // 2])
        for _ in range(3):
            await _pass(clock)
        assert await port.certificate_shown(context) == before

        credentials.key_file.unlink()
        await _pass(clock)
        assert await port.certificate_shown(context) == before

        credentials.key_file.write_text(key)
        assert await _shown_next(port, clock, ca, before) == to_der(credentials.cert_file.read_text())
        following.cancel()

    said = capsys.readouterr()
    assert (said.out + said.err).count("tls.certificate_unusable") == 1


async def test_a_key_of_another_certificate_changes_nothing(ca: ClusterCa) -> None:
    context = ca.worker("n1").client_context()
    credentials = ca.manager("m1")
    async with tls_port(credentials) as port:
        before = await port.certificate_shown(context)
        key = credentials.key_file.read_text()
        ca.manager("m1").key_file.write_text(key)
        with pytest.raises(OSError, match=r"(?i)mismatch"):
            port.tls.reload()

        assert await port.certificate_shown(context) == before


def _pair(credentials: Credentials) -> tuple[Path, Path]:
    return credentials.cert_file, credentials.key_file


async def _refuses(port: TlsPort, credentials: Credentials) -> None:
    # A server of TLS 1.3 refuses after the client's last word in the handshake: it is heard at the first read.
    with pytest.raises(OSError, match=r"(?i)alert|reset|closed"):
        await port.get("/who", credentials.client_context())
    assert port.faults == []


async def _still_serves(port: TlsPort, ca: ClusterCa) -> None:
    assert await port.get("/who", stranger(ca.ca_file)) == (200, "None")


async def _pass(clock: ManualClock) -> None:
    """One look at the files."""
    async with asyncio.timeout(BOUND):
        while clock.next_wake() is None:
            await asyncio.sleep(0)
    clock.advance(timedelta(seconds=5))


async def _shown_next(port: TlsPort, clock: ManualClock, ca: ClusterCa, before: bytes) -> bytes:
    """The first certificate that is another than before."""
    async with asyncio.timeout(BOUND):
        while (shown := await port.certificate_shown(stranger(ca.ca_file))) == before:
            await _pass(clock)
    return shown
