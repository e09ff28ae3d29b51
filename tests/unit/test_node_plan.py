"""What a node's children are told, and the settings that cannot be."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from manager.allocator.networks import NETWORK_PREFIXES
from swarmpy.cli.main import DEFAULT_HOST
from swarmpy.cli.up import etcd_settings, parse_labels, up
from swarmpy.errors import BadRequest, Conflict
from swarmpy.node.plan import agent_child, etcd_child, manager_child
from swarmpy.node.preflight import check_address_free, engine_is_absent
from swarmpy.node.probe import answers, is_there
from swarmpy.settings import LONGEST_USUAL_NETWORK_PREFIX, AgentSettings, EtcdSettings, ManagerSettings, NodeSettings

NODE = "n" * 25


def node(**changes: Any) -> NodeSettings:
    return NodeSettings(
        **{"hostname": "one", "labels": {"disk": "ssd"}, "advertise_address": "10.0.0.1:2377", **changes}
    )


def test_manager_and_agent_are_the_same_node() -> None:
    manager = ManagerSettings.model_validate_json(manager_child(node(), NODE, "python").settings)
    agent = AgentSettings.model_validate_json(agent_child(node(), NODE, ("10.0.0.2:2377",), "python").settings)
    assert manager.node_id == agent.node_id == NODE
    assert manager.identity == agent.identity
    assert (agent.managers, agent.address) == (("10.0.0.2:2377",), manager.advertise_address)
    assert agent.labels == {"disk": "ssd"}


def test_descriptors_are_kept_for_the_agent_alone_unless_it_leaves() -> None:
    agent, leaving = (agent_child(node(), NODE, (), "python", is_leaving=is_leaving) for is_leaving in (False, True))
    assert agent.store == node().run_dir / "agent" / "notify.sock"
    assert leaving.store is manager_child(node(), NODE, "python").store is None
    assert len(str(agent.store)) <= len(str(node().etcd_socket))


def test_the_command_line_looks_where_a_node_listens_by_default() -> None:
    assert f"unix://{node().api_socket}" == DEFAULT_HOST


def test_the_manager_talks_to_the_socket_that_etcd_makes() -> None:
    manager = ManagerSettings.model_validate_json(manager_child(node(), NODE, "python").settings)
    etcd = etcd_child(node(), ("etcd",))
    assert manager.etcd.endpoints == (f"unix:{etcd.sockets[0]}",)


def test_names_are_published_where_the_operators_say() -> None:
    wish = {"publish_names": "swarm.local", "publish_names_folder": "/dns"}
    manager = ManagerSettings.model_validate_json(manager_child(node(**wish), NODE, "python").settings)
    assert (manager.publish_names, manager.publish_names_folder) == ("swarm.local", "/dns")
    assert not ManagerSettings.model_validate_json(manager_child(node(), NODE, "python").settings).publish_names
    for wrong in ({"publish_names": "a b"}, {"publish_names": ".x"}, {"publish_names_folder": "skydns/"}):
        with pytest.raises(ValidationError):
            node(**wrong)


def test_no_secret_is_seen_in_the_list_of_processes() -> None:
    own = EtcdSettings(endpoints=("127.0.0.1:2379",), username="swarmpy", password="hidden")
    child = manager_child(node(etcd=own), NODE, "python")
    assert "hidden" not in " ".join(child.command)
    assert json.loads(child.settings)["etcd"]["password"] == "hidden"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_dir": Path("/" + "r" * 100)}, "use a shorter --run-dir"),
        ({"run_dir": Path("run")}, "run is not an absolute path"),
        ({"status_address": "0.0.0.0:2378"}, "is not on loopback: the page has no TLS"),
        ({"status_address": "10.0.0.1:2378"}, "is not on loopback"),
        ({"status_address": "127.0.0.1"}, "is not HOST:PORT"),
        ({"status_address": "127.0.0.1:99999"}, "is not HOST:PORT"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        node(**changes)


@pytest.mark.parametrize("address", ["127.0.0.1:2378", "localhost:1", "[::1]:2378"])
def test_loopback_addresses_are_taken(address: str) -> None:
    assert node(status_address=address).status_address == address


def test_labels_are_read_as_docker_reads_them() -> None:
    assert parse_labels(("zone=a=b", "fast", "zone=c")) == {"zone": "c", "fast": ""}
    with pytest.raises(BadRequest, match="a label needs a name"):
        parse_labels(("=x",))


def test_options_of_an_own_etcd_without_one_are_refused() -> None:
    with pytest.raises(BadRequest, match="--etcd-ca-file is for your own etcd: name it with --etcd-endpoints"):
        etcd_settings(None, {"ca_file": Path("/ca"), "username": None}, None)


def test_endpoints_of_an_own_etcd_are_split() -> None:
    own = etcd_settings("127.0.0.1:1, 127.0.0.1:2", {"username": "me"}, "word")
    assert own is not None
    assert (own.endpoints, own.username, own.password) == (("127.0.0.1:1", "127.0.0.1:2"), "me", "word")


def test_an_etcd_elsewhere_needs_tls() -> None:
    result = CliRunner().invoke(up, ["--etcd-endpoints", "10.0.0.1:2379"])
    assert isinstance(result.exception, BadRequest)
    assert "etcd endpoint 10.0.0.1:2379 is on another machine: give --etcd-ca-file" in str(result.exception)


def test_an_address_in_use_is_named_with_its_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Conflict, match=f"cannot listen on {address}: .* another --status-address"):
            check_address_free(address, "--status-address")
    check_address_free(address, "--status-address")


def test_an_engine_is_absent_when_its_socket_is(tmp_path: Path) -> None:
    assert engine_is_absent(f"unix://{tmp_path}/docker.sock")
    assert not engine_is_absent("tcp://127.0.0.1:2375")


async def test_nobody_answers_where_nobody_listens(tmp_path: Path) -> None:
    assert not await answers(tmp_path / "none.sock", "/health")
    assert not await is_there(tmp_path / "none")


def test_a_new_cluster_s_address_pools_reach_its_manager() -> None:
    told = manager_child(node(address_pools=("10.20.0.0/16",), subnet_size=20), NODE, "python").settings
    manager = ManagerSettings.model_validate_json(told)
    assert (manager.address_pools, manager.subnet_size) == (("10.20.0.0/16",), 20)


def test_a_small_pool_is_taken_with_networks_that_fit() -> None:
    assert node(address_pools=("10.99.0.0/26",), subnet_size=26).subnet_size == 26
    assert node(address_pools=("10.99.0.0/24",)).subnet_size == 0
    assert NETWORK_PREFIXES[-1] == LONGEST_USUAL_NETWORK_PREFIX


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"address_pools": ("10.20.0.1/16",)}, "--default-addr-pool 10.20.0.1/16 is no IPv4 subnet"),
        ({"address_pools": ("10.20.0.0/16", "10.20.4.0/24")}, "--default-addr-pool 10.20.4.0/24 overlaps 10.20.0.0/16"),
        ({"address_pools": ("127.0.0.0/8",)}, "--default-addr-pool 127.0.0.0/8 cannot be used: 127.0.0.0/8 is every"),
        ({"subnet_size": 30}, "--default-addr-pool-mask-length 30 is not between 8 and 28"),
        ({"address_pools": ("10.20.0.0/16",), "subnet_size": 12}, "no such network fits into"),
        ({"address_pools": ("10.99.0.0/26",)}, "or give --default-addr-pool-mask-length 26 or more"),
        ({"address_pools": ("10.99.0.0/29",)}, "10.99.0.0/29: no network fits into it; the smallest is a /28"),
    ],
)
def test_pools_that_make_no_sense_are_refused_in_the_words_of_their_option(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        node(**changes)
    assert sentence in str(refusal.value)
