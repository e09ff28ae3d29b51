"""What may be asked of a network: options, ranges clear of the machines' own, one for ingress."""

from contextlib import suppress
from typing import Any

import pytest
from support.builders import T0, a_network, a_node, a_service, a_state, a_task, a_template
from support.counting import counted_calls

from manager.admission.network import (
    admit_network,
    admit_removal,
    find_network_target,
    unused_networks,
    warning_of,
)
from manager.allocator.ingress import claim, new_ingress
from manager.allocator.networks import allocate_networks
from manager.allocator.vnis import FIRST_VNI
from manager.objects import Network
from manager.state import State
from manager.store.codec import put
from manager.store.errors import CommitConflict
from manager.store.memory import MemoryDatabase
from manager.store.port import Delete, Unit
from swarmpy.clock import ManualClock
from swarmpy.errors import BadRequest, Conflict, InUse, SwarmpyError, Unsupported
from swarmpy.models.network import ENCRYPTED_OPTION, IPAM, VNI_OPTION, IPAMConfig, NetworkCreate
from swarmpy.models.port import PortConfig, PublishMode
from swarmpy.models.service import FailureAction, UpdateConfig, UpdateState, UpdateStatus
from swarmpy.models.task import NetworkAttachmentConfig, TaskSpec
from swarmpy.states import NodeState, TaskState
from swarmpy.wire import WIREGUARD

INGRESS = a_network("ingress").model_copy(update={"spec": NetworkCreate(name="ingress", ingress=True)})
HTTP = PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.INGRESS)


def admit(state: State, name: str = "front", **wish: Any) -> Network:
    return admit_network(state, NetworkCreate(name=name, **wish), network_id="id", now=T0).value


def node(
    name: str, *, features: tuple[str, ...] = (), routes: tuple[str, ...] = (), state: NodeState = NodeState.READY
) -> Any:
    return a_node(name, state=state).model_copy(update={"features": features, "routes": routes})


def test_a_range_that_a_node_routes_elsewhere_is_refused_by_the_node_s_name() -> None:
    state = a_state(node("n1", routes=("0.0.0.0/0", "10.9.4.7/24")))
    wished = NetworkCreate.model_validate({"Name": "n", "IPAM": {"Config": [{"Subnet": "10.9.0.0/16"}]}})
    with pytest.raises(BadRequest, match=r"10\.9\.0\.0/16 overlaps 10\.9\.4\.0/24, which node n1 routes elsewhere"):
        admit_network(state, wished, network_id="id", now=T0)


def test_a_range_of_the_network_s_further_ranges_is_taken_too() -> None:
    grown = a_network("old", subnet="10.1.0.0/16", service_subnets=("10.7.0.0/24",))
    wished = NetworkCreate.model_validate({"Name": "n", "IPAM": {"Config": [{"Subnet": "10.7.0.0/16"}]}})
    with pytest.raises(BadRequest, match=r"overlaps 10\.7\.0\.0/24 of network old"):
        admit_network(a_state(grown), wished, network_id="id", now=T0)


@pytest.mark.parametrize("text", ["0", "16777216", "5000,5001", "x", ""])
def test_a_vni_must_be_one_number_of_24_bits(text: str) -> None:
    with pytest.raises(BadRequest, match="is not one number between 1 and 16777215"):
        admit(a_state(), options={VNI_OPTION: text})


def test_a_wished_vni_is_given_and_had_by_one_network_only() -> None:
    network = admit(a_state(), options={VNI_OPTION: str(FIRST_VNI)})
    state = a_state(network, a_network("auto"))
    given = {after.id: after.vni for after in allocate_networks(state, T0).replace if isinstance(after, Network)}

    assert given == {"id": FIRST_VNI, "auto": FIRST_VNI + 1}
    with pytest.raises(Conflict, match=f"{FIRST_VNI} is the VNI of network front"):
        admit(state, "other", options={VNI_OPTION: str(FIRST_VNI)})


async def test_of_two_networks_that_wish_for_one_vni_at_one_time_one_is_refused() -> None:
    store = MemoryDatabase(ManualClock()).open()
    wishes = {name: NetworkCreate(name=name, options={VNI_OPTION: "5000"}) for name in ("a", "b")}
    first, second = (admit_network(a_state(), wish, network_id=name, now=T0) for name, wish in wishes.items())
    await store.commit(first.units)
    with pytest.raises(CommitConflict):
        await store.commit(second.units)


