"""Which etcd a node runs, and how."""

from itertools import pairwise
from pathlib import Path

import pytest

from swarmpy.errors import BadRequest
from swarmpy.node.etcd import EtcdBinary, check_release, etcd_command, parse_version

DATA = Path("/data")


def etcd(version: tuple[int, int, int]) -> EtcdBinary:
    return EtcdBinary(Path("/usr/bin/etcd"), version)


def test_the_version_is_read_from_what_etcd_prints() -> None:
    assert parse_version("etcd Version: 3.5.16\nGit SHA: abc\n") == (3, 5, 16)


def test_something_that_is_no_etcd_is_refused() -> None:
    with pytest.raises(BadRequest, match="cannot read etcd's version from 'hello'"):
        parse_version("hello\n")


@pytest.mark.parametrize(
    ("version", "risky"),
    [((3, 4, 23), False), ((3, 5, 0), True), ((3, 5, 2), True), ((3, 5, 3), False), ((3, 6, 0), False)],
)
def test_releases_that_can_corrupt_data_check_it_at_start(version: tuple[int, int, int], risky: bool) -> None:
    assert etcd(version).may_corrupt is risky
    assert ("--experimental-initial-corrupt-check" in etcd_command(etcd(version), DATA, "client.sock:1")) is risky


def test_etcd_listens_on_unix_sockets_alone() -> None:
    command = etcd_command(etcd((3, 4, 23)), DATA, "client.sock:1")
    listening = [value for option, value in pairwise(command) if option.startswith("--listen")]
    assert listening
    assert all(url.startswith("unix://") for url in listening)


def test_data_of_a_later_release_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        BadRequest, match=r"written by etcd 3\.5, and /usr/bin/etcd is 3\.4\.23: install etcd 3\.5 or later"
    ):
        check_release(etcd((3, 4, 23)), (3, 5), DATA)


@pytest.mark.parametrize("written_by", [None, (3, 4), (3, 5)])
def test_data_of_the_same_or_an_earlier_release_is_opened(written_by: tuple[int, int] | None) -> None:
    check_release(etcd((3, 5, 16)), written_by, DATA)
