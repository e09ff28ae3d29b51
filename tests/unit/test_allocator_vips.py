"""Virtual addresses of services: one a network, never one twice, none moved without need."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import T0, a_network, a_node, a_service, a_state, a_task, a_template
from support.effort import examples

from manager.allocator.networks import allocate_networks
from manager.allocator.vips import GONE_OF_LATE, NOTHING_RESTS, Rested, Resting, allocate_vips
from manager.objects import AnyObject, Network, Service, VirtualIP
from manager.state import Changed, State
from swarmpy.models.network import NetworkCreate
from swarmpy.models.port import EndpointSpec, PortConfig, PublishMode
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.states import TaskState

INGRESS = a_network("ingress").model_copy(update={"spec": NetworkCreate(name="ingress", ingress=True)})
HTTP = PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.INGRESS)


def on(name: str, *networks: str, mode: str = "vip", ports: tuple[PortConfig, ...] = (), **fields: object) -> Service:
    template = a_template(networks=tuple(NetworkAttachmentConfig(target=network) for network in networks))
    service = a_service(name, template=template, **fields)  # type: ignore[arg-type]
    endpoint = EndpointSpec(mode=mode, ports=ports)
    return service.model_copy(update={"spec": service.spec.model_copy(update={"endpoint_spec": endpoint})})


def allocated(*objects: AnyObject, resting: Resting = NOTHING_RESTS) -> State:
    """The state as it is when networks and addresses are written."""
    state = a_state(*objects)
    for network in allocate_networks(state, T0).replace:
        assert isinstance(network, Network)
        state.networks[network.id] = network
    for id, vips in allocate_vips(state, state.networks.get, resting).items():
        state.services[id] = state.services[id].model_copy(update={"virtual_ips": vips})
    return state


def vips(state: State, name: str = "web") -> dict[str, str]:
    return {vip.network_id: vip.address for vip in state.services[name].virtual_ips}


def test_a_service_has_an_address_on_each_of_its_networks() -> None:
    state = allocated(a_network("a"), a_network("b"), a_network("c"), on("web", "a", "b"), on("db", "b"))

    assert vips(state) == {"a": "10.0.0.2", "b": "10.1.0.3"}
    assert vips(state, "db") == {"b": "10.1.0.2"}


def test_a_service_with_ports_for_every_node_has_one_on_the_ingress_network_too() -> None:
    host = HTTP.model_copy(update={"publish_mode": PublishMode.HOST})

    assert vips(allocated(INGRESS, on("web", ports=(HTTP,)))) == {"ingress": "10.0.0.2"}
    assert vips(allocated(INGRESS, on("web", ports=(host,)))) == {}


def test_a_service_whose_names_stand_for_its_tasks_has_none() -> None:
    assert vips(allocated(a_network(), on("web", "net", mode="dnsrr"))) == {}


def test_another_endpoint_mode_gives_the_address_back_or_gets_one() -> None:
    held = (VirtualIP(network_id="net", address="10.0.0.9"),)

    assert vips(allocated(a_network(), on("web", "net", mode="dnsrr", virtual_ips=held))) == {}
    assert vips(allocated(a_network(), on("web", "net"))) == {"net": "10.0.0.2"}


def test_an_address_stays_with_its_service() -> None:
    held = (VirtualIP(network_id="net", address="10.0.0.9"),)

    assert vips(allocated(a_network(), on("web", "net", virtual_ips=held), on("api", "net"))) == {"net": "10.0.0.9"}


def test_an_address_is_held_until_the_last_task_has_left_the_network() -> None:
    held = (VirtualIP(network_id="net", address="10.0.0.9"),)
    moved = on("web", virtual_ips=held)
    running = a_task("t1", moved, networks=("net",))
    gone = a_task("t1", moved, networks=("net",), state=TaskState.SHUTDOWN)

    assert vips(allocated(a_network(), moved, running)) == {"net": "10.0.0.9"}
    assert vips(allocated(a_network(), moved, gone)) == {}


def test_a_removed_service_holds_its_address_while_its_record_is_there() -> None:
    held = (VirtualIP(network_id="net", address="10.0.0.2"),)
    state = allocated(a_network(), on("old", "net", virtual_ips=held, removed=True), on("web", "net"))

    assert vips(state, "old") == {"net": "10.0.0.2"}
    assert vips(state) == {"net": "10.0.0.3"}


def test_an_address_of_late_is_not_given_again_unless_there_is_no_other() -> None:
    rested = {VirtualIP(network_id="net", address=f"10.0.0.{n}"): T0 - timedelta(seconds=n) for n in range(2, 255)}
    few = {vip: since for vip, since in rested.items() if not vip.address.endswith(".77")}

    assert vips(allocated(a_network(), on("web", "net"), resting=Resting(few))) == {"net": "10.0.0.77"}
    assert vips(allocated(a_network(), on("web", "net"), resting=Resting(rested))) == {"net": "10.0.0.254"}


def test_what_was_given_back_rests_for_a_while() -> None:
    rested, vip = Rested(), VirtualIP(network_id="net", address="10.0.0.2")
    rested.note([Changed("services/web", on("web", virtual_ips=(vip,)), None)], T0)

    assert list(rested.at(T0 + timedelta(seconds=59)).given_back) == [vip]
    assert not rested.at(T0 + timedelta(seconds=60)).given_back


def test_a_new_leader_gives_what_its_predecessor_cannot_have_taken_back_of_late() -> None:
    before = allocated(a_network(), *(on(f"s{number}", "net") for number in range(3)))
    del before.services["s1"]
    rested, known = Rested(), (before.networks["net"], before.services["s0"], before.services["s2"])
    rested.begin(before, T0)

    early = allocated(*known, on("web", "net"), resting=rested.at(T0 + timedelta(seconds=59)))
    assert vips(early) == {"net": f"10.0.0.{5 + GONE_OF_LATE}"}
    late = allocated(*known, on("web", "net"), resting=rested.at(T0 + timedelta(seconds=60)))
    assert vips(late) == {"net": "10.0.0.3"}


def test_a_new_leader_of_a_small_network_gives_what_there_is() -> None:
    rested, small = Rested(), allocated(a_network(wished_subnet="172.30.0.0/28")).networks["net"]
    rested.begin(a_state(small), T0)

    assert vips(allocated(small, on("web", "net"), resting=rested.at(T0))) == {"net": "172.30.0.2"}


def test_a_network_with_many_services_takes_a_further_subnet_for_them() -> None:
    state = allocated(a_network(), *(on(f"s{number:03}", "net") for number in range(254)))

    assert state.networks["net"].service_subnets == ("10.0.0.0/24", "10.0.1.0/24")
    assert len({vips(state, f"s{number:03}")["net"] for number in range(254)}) == 254


def test_a_small_network_that_is_full_gives_what_it_has() -> None:
    state = allocated(a_network(wished_subnet="172.30.0.0/28"), *(on(f"s{number:02}", "net") for number in range(20)))
    given = [vip for number in range(20) for vip in vips(state, f"s{number:02}").values()]

    # All but the first, the last and the gateway of one half: the other is for tasks.
    assert state.networks["net"].service_subnets == ("172.30.0.0/29",)
    assert len(given) == len(set(given)) == 5


@dataclass
class World:
    """Services and networks that come, change and go, with what is allocated after each step."""

    objects: dict[str, AnyObject] = field(default_factory=dict)
    rested: Rested = field(default_factory=Rested)
    now: datetime = T0

    def step(self) -> None:
        self.now += timedelta(seconds=7)
        state = a_state(*self.objects.values())
        after = allocated(*self.objects.values(), resting=self.rested.at(self.now))
        for id, service in state.services.items():
            self.rested.note([Changed("", service, after.services[id])], self.now)
        self.objects |= {f"s/{id}": service for id, service in after.services.items()}
        self.objects |= {f"n/{id}": network for id, network in after.networks.items()}

    def check(self) -> None:
        services = [value for value in self.objects.values() if isinstance(value, Service)]
        networks = {value.id: value for value in self.objects.values() if isinstance(value, Network)}
        given = [vip for service in services for vip in service.virtual_ips]
        assert len(given) == len(set(given))
        for vip in given:
            assert vip.address != networks[vip.network_id].gateway
        pieces = [
            piece
            for network in networks.values()
            for piece in (*network.service_subnets, *(share.subnet for share in network.node_subnets))
        ]
        assert len(pieces) == len(set(pieces))


NETWORKS = ("a", "b", "small")
STEPS = st.tuples(
    st.integers(0, 29), st.frozensets(st.sampled_from(NETWORKS)), st.sampled_from(("vip", "vip", "dnsrr", "gone"))
)


# Some 20 steps each.
@settings(max_examples=examples(40, 5_000), deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=60))
def test_whatever_services_do_no_address_is_had_twice_and_none_moves(
    steps: list[tuple[int, frozenset[str], str]],
) -> None:
    world = World({"n/a": a_network("a"), "n/b": a_network("b"), "n1": a_node("n1")})
    world.objects["n/small"] = a_network("small", wished_subnet="172.30.0.0/28")
    for number, networks, mode in steps:
        key = f"s/s{number}"
        known = world.objects.get(key)
        before = known.virtual_ips if isinstance(known, Service) else ()
        if mode == "gone":
            gone = world.objects.pop(key, None)
            world.rested.note([Changed("", gone, None)] if gone else [], world.now)
        else:
            world.objects[key] = on(f"s{number}", *sorted(networks), mode=mode, virtual_ips=before)
        world.step()
        world.check()
        after = world.objects.get(key)
        if isinstance(after, Service) and mode == "vip":
            assert {vip for vip in before if vip.network_id in networks} <= set(after.virtual_ips)