async def test_of_two_networks_that_name_one_subnet_at_one_time_the_second_is_judged_by_what_the_first_has() -> None:
    state, store = State(), MemoryDatabase(ManualClock()).open()
    ranges = ("10.140.0.0/24", "10.140.0.0/24", "10.150.0.0/24")
    wishes = {
        name: NetworkCreate(name=name, ipam=IPAM(config=(IPAMConfig(subnet=each),)))
        for name, each in zip("abc", ranges, strict=True)
    }
    admitted = [admit_network(state, wish, network_id=name, now=T0) for name, wish in wishes.items()]
    await store.commit(admitted[0].units)
    for late in admitted[1:]:
        with pytest.raises(CommitConflict):
            await store.commit(late.units)
    state.reset(await store.load())
    with pytest.raises(BadRequest, match=r"overlaps 10\.140\.0\.0/24 of network a"):
        admit_network(state, wishes["b"], network_id="b", now=T0)
    await store.commit(admit_network(state, wishes["c"], network_id="c", now=T0).units)


async def test_a_vni_whose_network_was_dropped_without_its_claim_can_be_had() -> None:
    store = MemoryDatabase(ManualClock()).open()
    wish = NetworkCreate(name="a", options={VNI_OPTION: "5000"})
    await store.commit(admit_network(a_state(), wish, network_id="a", now=T0).units)
    await store.commit([Unit((Delete("networks/a"), Delete("names/networks/a")))])
    state = State()
    state.reset(await store.load())
    await store.commit(admit_network(state, wish, network_id="b", now=T0).units)


def test_an_encrypted_network_needs_every_ready_node_and_names_those_that_cannot() -> None:
    able, unable = node("n1", features=(WIREGUARD,)), node("n2")
    admit(a_state(able, node("n3", state=NodeState.DOWN)), options={ENCRYPTED_OPTION: ""})
    admit(a_state(unable), options={ENCRYPTED_OPTION: "false"})
    with pytest.raises(Unsupported, match=r"the kernels of n2 have no WireGuard.* wireguard-tools"):
        admit(a_state(able, unable), options={ENCRYPTED_OPTION: ""})
    with pytest.raises(Unsupported, match="of n10, n11, n12, n13, n14 and 2 more have no WireGuard"):
        admit(a_state(*(node(f"n{number}") for number in range(10, 17))), options={ENCRYPTED_OPTION: "true"})
    with pytest.raises(BadRequest, match="'maybe' is neither true nor false"):
        admit(a_state(able), options={ENCRYPTED_OPTION: "maybe"})


@pytest.mark.parametrize(
    ("name", "wish", "sentence"),
    [
        ("ingress", {}, "network ingress is the cluster's own"),
        ("mine", {"ingress": True, "attachable": True}, "the ingress network cannot be attachable"),
        ("mine", {"ingress": True, "internal": True}, "the ingress network cannot be internal"),
    ],
)
def test_an_ingress_network_is_an_ordinary_overlay(name: str, wish: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SwarmpyError, match=sentence):
        admit(a_state(), name, **wish)


def test_there_is_one_ingress_network() -> None:
    assert admit(a_state(), "mesh", ingress=True).spec.ingress
    with pytest.raises(Conflict, match=r"ingress network \(ingress\) is already present"):
        admit(a_state(INGRESS), "mesh", ingress=True)


def test_no_service_names_the_ingress_network_among_its_networks() -> None:
    with pytest.raises(BadRequest, match="services are on it by publishing a port"):
        find_network_target(a_state(INGRESS), "ingress")


def test_the_ingress_network_goes_when_no_service_publishes_ports() -> None:
    host = HTTP.model_copy(update={"publish_mode": PublishMode.HOST})
    with pytest.raises(InUse, match="service web publishes ports on it"):
        admit_removal(a_state(INGRESS, a_service(ports=(HTTP,))), INGRESS, now=T0)

    assert admit_removal(a_state(INGRESS, a_service(ports=(host,))), INGRESS, now=T0).value.removed


def test_the_ingress_network_stays_until_the_last_task_on_it_has_ended() -> None:
    quiet = a_service()
    stopping = a_task("t1", desired=TaskState.SHUTDOWN, networks=("ingress",))
    with pytest.raises(InUse, match=r"tasks of service web are on it still; try again"):
        admit_removal(a_state(INGRESS, quiet, stopping), INGRESS, now=T0)

    ended = a_task("t1", state=TaskState.SHUTDOWN, desired=TaskState.SHUTDOWN, networks=("ingress",))
    assert admit_removal(a_state(INGRESS, quiet, ended), INGRESS, now=T0).value.removed


