"""Which etcd a node runs, and how."""

from itertools import pairwise
from pathlib import Path

import pytest

from swarmpy.errors import BadRequest
from swarmpy.node.etcd import EtcdBinary, EtcdMember, check_many_members, check_release, etcd_command, parse_version

DATA = Path("/data")
MEMBER = EtcdMember(
    name="n1",
    data_dir=DATA,
    peer_url="https://10.0.0.1:2380",
    listen_peer="https://0.0.0.0:2380",
    initial_cluster=(("n1", "https://10.0.0.1:2380"),),
    is_new_cluster=True,
    ca_file=Path("/ca"),
    cert_file=Path("/cert"),
    key_file=Path("/key"),
)


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
    assert ("--experimental-initial-corrupt-check" in etcd_command(etcd(version), MEMBER, "client.sock:1")) is risky


def test_clients_reach_etcd_by_its_socket_alone_and_members_by_tls() -> None:
    options = dict(pairwise(etcd_command(etcd((3, 4, 23)), MEMBER, "client.sock:1")))
    urls = {option: value for option, value in options.items() if option.startswith("--listen")}
    assert urls == {"--listen-client-urls": "unix://client.sock:1", "--listen-peer-urls": "https://0.0.0.0:2380"}
    assert options["--peer-cert-allowed-cn"] == "swarmpy-etcd"


def test_releases_that_can_corrupt_data_are_refused_where_there_are_several_members() -> None:
    check_many_members(etcd((3, 4, 23)))
    with pytest.raises(BadRequest, match="can corrupt the data of several members"):
        check_many_members(etcd((3, 5, 1)))


def test_data_of_a_later_release_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        BadRequest, match=r"written by etcd 3\.5, and /usr/bin/etcd is 3\.4\.23: install etcd 3\.5 or later"
    ):
        check_release(etcd((3, 4, 23)), (3, 5), DATA)


@pytest.mark.parametrize("written_by", [None, (3, 4), (3, 5)])
def test_data_of_the_same_or_an_earlier_release_is_opened(written_by: tuple[int, int] | None) -> None:
    check_release(etcd((3, 5, 16)), written_by, DATA)
