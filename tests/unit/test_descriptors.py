"""Descriptors that a process leaves to the next one: real sockets, sent to a real store and taken from it again."""

import os
import shutil
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.addresses import UDP, is_free
from support.waits import until

from agent.descriptors import Heirlooms, heirlooms_of
from swarmpy.descriptors import GIVEN, LONGEST_NAME, MOST, NOTIFY_SOCKET, Forget, Keep, given, read, told, written
from swarmpy.node.descriptor_store import DescriptorStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DescriptorStore]:
    """Of which this very process is the child."""
    made = DescriptorStore(tmp_path / "agent" / "notify.sock", most=4)
    made.listen_to(os.getpid())
    yield made
    made.close()


@contextmanager
def next_process(store: DescriptorStore) -> Iterator[Heirlooms]:
    """What one that starts now has; it gets copies, as by inheritance."""
    store.pause()
    variables = store.variables | {GIVEN: told({name: os.dup(number) for name, number in store.kept.items()})}
    store.listen_to(os.getpid())
    with closing(heirlooms_of(variables)) as heirlooms:
        yield heirlooms


def a_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def sender_to(store: DescriptorStore) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.connect(store.variables[NOTIFY_SOCKET])
    return made


@pytest.mark.parametrize("wish", [Keep("dns/front/udp"), Forget("dns/front/tcp"), Keep("x" * LONGEST_NAME)])
def test_a_wish_is_read_as_it_was_written(wish: Keep | Forget) -> None:
    assert read(written(wish)) == wish


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b"READY=1", b"FDSTORE=1", b"FDNAME=a", b"FDSTORE=0\nFDNAME=a", b"FDSTORE=1\nFDNAME=a:b", b"\xff\xfe"),
        *(b"FDSTORE=1\nFDNAME=" + b"x" * (LONGEST_NAME + 1), b"FDSTORE=1\nFDNAME=a b", b"FDSTORE=1\nFDNAME=a=3"),
    ],
)
def test_what_is_no_wish_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(message)


@given_any(st.binary(max_size=80))
def test_any_bytes_are_a_wish_or_refused(message: bytes) -> None:
    with suppress(ValueError):
        assert read(written(read(message))) == read(message)


def test_the_variable_tells_what_it_was_told_and_is_gone_then() -> None:
    variables = {GIVEN: told({"dns/front/udp": 5, "dns/front/tcp": 17}), "PATH": "/bin"}
    assert given(variables) == {"dns/front/udp": 5, "dns/front/tcp": 17}
    assert variables == {"PATH": "/bin"}
    assert given(variables) == given({GIVEN: "nonsense x= =4x y=-1"}) == {}


def test_the_kernel_takes_the_variable_at_its_longest() -> None:
    names = [str(number).rjust(LONGEST_NAME, "x") for number in range(MOST)]
    assert len(f"{GIVEN}={told(dict.fromkeys(names, 99_999))}") < 128 * 1024


async def test_the_next_process_has_the_socket_and_what_came_meanwhile(store: DescriptorStore) -> None:
    with a_socket() as first, next_process(store) as heirlooms:
        address = first.getsockname()
        heirlooms.keep("dns/front/udp", first)
    # Said before the end, and heard before the next start.
    with next_process(store) as heirlooms, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.sendto(b"are you there?", address)
        with taken(heirlooms, "dns/front/udp") as second:
            assert second.recv(100) == b"are you there?"
        assert not heirlooms.left()
    assert set(store.kept) == {"dns/front/udp"}


async def test_an_address_is_free_again_once_it_is_forgotten(store: DescriptorStore) -> None:
    with next_process(store) as heirlooms:
        with a_socket() as one:
            address = one.getsockname()
            heirlooms.keep("one", one)
        await until(lambda: "one" in store.kept)
        assert not is_free(*address, UDP)
        heirlooms.forget("one")
        await until(lambda: not store.kept)
    assert is_free(*address, UDP)