async def test_of_two_ingress_networks_at_one_time_one_is_refused_and_a_removed_one_makes_room() -> None:
    store = MemoryDatabase(ManualClock()).open()
    first = admit_network(a_state(), NetworkCreate(name="mesh", ingress=True), network_id="n1", now=T0)
    own = new_ingress(a_state(), "n2", T0)
    await store.commit(first.units)
    with pytest.raises(CommitConflict):
        await store.commit([Unit((put(own, create=True), *claim(own)))])

    state = State()
    state.reset(await store.load())
    await store.commit(admit_removal(state, state.networks["n1"], now=T0).units)
    await store.commit([Unit((put(own, create=True), *claim(own)))])


def test_unused_are_networks_without_services_and_tasks_but_never_ingress() -> None:
    assert [network.id for network in unused_networks(a_state(INGRESS, a_network("idle")))] == ["idle"]


def joining(*networks: str) -> TaskSpec:
    return a_template(networks=tuple(NetworkAttachmentConfig(target=network) for network in networks))


def test_unused_are_those_whose_removal_is_not_refused() -> None:
    services = (
        a_service("web", template=joining("a")),
        a_service("gone", template=joining("b"), removed=True),
        a_service("back", template=joining("a"), update=UpdateConfig(failure_action=FailureAction.ROLLBACK)).model_copy(
            update={
                "previous_spec": a_service("back", template=joining("c")).spec,
                "update": UpdateStatus(state=UpdateState.UPDATING),
            }
        ),
    )
    state = a_state(*services, *map(a_network, "abcd"))

    def is_removable(network: Network) -> bool:
        with suppress(InUse):
            admit_removal(state, network, now=T0)
            return True
        return False

    removable = [network.id for network in state.networks.values() if is_removable(network)]
    assert removable == [network.id for network in unused_networks(state)]
    assert "a" not in removable


def test_what_finding_unused_networks_costs_is_not_networks_times_services() -> None:
    networks = [a_network(f"net{number}") for number in range(60)]
    services = [a_service(f"web{number}", template=joining("net0")) for number in range(60)]
    state = a_state(*networks, *services)
    with counted_calls() as calls:
        assert len(list(unused_networks(state))) == 59

    assert calls.total() <= 10 * (60 + 60)


def with_subnet(state: State, **config: str) -> Network:
    wished = NetworkCreate.model_validate({"Name": "n", "IPAM": {"Config": [config]}})
    return admit_network(state, wished, network_id="id", now=T0).value


@pytest.mark.parametrize(
    ("subnet", "reason"),
    [
        ("127.8.0.0/16", "127.0.0.0/8 is every machine's loopback"),
        ("169.254.0.0/16", "169.254.0.0/16 is for addresses that lead nowhere beyond a link"),
        ("224.1.0.0/16", "224.0.0.0/4 is for multicast"),
        ("250.0.0.0/8", "240.0.0.0/4 is reserved"),
        ("0.0.0.0/8", "0.0.0.0/8 names no machines"),
        ("0.0.0.0/0", "0.0.0.0/8 names no machines"),
    ],
)
def test_a_range_that_cannot_work_is_refused_with_the_reason(subnet: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=f"Subnet {subnet} cannot be used: {reason}"):
        with_subnet(a_state(), Subnet=subnet)


@pytest.mark.parametrize(("gateway", "what"), [("10.9.0.0", "network"), ("10.9.255.255", "broadcast")])
def test_a_gateway_is_an_address_of_a_machine(gateway: str, what: str) -> None:
    with pytest.raises(BadRequest, match=f"Gateway {gateway} is the {what} address of 10.9.0.0/16"):
        with_subnet(a_state(), Subnet="10.9.0.0/16", Gateway=gateway)


@pytest.mark.parametrize(("subnet", "room"), [("10.9.0.0/28", 1), ("10.9.0.0/27", 1), ("10.9.0.0/26", 3)])
def test_a_network_with_room_for_fewer_nodes_than_there_are_is_made_with_a_warning(subnet: str, room: int) -> None:
    nodes = [node(f"n{number}") for number in range(room)]
    away = node("away", state=NodeState.DOWN)
    assert warning_of(a_state(*nodes, away), with_subnet(a_state(), Subnet=subnet)) == ""

    state = a_state(*nodes, node("one-more"))
    warning = warning_of(state, with_subnet(state, Subnet=subnet))
    assert f"{subnet} has room for tasks on {room} node" in warning
    assert f"{room + 1} are ready" in warning


def test_a_network_that_names_no_subnet_grows_and_needs_no_warning() -> None:
    assert warning_of(a_state(node("n1"), node("n2")), admit(a_state())) == ""
