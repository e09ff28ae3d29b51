"""Ports that every task of a service opens on its node."""

from support.builders import a_service

from manager.allocator.ports import host_ports, same_ports
from swarmpy.models.port import PortConfig, PublishMode


def a_port(target: int, published: int | None = None, *, mode: PublishMode = PublishMode.HOST) -> PortConfig:
    return PortConfig(target_port=target, published_port=published, publish_mode=mode)


def test_only_host_mode_ports_belong_to_tasks() -> None:
    host, mesh = a_port(80, 8080), a_port(81, 8081, mode=PublishMode.INGRESS)

    assert host_ports(a_service(ports=(host, mesh)).spec) == (host,)
    assert host_ports(a_service().spec) == ()


def test_open_ports_are_the_wished_ones_in_any_order_and_with_any_number_where_none_was_wished() -> None:
    assert same_ports([a_port(81, 9), a_port(80, 32768)], [a_port(80), a_port(81, 9)])
    assert not same_ports([a_port(80, 9)], [a_port(80, 8)])
    assert not same_ports([a_port(80, 9)], [])
    assert not same_ports([a_port(80, 9)], [a_port(81, 9)])
