"""The store in etcd before real servers: hangs, restarts, several members, TLS, users."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aetcd import rpc
from support.certificates import Authority
from support.etcd import EtcdServer, free_port, start_members
from support.stores import BOUND, create, put, values, wait_until, watched

from manager.store.errors import HistoryGone
from manager.store.etcd import EtcdStore, open_etcd_store
from manager.store.port import Put, Store, Unit
from swarmpy.clock import SystemClock
from swarmpy.errors import BadRequest, Unavailable
from swarmpy.settings import EtcdSettings

pytestmark = pytest.mark.etcd

TIMEOUT = timedelta(seconds=1)
Open = Callable[[EtcdSettings], Coroutine[Any, Any, EtcdStore]]


@pytest.fixture
async def open_store() -> AsyncGenerator[Open, None]:
    stores: list[EtcdStore] = []

    async def opened(settings: EtcdSettings) -> EtcdStore:
        stores.append(await open_etcd_store(settings.model_copy(update={"timeout": TIMEOUT}), SystemClock()))
        return stores[-1]

    yield opened
    for store in stores:
        await store.close()


@pytest.fixture
def server() -> Iterator[EtcdServer]:
    """One that the test may harm."""
    with EtcdServer() as server:
        yield server


def at(*endpoints: str) -> EtcdSettings:
    return EtcdSettings(endpoints=endpoints)


async def answers(store: Store) -> bool:
    try:
        await store.load()
    except Unavailable:
        return False
    return True


# one server


async def test_stores_with_other_prefixes_are_invisible(etcd_server: EtcdServer, open_store: Open) -> None:
    ours, longer, theirs = [await open_store(etcd_server.settings(prefix)) for prefix in ("a", "a1", "b")]
    start = (await ours.load()).revision

    await longer.commit([create("x")])
    await theirs.commit([create("x")])
    (written,) = await ours.commit([create("x")])

    assert await values(ours) == {"x": "x"}
    assert await watched(ours, start, written.revision) == [written]


async def test_a_large_store_is_loaded_whole_at_one_revision(server: EtcdServer, open_store: Open) -> None:
    store, writer = await open_store(server.settings()), await open_store(server.settings())
    units = [create(f"tasks/{number:05}", "x" * 1_000) for number in range(12_000)]
    await store.commit([*units, create("configs/large", "x" * 1_400_000)])

    loading = asyncio.ensure_future(store.load())
    rewriting = asyncio.ensure_future(writer.commit([put(f"tasks/{number:05}", "new") for number in range(12_000)]))
    snapshot = await loading
    await rewriting

    assert len(snapshot.entries) == 12_001
    assert max(entry.modified for entry in snapshot.entries) <= snapshot.revision
    rewritten = sum(entry.value == b"new" for entry in snapshot.entries)
    told = await watched(store, snapshot.revision, (await store.load()).revision)
    assert sum(len(batch.changes) for batch in told) == 12_000 - rewritten


async def test_a_server_that_hangs_makes_calls_fail_in_time_and_serves_on_afterwards(
    server: EtcdServer, open_store: Open
) -> None:
    store = await open_store(server.settings())
    await store.commit([create("a")])

    server.pause()
    async with asyncio.timeout(TIMEOUT.total_seconds() + 1):
        with pytest.raises(Unavailable, match="could not commit: no answer in time"):
            await store.commit([create("b")])
    server.resume()

    assert "a" in await values(store)


async def test_a_store_outlives_its_server(server: EtcdServer, open_store: Open) -> None:
    store = await open_store(server.settings())
    (written,) = await store.commit([create("a")])

    async with asyncio.timeout(BOUND), aclosing(store.watch(written.revision)) as batches:
        await anext(batches)
        server.kill()
        with pytest.raises(Unavailable):
            await anext(batches)
    with pytest.raises(Unavailable, match="Connection refused"):
        await store.load()
    server.start()
    await wait_until(lambda: answers(store))
    (later,) = await store.commit([create("b")])

    assert await watched(store, written.revision, later.revision) == [later]


async def test_a_store_can_be_opened_before_its_server_is_there(open_store: Open) -> None:
    server = EtcdServer()
    try:
        store = await open_store(server.settings())
        with pytest.raises(Unavailable, match="No such file or directory"):
            await store.load()
        server.start()
        await wait_until(lambda: answers(store))
    finally:
        server.close()


async def test_a_server_that_lost_its_past_is_loaded_anew(open_store: Open) -> None:
    with EtcdServer() as restored:
        store = await open_store(restored.settings())
        with pytest.raises(HistoryGone, match="restored"):
            await watched(store, 1_000, 1_001)


async def test_a_load_that_a_compaction_overtakes_begins_again(server: EtcdServer, open_store: Open) -> None:
    store, writer = await open_store(server.settings()), await open_store(server.settings())
    await store.commit([create(f"tasks/{number:05}", "x" * 1_000) for number in range(6_000)])

    loading = asyncio.ensure_future(store.load())
    (written,) = await writer.commit([put("tasks/00000", "newer")])
    await writer.compact(written.revision + 1)

    assert len((await loading).entries) == 6_000


# several servers


@pytest.mark.parametrize("dead", [("unix:/nowhere/etcd",), ("127.0.0.1:1", "unix:/nowhere/etcd")], ids=len)
async def test_dead_endpoints_are_passed_over(etcd_server: EtcdServer, open_store: Open, dead: Sequence[str]) -> None:
    store = await open_store(at(*dead, etcd_server.endpoint))

    (written,) = await store.commit([create(f"only/{len(dead)}")])

    assert await watched(store, written.revision - 1, written.revision) == [written]


async def test_when_all_endpoints_are_dead_the_reason_names_one(open_store: Open) -> None:
    store = await open_store(at("127.0.0.1:1", "unix:/nowhere/etcd"))

    async with asyncio.timeout(TIMEOUT.total_seconds() + 1):
        with pytest.raises(Unavailable, match=r"etcd at .* could not load: "):
            await store.load()


@pytest.fixture
def members() -> Iterator[list[EtcdServer]]:
    members = start_members(3)
    yield members
    for member in members:
        member.close()


async def test_three_members_carry_on_as_two_and_not_as_one(members: list[EtcdServer], open_store: Open) -> None:
    store = await open_store(at(*(member.endpoint for member in members)))
    await store.commit([create("a")])

    members[0].kill()
    await wait_until(lambda: answers(store))
    (written,) = await store.commit([create("b")])
    assert await values(store) == {"a": "x", "b": "x"}

    async with asyncio.timeout(BOUND), aclosing(store.watch(written.revision)) as batches:
        await anext(batches)
        members[1].kill()
        # The one that is left answers on the wire, but it no longer knows what is true.
        with pytest.raises(Unavailable):
            await anext(batches)
    with pytest.raises(Unavailable):
        await store.load()

    members[1].start()
    await wait_until(lambda: answers(store))
    assert await values(store) == {"a": "x", "b": "x"}


async def test_a_member_that_hangs_is_passed_over(members: list[EtcdServer], open_store: Open) -> None:
    store = await open_store(at(*(member.endpoint for member in members)))
    await store.commit([create("a")])

    members[0].pause()
    # The first call may find out the hard way; and the others may have to elect a leader.
    with suppress(Unavailable):
        await store.commit([create("b")])
    await wait_until(lambda: answers(store))

    for _ in range(10):
        assert "a" in await values(store)


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls_server(authority: Authority) -> Iterator[EtcdServer]:
    pair = authority.issue("server")
    arguments = [f"--cert-file={pair.cert_file}", f"--key-file={pair.key_file}"]
    arguments += [f"--trusted-ca-file={authority.ca_file}", "--client-cert-auth"]
    with EtcdServer(port=free_port(), arguments=arguments) as server:
        yield server


async def test_with_certificates_both_sides_know_each_other(
    tls_server: EtcdServer, authority: Authority, open_store: Open
) -> None:
    pair = authority.issue("manager")
    store = await open_store(
        EtcdSettings(
            endpoints=(tls_server.endpoint,),
            ca_file=authority.ca_file,
            cert_file=pair.cert_file,
            key_file=pair.key_file,
        )
    )

    (written,) = await store.commit([create("a")])

    assert await values(store) == {"a": "x"}
    assert await watched(store, written.revision - 1, written.revision) == [written]


async def test_without_a_client_certificate_the_server_refuses(
    tls_server: EtcdServer, authority: Authority, open_store: Open
) -> None:
    store = await open_store(EtcdSettings(endpoints=(tls_server.endpoint,), ca_file=authority.ca_file))

    with pytest.raises(Unavailable):
        await store.load()


async def test_a_server_of_another_authority_is_refused(
    tls_server: EtcdServer, tmp_path: Path, open_store: Open
) -> None:
    stranger = Authority(tmp_path, "stranger")
    store = await open_store(EtcdSettings(endpoints=(tls_server.endpoint,), ca_file=stranger.ca_file))

    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await store.load()


async def test_a_certificate_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = EtcdSettings(endpoints=("127.0.0.1:1",), ca_file=tmp_path / "missing.crt")

    with pytest.raises(BadRequest, match=r"missing\.crt: No such file"):
        await open_etcd_store(settings, SystemClock())


# users


@pytest.fixture
async def guarded_server() -> AsyncGenerator[EtcdServer, None]:
    """Root may all, `swarmpy` may read and write below swarmpy/, each with the password `secret`."""
    with EtcdServer() as server:
        async with rpc.insecure_channel(server.endpoint) as channel:
            auth = rpc.AuthStub(channel)
            await auth.RoleAdd(rpc.AuthRoleAddRequest(name="manager"))
            below = rpc.Permission(permType=rpc.Permission.READWRITE, key=b"swarmpy/", range_end=b"swarmpy0")
            await auth.RoleGrantPermission(rpc.AuthRoleGrantPermissionRequest(name="manager", perm=below))
            for user, role in (("root", "root"), ("swarmpy", "manager")):
                await auth.UserAdd(rpc.AuthUserAddRequest(name=user, password="secret"))
                await auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user=user, role=role))
            await auth.AuthEnable(rpc.AuthEnableRequest())
        yield server


def as_user(server: EtcdServer, password: str = "secret", prefix: str = "swarmpy") -> EtcdSettings:
    return EtcdSettings(endpoints=(server.endpoint,), username="swarmpy", password=password, prefix=prefix)


async def test_a_user_reads_writes_watches_and_leases(guarded_server: EtcdServer, open_store: Open) -> None:
    store = await open_store(as_user(guarded_server))

    lease = await store.grant(timedelta(seconds=5))
    (written,) = await store.commit([Unit((Put("a", b"x", lease=lease),))])

    assert await store.keep_alive(lease) > timedelta(0)
    assert await watched(store, written.revision - 1, written.revision) == [written]
    assert await values(store) == {"a": "x"}


async def test_a_token_that_a_restart_made_worthless_is_renewed(guarded_server: EtcdServer, open_store: Open) -> None:
    store = await open_store(as_user(guarded_server))
    (written,) = await store.commit([create("a")])

    guarded_server.kill()
    guarded_server.start()
    await wait_until(lambda: answers(store))
    (later,) = await store.commit([create("b")])

    assert await watched(store, written.revision, later.revision) == [later]


async def test_the_first_call_after_a_change_of_users_may_be_a_write_or_a_watch(
    guarded_server: EtcdServer, open_store: Open
) -> None:
    admin = EtcdSettings(endpoints=(guarded_server.endpoint,), username="root", password="secret")
    writer, reader = await open_store(as_user(guarded_server)), await open_store(as_user(guarded_server))
    (first,) = await writer.commit([create("a")])
    await reader.load()

    await add_user(admin)
    (second,) = await writer.commit([create("b")])

    assert await watched(reader, first.revision, second.revision) == [second]


async def add_user(admin: EtcdSettings) -> None:
    async with rpc.insecure_channel(admin.endpoints[0]) as channel:
        auth = rpc.AuthStub(channel)
        login = await auth.Authenticate(rpc.AuthenticateRequest(name=admin.username, password=admin.password))
        await auth.UserAdd(rpc.AuthUserAddRequest(name="another", password="x"), metadata=(("token", login.token),))


async def test_a_wrong_password_is_named(guarded_server: EtcdServer, open_store: Open) -> None:
    store = await open_store(as_user(guarded_server, password="guess"))

    with pytest.raises(Unavailable, match="authentication failed"):
        await store.load()
    with pytest.raises(Unavailable, match="authentication failed"):
        await watched(store, 1, 1)


async def test_a_missing_permission_is_named(guarded_server: EtcdServer, open_store: Open) -> None:
    store = await open_store(as_user(guarded_server, prefix="elsewhere"))

    with pytest.raises(Unavailable, match="permission denied; grant"):
        await store.commit([create("a")])
    with pytest.raises(Unavailable, match="permission denied"):
        await watched(store, 1, 1)
