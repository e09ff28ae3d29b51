"""Which etcd a node runs, and how."""

from itertools import pairwise
from pathlib import Path

import pytest

from swarmpy.errors import BadRequest
from swarmpy.node.etcd import (
    EtcdBinary,
    EtcdMember,
    check_many_members,
    check_release,
    etcd_command,
    has_member_data,
    member_is_gone,
    parse_version,
    wipe_member,
)

DATA = Path("/data")


def etcd(version: tuple[int, int, int]) -> EtcdBinary:
    return EtcdBinary(Path("/usr/bin/etcd"), version)


def a_member(*, is_new_cluster: bool = True) -> EtcdMember:
    return EtcdMember(
        name="node2",
        data_dir=DATA,
        peer_url="https://10.0.0.2:2380",
        listen_peer="https://0.0.0.0:2380",
        initial_cluster=(("node1", "https://10.0.0.1:2380"), ("node2", "https://10.0.0.2:2380")),
        is_new_cluster=is_new_cluster,
        ca_file=Path("/ca.crt"),
        cert_file=Path("/peer.crt"),
        key_file=Path("/peer.key"),
    )


def options(command: tuple[str, ...]) -> dict[str, str]:
    return {option: value for option, value in pairwise(command) if option.startswith("--")}


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
    assert ("--experimental-initial-corrupt-check" in etcd_command(etcd(version), a_member(), "client.sock:1")) is risky


def test_data_of_a_later_release_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        BadRequest, match=r"written by etcd 3\.5, and /usr/bin/etcd is 3\.4\.23: install etcd 3\.5 or later"
    ):
        check_release(etcd((3, 4, 23)), (3, 5), DATA)


@pytest.mark.parametrize("written_by", [None, (3, 4), (3, 5)])
def test_data_of_the_same_or_an_earlier_release_is_opened(written_by: tuple[int, int] | None) -> None:
    check_release(etcd((3, 5, 16)), written_by, DATA)


def test_a_member_is_reached_by_its_peers_alone() -> None:
    given = options(etcd_command(etcd((3, 4, 23)), a_member(), "client.sock:1"))
    assert given["--listen-peer-urls"] == "https://0.0.0.0:2380"
    assert given["--listen-client-urls"] == given["--advertise-client-urls"] == "unix://client.sock:1"


def test_peers_prove_who_they_are() -> None:
    command = etcd_command(etcd((3, 4, 23)), a_member(), "client.sock:1")
    given = options(command)
    assert "--peer-client-cert-auth" in command
    assert given["--peer-cert-allowed-cn"] == "swarmpy-etcd"
    assert given["--peer-trusted-ca-file"] == "/ca.crt"


@pytest.mark.parametrize(("is_new", "word"), [(True, "new"), (False, "existing")])
def test_a_member_is_told_all_members_and_whether_they_begin_together(is_new: bool, word: str) -> None:
    given = options(etcd_command(etcd((3, 4, 23)), a_member(is_new_cluster=is_new), "client.sock:1"))
    assert given["--initial-cluster"] == "node1=https://10.0.0.1:2380,node2=https://10.0.0.2:2380"
    assert given["--initial-cluster-state"] == word


@pytest.mark.parametrize(
    ("version", "option"),
    [
        ((3, 4, 23), "--experimental-peer-skip-client-san-verification"),
        ((3, 5, 16), "--experimental-peer-skip-client-san-verification"),
        ((3, 6, 0), "--peer-skip-client-san-verification"),
    ],
)
def test_a_peer_may_come_from_another_address_than_it_advertises(version: tuple[int, int, int], option: str) -> None:
    assert option in etcd_command(etcd(version), a_member(), "client.sock:1")


@pytest.mark.parametrize("version", [(3, 4, 23), (3, 5, 3), (3, 6, 0)])
def test_sound_releases_may_have_many_members(version: tuple[int, int, int]) -> None:
    check_many_members(etcd(version))


@pytest.mark.parametrize("version", [(3, 5, 0), (3, 5, 1), (3, 5, 2)])
def test_releases_that_can_corrupt_data_may_not(version: tuple[int, int, int]) -> None:
    with pytest.raises(BadRequest, match=r"for more than one manager install etcd 3\.4, or 3\.5\.3 or later"):
        check_many_members(etcd(version))


def test_a_members_own_removal_is_told_from_that_of_its_peer() -> None:
    gone = "the member has been permanently removed from the cluster"
    own = f'{{"level":"warn","msg":"server error","error":"{gone}"}}'
    peers = f'{{"level":"warn","msg":"peer became inactive","error":"failed to dial 1 on stream ({gone})"}}'

    assert member_is_gone([peers, own, "stopped"])
    assert not member_is_gone([peers, "stopped"])
    assert not member_is_gone([])


def test_a_wiped_member_has_no_data_and_may_be_wiped_again(tmp_path: Path) -> None:
    data = tmp_path / "etcd"
    (data / "member" / "wal").mkdir(parents=True)
    assert has_member_data(data)

    for _ in range(2):
        wipe_member(data)
        assert not has_member_data(data)
        assert list(tmp_path.iterdir()) == []
