"""The network map: what of the state is in it, and that following changes gives what a look at everything gives."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.counting import counted_calls
from support.effort import examples
from support.picture import a_network, a_node, a_service, a_task, a_template, picture

from manager.dispatcher.map_entries import services_on, whole_map
from manager.dispatcher.map_sheet import LONGEST_LOG, SHORTEST_LOG
from manager.dispatcher.network_map import Atlas
from manager.objects import AnyObject, Network, Task, TaskNetwork, VirtualIP
from manager.state import Changed, State
from manager.store.codec import encode
from manager.store.keys import key_of
from manager.store.port import Batch, Change, Entry
from swarmpy.models.port import EndpointSpec, PortConfig, PublishMode
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.network_map import (
    NO_CHANGES,
    Endpoint,
    IndexedMap,
    MapChanges,
    MappedPort,
    MappedService,
    NetworkMap,
    Peer,
)
from swarmpy.states import NodeState, TaskState

SHARES = {"n1": "10.0.1.0/24", "n2": "10.0.2.0/24"}


def nodes() -> tuple[AnyObject, ...]:
    return a_node("n1", address="192.0.2.1:2377"), a_node("n2", address="192.0.2.2:2377")


def a_reached(id: str = "t1", *, address: str = "10.0.1.5/24", network: str = "net", **fields: Any) -> Task:
    """A task whose agent has told its address."""
    task = a_task(id, **fields)
    return task.model_copy(update={"networks": (TaskNetwork(network_id=network, address=address),)})


def attached(*aliases: str, network: str = "net") -> Any:
    return a_template(networks=(NetworkAttachmentConfig(target=network, aliases=aliases),))


def told(node: str, *objects: AnyObject) -> NetworkMap:
    return whole_map(picture(*nodes(), *objects), node)


def test_the_nodes_of_a_network_are_told_where_the_others_are() -> None:
    assert told("n1", a_network(subnets=SHARES)).peers == (
        Peer(network_id="net", node_id="n1", subnet="10.0.1.0/24", address="192.0.2.1"),
        Peer(network_id="net", node_id="n2", subnet="10.0.2.0/24", address="192.0.2.2"),
    )


def test_keys_are_told_on_encrypted_networks_alone_and_a_new_one_at_once() -> None:
    def state(key: str) -> State:
        keyed = [node.model_copy(update={"wireguard_key": key}) for node in nodes()]
        return picture(
            *keyed, a_network(subnets=SHARES), a_network("sealed", subnets=SHARES, options={"encrypted": ""})
        )

    def keys(map: NetworkMap | MapChanges) -> dict[str, str]:
        return {peer.network_id: peer.wireguard_key for peer in map.peers}

    assert keys(whole_map(state("k1"), "n1")) == {"net": "", "sealed": "k1"}
    atlas = Atlas()
    atlas.rebuild(state("k1"))
    _, positions = atlas.whole("n1")
    before, after = state("k1").nodes["n2"], state("k2").nodes["n2"]
    assert atlas.fold(state("k2"), [Changed("nodes/n2", before, after)]) == {"sealed"}
    update = atlas.since("n1", positions)
    assert update is not None
    assert keys(update.changes) == {"sealed": "k2"}


def test_a_node_that_is_not_on_a_network_is_told_nothing_of_it() -> None:
    map = told("n2", a_network(subnets={"n1": "10.0.1.0/24"}), a_service(template=attached()), a_reached())

    assert map == NetworkMap()


def test_a_node_whose_address_nobody_knows_is_no_peer() -> None:
    state = picture(a_node("n1"), a_network(subnets=SHARES))

    assert whole_map(state, "n1").peers == ()


def test_a_service_is_known_by_its_name_and_the_aliases_of_its_attachment() -> None:
    service = a_service("shop_web", template=attached("web", "www"))
    service = service.model_copy(update={"virtual_ips": (VirtualIP(network_id="net", address="10.0.0.9"),)})

    assert told("n1", a_network(subnets=SHARES), service).services == (
        MappedService(network_id="net", service_id="shop_web", names=("shop_web", "web", "www"), vip="10.0.0.9"),
    )


def test_a_service_in_dnsrr_mode_has_no_address_of_its_own() -> None:
    service = a_service(template=attached(), endpoint_spec=EndpointSpec(mode="dnsrr"))
    service = service.model_copy(update={"virtual_ips": (VirtualIP(network_id="net", address="10.0.0.9"),)})

    assert told("n1", a_network(subnets=SHARES), service).services[0].vip == ""


def test_published_ports_stand_on_the_ingress_network_alone() -> None:
    ports = (
        PortConfig(target_port=80, published_port=8080),
        PortConfig(target_port=53, published_port=53, publish_mode=PublishMode.HOST),
    )
    service = a_service(template=attached()).model_copy(update={"published_ports": ports})
    networks = a_network(subnets=SHARES), a_network("mesh", subnets=SHARES, ingress=True)

    assert {entry.network_id: entry.ports for entry in told("n1", *networks, service).services} == {
        "net": (),
        "mesh": (MappedPort(protocol="tcp", published=8080, target=80),),
    }


def test_a_service_that_is_being_removed_has_no_name_any_more() -> None:
    service = a_service(template=attached()).model_copy(update={"removed": True})

    assert told("n1", a_network(subnets=SHARES), service).services == ()


def test_a_task_that_runs_is_an_endpoint() -> None:
    assert told("n2", a_network(subnets=SHARES), a_reached(slot=3)).endpoints == (
        Endpoint(network_id="net", task_id="t1", service_id="web", node_id="n1", address="10.0.1.5", slot=3),
    )


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (a_reached(state=TaskState.STARTING), "does not run yet"),
        (a_reached(state=TaskState.FAILED), "runs no more"),
        (a_reached(desired_state=TaskState.SHUTDOWN), "is to stop"),
        (a_reached(desired_state=TaskState.REMOVE), "is to go"),
        (a_reached(address=""), "has told no address"),
        (a_reached(node="n3"), "is on a node that is down"),
        (a_reached(node="n4"), "is on a node that was removed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_task_is_no_endpoint_that(task: Task, why: str) -> None:
    assert told("n1", a_network(subnets=SHARES), a_node("n3", state=NodeState.DOWN), task).endpoints == (), why


# deltas


class Reader:
    """A session's part: remembers a position, and holds what it was told."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.map = IndexedMap()
        self.told = 0
        self.started_anew = 0
        self._positions: Any = {}

    def read(self, atlas: Atlas) -> None:
        update = atlas.since(self.node, self._positions)
        if update is None:
            whole, self._positions = atlas.whole(self.node)
            self.map = IndexedMap.of(whole)
            self.started_anew += 1
            return
        self._positions = update.positions
        self.told += update.changes != MapChanges()
        self.map = self.map.amended(update.changes)