async def test_one_that_was_left_and_is_forgotten_is_closed_on_both_sides(store: DescriptorStore) -> None:
    with a_socket() as one, next_process(store) as heirlooms:
        address = one.getsockname()
        heirlooms.keep("one", one)
    with next_process(store) as heirlooms:
        heirlooms.forget("one")
        await until(lambda: not store.kept)
        assert is_free(*address, UDP)


async def test_the_newer_one_of_a_name_takes_the_place_of_the_older(store: DescriptorStore) -> None:
    with a_socket() as old, a_socket() as new:
        with next_process(store) as heirlooms:
            heirlooms.keep("one", old)
            heirlooms.keep("one", new)
        with next_process(store) as heirlooms, taken(heirlooms, "one") as found:
            assert found.getsockname() == new.getsockname()
    assert len(store.kept) == 1


async def test_what_is_more_than_the_bound_is_closed_and_said_once(store: DescriptorStore) -> None:
    before = open_descriptors()
    with capture_logs() as said, a_socket() as one, next_process(store) as heirlooms:
        for number in range(20):
            heirlooms.keep(str(number), one)
        await until(lambda: len(said) == 1)
        store.pause()
    assert sorted(store.kept) == ["0", "1", "2", "3"]
    assert said[0]["event"] == "descriptors.too_many"
    assert open_descriptors() - before == 4


async def test_more_than_the_queue_takes_is_said_in_time(tmp_path: Path) -> None:
    store = DescriptorStore(tmp_path / "agent" / "notify.sock", most=400)
    with a_socket() as one, closing(heirlooms_of(store.variables)) as heirlooms:
        for number in range(700):
            heirlooms.keep(str(number), one)
        for number in range(0, 700, 2):
            heirlooms.forget(str(number))
        store.listen_to(os.getpid())
        await until(lambda: len(store.kept) == 350 and "699" in store.kept and "698" not in store.kept)
    store.close()


async def test_what_is_said_again_comes_after_what_was_said_meanwhile(tmp_path: Path) -> None:
    store = DescriptorStore(tmp_path / "agent" / "notify.sock", most=1)
    with a_socket() as one, closing(heirlooms_of(store.variables)) as heirlooms:
        # As much as the queue takes, so that all that follows waits.
        for number in range(700):
            heirlooms.forget(str(number))
        heirlooms.forget("one")
        heirlooms.keep("two", one)
        heirlooms.keep("one", one)
        heirlooms.forget("last")
        store.listen_to(os.getpid())
        with capture_logs() as said:
            await until(lambda: len(said) == 1)
    assert set(store.kept) == {"two"}
    store.close()


async def test_a_descriptor_that_comes_with_what_is_to_be_forgotten_is_closed(store: DescriptorStore) -> None:
    with a_socket() as one, sender_to(store) as sender, next_process(store) as heirlooms:
        heirlooms.keep("one", one)
        await until(lambda: "one" in store.kept)
        before = open_descriptors()
        socket.send_fds(sender, [written(Forget("one"))], [one.fileno()])
        await until(lambda: not store.kept)
        assert open_descriptors() == before - 1


@pytest.mark.parametrize("message", [b"READY=1", b"\xff", b"FDSTORE=1\nFDNAME=a", b"FDSTORE=1\nFDNAME=a\n" * 20])
async def test_a_broken_message_is_said_and_leaves_nothing_open(store: DescriptorStore, message: bytes) -> None:
    with capture_logs() as said, sender_to(store) as sender, a_socket() as one:
        before = open_descriptors()
        socket.send_fds(sender, [message], [one.fileno(), one.fileno()])
        await until(lambda: len(said) == 1)
        assert open_descriptors() == before
    assert said[0]["event"] == "descriptors.not_understood"
    assert not store.kept


async def test_nobody_but_the_child_is_heard(store: DescriptorStore) -> None:
    store.pause()
    store.listen_to(os.getpid() + 1)
    with capture_logs() as said, sender_to(store) as sender, a_socket() as one:
        socket.send_fds(sender, [written(Keep("one"))], [one.fileno()])
        await until(lambda: len(said) == 1)
    assert "is not the child" in said[0]["reason"]
    assert not store.kept


