"""The routes of a node, as its kernel lists them."""

import sys

import pytest

from agent.network.host_routes import routes_in

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def line(device: str, destination: str, mask: str, flags: str = "0001") -> str:
    return f"{device}\t{destination}\t00000000\t{flags}\t0\t0\t0\t{mask}\t0\t0\t0\n"


@pytest.mark.skipif(sys.byteorder == "big", reason="the listing is of a little-endian machine")
def test_subnets_are_told_once_and_defaults_and_our_own_are_not() -> None:
    table = (
        HEAD
        + line("eth0", "00000000", "00000000", "0003")
        + line("eth0", "0001D50A", "00FFFFFF")
        + line("eth1", "0001D50A", "00FFFFFF")
        + line("docker0", "000011AC", "0000FFFF")
        + line("spbabc", "0001000A", "00FFFFFF")
        + line("spxabc", "0002000A", "00FFFFFF", "0003")
        + line("*", "0000000A", "000000FF", "0201")
    )
    assert routes_in(table) == ("10.213.1.0/24", "172.17.0.0/16")


def test_a_machine_without_routes_has_none() -> None:
    assert routes_in(HEAD) == () == routes_in("")