def by_key(map: NetworkMap) -> IndexedMap:
    return IndexedMap.of(map)


class World:
    """A state that changes, and an atlas that follows it."""

    def __init__(self, *objects: AnyObject, longest_log: int = 50) -> None:
        self.state: State = picture(*objects)
        self.last: tuple[Changed, ...] = ()
        self.atlas = Atlas(longest_log)
        self.atlas.rebuild(self.state)

    def write(self, *objects: AnyObject, dropped: Iterable[str] = ()) -> Any:
        revision = self.state.revision + 1
        put = (Change(key_of(each), Entry(key_of(each), encode(each), revision, revision)) for each in objects)
        gone = (Change(key, None) for key in dropped)
        self.last = self.state.apply(Batch(revision, (*put, *gone)))
        return self.atlas.fold(self.state, self.last)


def test_one_more_endpoint_is_one_entry_for_whoever_knows_the_rest() -> None:
    world = World(*nodes(), a_network(subnets=SHARES), a_reached("t1"), a_reached("t2"))
    _, positions = world.atlas.whole("n1")
    assert world.write(a_reached("t3")) == {"net"}

    update = world.atlas.since("n1", positions)
    assert update is not None
    assert [endpoint.task_id for endpoint in update.changes.endpoints] == ["t3"]
    assert not update.changes.peers
    assert not update.changes.services


def test_what_changed_is_worked_out_once_for_all_who_ask() -> None:
    world = World(*nodes(), a_network(subnets=SHARES), a_reached("t1"))
    (_, first), (_, second) = world.atlas.whole("n1"), world.atlas.whole("n2")
    world.write(a_reached("t2"))

    one, other = world.atlas.since("n1", first), world.atlas.since("n2", second)
    assert one is not None
    assert other is not None
    assert one.changes is other.changes


def test_a_change_that_the_map_does_not_show_changes_no_map() -> None:
    world = World(*nodes(), a_network(subnets=SHARES), a_reached("t1"))

    assert not world.write(a_reached("t1", local_restarts=4))


def fifty_services(**fields: Any) -> tuple[AnyObject, ...]:
    return tuple(a_service(f"web{number}", template=attached()).model_copy(update=fields) for number in range(50))