async def test_only_its_user_reaches_the_store_and_it_is_gone_afterwards(tmp_path: Path) -> None:
    place = tmp_path / "agent" / "notify.sock"
    store = DescriptorStore(place)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (place.parent, place)] == [0o700, 0o600]
    with a_socket() as one, next_process(store) as heirlooms:
        address = one.getsockname()
        heirlooms.keep("one", one)
        await until(lambda: "one" in store.kept)
        assert not any(map(os.get_inheritable, store.kept.values()))
    assert not is_free(*address, UDP)
    store.close()
    assert not place.exists()
    assert is_free(*address, UDP)


async def test_a_supervisor_that_is_gone_harms_nobody(store: DescriptorStore) -> None:
    with capture_logs() as said, a_socket() as one, next_process(store) as heirlooms:
        store.close()
        heirlooms.keep("one", one)
        heirlooms.forget("one")
    assert [line["event"] for line in said] == ["descriptors.not_kept"] * 2


def test_without_a_supervisor_nothing_is_left_or_kept(tmp_path: Path) -> None:
    with a_socket() as one:
        for variables in ({}, {NOTIFY_SOCKET: str(tmp_path / "none")}):
            with closing(heirlooms_of(variables)) as heirlooms:
                heirlooms.keep("one", one)
                heirlooms.forget("two")
                assert heirlooms.take("one") is None
            assert variables == {}


def test_what_was_left_is_there_even_if_the_supervisor_cannot_be_told(tmp_path: Path) -> None:
    with a_socket() as one, a_socket() as two, a_socket() as three:
        left = {name: os.dup(each.fileno()) for name, each in (("one", one), ("two", two), ("three", three))}
        addresses = [each.getsockname() for each in (two, three)]
        gone = os.dup(one.fileno())
        os.close(gone)
    variables = {NOTIFY_SOCKET: str(tmp_path / "none"), GIVEN: told({"gone": gone, **left})}
    with closing(heirlooms_of(variables)) as heirlooms:
        assert heirlooms.left() == {"one", "two", "three"}
        assert not any(map(os.get_inheritable, left.values()))
        with taken(heirlooms, "one"):
            heirlooms.forget("two")
        assert heirlooms.left() == {"three"}
    assert all(is_free(*address, UDP) for address in addresses)


@pytest.mark.parametrize("is_replaced", [False, True], ids=["gone", "another's"])
async def test_a_place_that_was_lost_is_made_anew_for_the_next_process(
    store: DescriptorStore, is_replaced: bool
) -> None:
    place = Path(store.variables[NOTIFY_SOCKET])
    with a_socket() as one, a_socket() as two, next_process(store) as heirlooms:
        heirlooms.keep("one", one)
        shutil.rmtree(place.parent)
        if is_replaced:
            place.parent.mkdir()
            place.touch()
        heirlooms.keep("two", two)
    with a_socket() as three, next_process(store) as heirlooms:
        assert heirlooms.left() == {"one", "two"}
        heirlooms.keep("three", three)
        await until(lambda: set(store.kept) == {"one", "two", "three"})
    assert [stat.S_IMODE(path.stat().st_mode) for path in (place.parent, place)] == [0o700, 0o600]


async def test_a_place_that_cannot_be_made_anew_is_said_and_what_is_kept_stays(store: DescriptorStore) -> None:
    place = Path(store.variables[NOTIFY_SOCKET])
    with a_socket() as one, next_process(store) as heirlooms:
        heirlooms.keep("one", one)
    store.pause()
    shutil.rmtree(place.parent)
    place.parent.touch()
    with capture_logs() as said, next_process(store) as heirlooms:
        assert heirlooms.left() == {"one"}
    assert {line["event"] for line in said} == {"descriptors.not_kept"}
    place.parent.unlink()


@contextmanager
def taken(heirlooms: Heirlooms, name: str) -> Iterator[socket.socket]:
    left = heirlooms.take(name)
    assert left is not None
    with socket.socket(fileno=left) as found:
        yield found


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