def test_a_new_network_has_only_services_looked_at_that_are_on_it() -> None:
    world = World(
        *nodes(), a_network(subnets=SHARES), *fifty_services(), a_service("api", template=attached(network="b"))
    )
    with counted_calls() as calls:
        world.write(a_network("b", subnets=SHARES), a_network("c", subnets=SHARES))

    assert 1 <= calls["services_of"] <= 2
    mapped = world.atlas.whole("n1")[0].services
    assert [entry.service_id for entry in mapped if entry.network_id != "net"] == ["api"]


def test_a_new_ingress_network_has_services_looked_at_that_publish_ports() -> None:
    quiet, open_ = (
        a_service("quiet"),
        a_service("open").model_copy(update={"published_ports": (PortConfig(target_port=80, published_port=8080),)}),
    )
    mesh = a_network("mesh", ingress=True)
    assert list(services_on(picture(quiet, open_, mesh), [mesh])) == ["open"]
    assert list(services_on(picture(quiet, open_, mesh), [a_network("other")])) == []


def test_a_look_at_all_services_is_not_one_at_all_networks_for_each() -> None:
    ports = (PortConfig(target_port=80, published_port=8080),)
    state = picture(
        *nodes(), a_network(subnets=SHARES), a_network("mesh", ingress=True), *fifty_services(published_ports=ports)
    )
    state.networks = looked = Looked(state.networks)
    Atlas().rebuild(state)

    assert 1 <= looked.looks < 5


class Looked(dict[str, Network]):
    """Counts how often all of it is gone through."""

    looks = 0

    def values(self) -> Any:
        self.looks += 1
        return super().values()


def test_a_node_that_joins_a_network_is_told_of_all_of_it_and_one_that_leaves_it_drops_it() -> None:
    world = World(*nodes(), a_network(subnets={"n1": SHARES["n1"]}), a_reached(), a_service(template=attached()))
    reader = Reader("n2")
    reader.read(world.atlas)
    assert reader.map == IndexedMap()
    world.write(a_network(subnets=SHARES))
    reader.read(world.atlas)
    assert (len(reader.map.peers), len(reader.map.services), len(reader.map.endpoints)) == (2, 1, 1)
    world.write(a_network(subnets={"n1": SHARES["n1"]}))
    reader.read(world.atlas)

    assert reader.map == IndexedMap()
    assert reader.started_anew == 0


def test_a_node_that_went_down_takes_its_endpoints_with_it_and_brings_them_back() -> None:
    world = World(*nodes(), a_network(subnets=SHARES), a_reached("t1"))
    reader = Reader("n2")
    world.write(a_node("n1", address="192.0.2.1:2377", state=NodeState.DOWN))
    reader.read(world.atlas)
    assert not reader.map.endpoints
    world.write(nodes()[0])
    reader.read(world.atlas)

    assert list(reader.map.endpoints) == ["net/t1"]


def test_an_empty_network_is_no_news_to_a_node_that_joins_it() -> None:
    world = World(a_node("n1").model_copy(update={"addr": ""}))
    _, positions = world.atlas.whole("n1")
    world.write(a_network(subnets={"n1": SHARES["n1"]}))

    update = world.atlas.since("n1", positions)
    assert update is not None
    assert update.changes == NO_CHANGES
    assert set(update.positions) == {"net"}


def test_a_small_network_remembers_few_changes_however_many_there_were() -> None:
    world = World(*nodes(), a_network(subnets=SHARES), longest_log=LONGEST_LOG)
    _, long_ago = world.atlas.whole("n1")
    for number in range(SHORTEST_LOG + 10):
        world.write(a_reached("t1", address=f"10.0.1.{number % 2 + 5}/24"))
    assert world.atlas.since("n1", long_ago) is None

    _, of_late = world.atlas.whole("n1")
    for number in range(SHORTEST_LOG // 2):
        world.write(a_reached("t1", address=f"10.0.1.{number % 2 + 7}/24"))
    assert world.atlas.since("n1", of_late) is not None


def test_a_reader_that_is_too_far_behind_is_told_everything() -> None:
    world = World(*nodes(), a_network(subnets=SHARES), a_reached("t0"))
    slow = Reader("n1")
    slow.read(world.atlas)
    for number in range(51):
        world.write(a_reached("t1", address=f"10.0.1.{number % 2 + 5}/24"))
    slow.read(world.atlas)

    assert slow.started_anew == 1
    assert slow.map == by_key(whole_map(world.state, "n1"))


NODES, NETWORKS, SERVICES, TASKS = ("n1", "n2", "n3"), ("net", "mesh"), ("web", "db"), ("t1", "t2", "t3")
a_changed_node = st.builds(
    a_node, st.sampled_from(NODES), address=st.sampled_from(["", "192.0.2.1:2377", "192.0.2.9:2377"]),
    state=st.sampled_from([NodeState.READY, NodeState.DOWN]),
)  # fmt: skip
a_changed_network = st.builds(
    lambda id, members: a_network(id, subnets=members, ingress=id == "mesh"),
    st.sampled_from(NETWORKS), st.dictionaries(st.sampled_from(NODES), st.sampled_from(["10.0.1.0/24", "10.0.2.0/24"])),
)  # fmt: skip
a_changed_service = st.builds(
    lambda name, network, alias, vip, ports, removed: a_service(name, template=attached(alias, network=network))
    .model_copy(update={"virtual_ips": vip, "published_ports": ports, "removed": removed}),
    st.sampled_from(SERVICES), st.sampled_from(NETWORKS), st.sampled_from(["a", "b"]),
    st.sampled_from([(), (VirtualIP(network_id="net", address="10.0.0.7"),)]),
    st.sampled_from([(), (PortConfig(target_port=80, published_port=8080),)]), st.booleans(),
)  # fmt: skip
a_changed_task = st.builds(
    lambda id, **fields: a_reached(id, **fields),
    st.sampled_from(TASKS), node=st.sampled_from(NODES), network=st.sampled_from(NETWORKS),
    address=st.sampled_from(["", "10.0.1.5/24", "10.0.1.6/24"]),
    state=st.sampled_from([TaskState.STARTING, TaskState.RUNNING, TaskState.FAILED]),
    desired_state=st.sampled_from([TaskState.RUNNING, TaskState.SHUTDOWN, TaskState.REMOVE]),
)  # fmt: skip
a_change = st.one_of(
    a_changed_node, a_changed_network, a_changed_service, a_changed_task,
    st.sampled_from([*(f"nodes/{id}" for id in NODES), *(f"networks/{id}" for id in NETWORKS),
                     *(f"services/{id}" for id in SERVICES), *(f"tasks/{id}" for id in TASKS)]),
)  # fmt: skip


# Some 4 steps each, of one change or several.
@settings(max_examples=examples(300, 23_000), deadline=None)
@given(st.lists(st.tuples(st.lists(a_change, min_size=1, max_size=4), st.sets(st.sampled_from(NODES))), max_size=12))
def test_following_the_changes_shows_what_a_look_at_everything_shows(steps: list[Any]) -> None:
    world, readers = World(), {node: Reader(node) for node in NODES}
    for changes, reading in steps:
        # The last word on each object counts.
        last = {each if isinstance(each, str) else key_of(each): each for each in changes}
        objects = [each for each in last.values() if not isinstance(each, str)]
        world.write(*objects, dropped=[key for key, each in last.items() if isinstance(each, str)])
        for node in reading:
            readers[node].read(world.atlas)
            assert readers[node].map == by_key(whole_map(world.state, node))
    afresh = Atlas()
    afresh.rebuild(world.state)
    for node, reader in readers.items():
        reader.read(world.atlas)
        assert reader.map == by_key(whole_map(world.state, node)) == by_key(afresh.whole(node)[0])


@settings(max_examples=100, deadline=None)
@given(st.lists(a_change, max_size=12), st.lists(a_change, max_size=12))
def test_an_atlas_rebuilt_over_another_state_shows_that_one(before: list[Any], after: list[Any]) -> None:
    one, other = World(), World()
    for world, changes in ((one, before), (other, after)):
        for change in changes:
            world.write(*([] if isinstance(change, str) else [change]), dropped=[change] * isinstance(change, str))
    reader = Reader("n1")
    reader.read(one.atlas)
    one.atlas.rebuild(other.state)
    reader.read(one.atlas)

    assert reader.map == by_key(whole_map(other.state, "n1"))


@settings(max_examples=100, deadline=None)
@given(st.lists(a_change, max_size=12), st.lists(a_change, max_size=12))
def test_an_atlas_drawn_while_the_state_changes_shows_the_state_once_the_changes_are_folded(
    before: list[Any], meanwhile: list[Any]
) -> None:
    world = World()
    for change in before:
        world.write(*([] if isinstance(change, str) else [change]), dropped=[change] * isinstance(change, str))
    afresh = Atlas()
    changes: list[Changed] = []
    steps = afresh.rebuilding(world.state)
    for change in meanwhile:
        next(steps, None)
        world.write(*([] if isinstance(change, str) else [change]), dropped=[change] * isinstance(change, str))
        changes += world.last
    for _ in steps:
        pass
    afresh.fold(world.state, changes)

    for node in NODES:
        assert by_key(afresh.whole(node)[0]) == by_key(whole_map(world.state, node))
