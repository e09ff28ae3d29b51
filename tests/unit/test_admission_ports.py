"""Published ports: sound, nobody else's, and with numbers that stay."""

from typing import Any

import pytest
from support.builders import T0, a_manager, a_state, at
from support.counting import counted_calls

from manager.admission.admitted import Admitted
from manager.admission.service import admit_removal, admit_rollback, admit_service, admit_update
from manager.allocator.ports import are_given, given_ports, regiven
from manager.api.views.services import service_document
from manager.control.draft import Draft
from manager.objects import Service
from manager.state import State
from manager.store.port import Batch, Change, Delete, Entry, Put, Unit
from swarmpy.errors import BadRequest, InUse
from swarmpy.idgen import CountingIds
from swarmpy.models.port import PortConfig, Protocol, PublishMode
from swarmpy.models.service import ServiceSpec

OPEN = PortConfig(target_port=80, protocol=Protocol.TCP, publish_mode=PublishMode.INGRESS)


def port(target: int, published: int = 0, mode: str = "ingress", protocol: str = "tcp") -> dict[str, Any]:
    return {"TargetPort": target, "PublishedPort": published, "PublishMode": mode, "Protocol": protocol}


def wish(name: str, *ports: dict[str, Any]) -> ServiceSpec:
    document = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}}, "EndpointSpec": {"Ports": ports}}
    return ServiceSpec.model_validate(document)


def fold(state: State, admitted: Admitted[Any]) -> None:
    revision, changes = state.revision + 1, []
    for write in admitted.units[0].writes:
        if isinstance(write, Put):
            assert write.modified is None or state.version_of(write.key) == write.modified
            created = state.version_of(write.key) or revision
            changes.append(Change(write.key, Entry(write.key, write.value, created, revision)))
        elif isinstance(write, Delete):
            changes.append(Change(write.key, None))
    state.apply(Batch(revision, tuple(changes)))


def create(state: State, name: str, *ports: dict[str, Any]) -> Service:
    fold(state, admit_service(state, wish(name, *ports), service_id=name, now=T0, sealed_auth=None))
    return state.services[name]


def update(state: State, name: str, *ports: dict[str, Any]) -> Service:
    known = state.services[name]
    fold(state, admit_update(state, known, wish(name, *ports), version=known.version, now=at(1), sealed_auth=None))
    return state.services[name]


def numbers(service: Service) -> list[int | None]:
    return [port.published_port for port in service.published_ports or ()]


@pytest.mark.parametrize(
    ("first", "second", "how"),
    [
        (port(80, 8080), port(81, 8080), "port 8080/tcp is already in use by service web as an ingress port"),
        (port(80, 8080), port(81, 8080, "host"), "port 8080/tcp is already in use by service web as an ingress port"),
        (port(80, 8080, "host"), port(81, 8080), "already in use by service web as a host-published port"),
        (port(80, 8080, protocol="sctp"), port(81, 8080, protocol="sctp"), "port 8080/sctp is already in use"),
    ],
)
def test_a_port_of_another_service_is_refused_by_its_name(
    first: dict[str, Any], second: dict[str, Any], how: str
) -> None:
    state = a_state()
    create(state, "web", first)
    with pytest.raises(InUse, match=how):
        create(state, "api", second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (port(80, 8080), port(80, 8080, protocol="udp")),
        (port(80, 8080), port(80, 8081)),
        (port(80, 8080, "host"), port(80, 8080, "host")),
    ],
)
def test_other_protocols_other_numbers_and_two_host_ports_are_no_conflict(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    state = a_state()
    create(state, "web", first)
    create(state, "api", second)


def test_a_port_is_free_again_once_its_service_is_removed_or_publishes_it_no_more() -> None:
    state = a_state()
    create(state, "web", port(80, 8080))
    update(state, "web", port(80, 8081))
    create(state, "api", port(80, 8080))
    fold(state, admit_removal(state, state.services["api"], now=at(2)))

    assert numbers(create(state, "next", port(80, 8080))) == [8080]


def test_open_numbers_are_found_and_stay_over_updates() -> None:
    state = a_state()
    create(state, "api", port(80, 30001))
    assert numbers(create(state, "web", port(80), port(81), port(53, protocol="udp"))) == [30000, 30002, 30000]
    assert numbers(update(state, "web", port(81), port(79), port(80))) == [30002, 30003, 30000]


def test_two_wishes_at_one_time_cannot_have_one_port() -> None:
    state = a_state()
    first, second = (
        admit_service(state, wish(name, port(80, 8080)), service_id=name, now=T0, sealed_auth=None)
        for name in ("web", "api")
    )
    fold(state, first)
    with pytest.raises(AssertionError):
        fold(state, second)


def claims(unit: Unit) -> set[str]:
    return {write.key for write in unit.writes if write.key.startswith("names/ports/")}


def test_wishes_for_other_ports_do_not_wait_for_each_other_nor_do_unchanged_host_ports() -> None:
    state = a_state()
    units = [
        admit_service(state, wish(name, port(80, number)), service_id=name, now=T0, sealed_auth=None).units[0]
        for name, number in (("web", 8080), ("api", 8081))
    ]
    assert claims(units[0]) and claims(units[1])
    assert claims(units[0]).isdisjoint(claims(units[1]))

    service = create(state, "web", port(80, 8080, "host"))
    changed = wish("web", port(80, 8080, "host")).model_copy(update={"labels": {"a": "b"}})
    admitted = admit_update(state, service, changed, version=service.version, now=at(1), sealed_auth=None)
    assert claims(admitted.units[0]) == set()


def test_a_service_with_a_thousand_ports_is_one_change_and_its_update_compares_each_with_few() -> None:
    state = a_state()
    assert len(numbers(create(state, "web", *(port(80, 9000 + number) for number in range(1000))))) == 1000

    known, changed = state.services["web"], wish("web", *(port(81, 9000 + number) for number in range(1000)))
    with counted_calls() as calls:
        admit_update(state, known, changed, version=known.version, now=at(1), sealed_auth=None)
    assert calls["BaseModel.__eq__"] <= 5 * 1000
    assert calls["port_key"] <= 20 * 1000


def went_back(state: State, name: str, *ports: dict[str, Any]) -> None:
    state.services[name] = state.services[name].model_copy(update={"spec": wish(name, *ports)})


def regive(state: State) -> None:
    for service_id, ports in regiven(state).items():
        state.services[service_id] = state.services[service_id].model_copy(update={"published_ports": ports})


def test_a_service_that_lost_all_its_ports_does_not_keep_their_owner_from_changing() -> None:
    state = a_state()
    create(state, "web", port(80, 8080))
    update(state, "web")
    create(state, "api", port(80, 8080))
    went_back(state, "web", port(80, 8080))
    regive(state)

    assert numbers(update(state, "api", port(80, 8080), port(81, 8081))) == [8080, 8081]
    assert service_document(state.services["web"], state)["Endpoint"].get("Ports") is None


def test_what_the_loop_gives_and_what_a_wish_is_given_at_one_time_is_not_one_port() -> None:
    state = a_state()
    create(state, "web", port(80, 9090))
    went_back(state, "web", port(80, 8080))
    admitted = admit_service(state, wish("api", port(80, 8080)), service_id="api", now=T0, sealed_auth=None)
    draft = Draft(state, CountingIds(), T0)
    for service_id, ports in regiven(state).items():
        draft.amend_service(service_id, published_ports=ports)
    (unit,) = draft.units()

    assert claims(unit) == claims(admitted.units[0]) != set()
    fold(state, admitted)
    with pytest.raises(AssertionError):
        fold(state, Admitted(state.services["web"], (unit,)))


def test_a_port_is_claimed_as_of_when_it_was_decided_on_however_late_it_is_written() -> None:
    state = a_state()
    create(state, "web", port(80, 9090))
    went_back(state, "web", port(80, 8080))
    draft = Draft(state, CountingIds(), T0)
    for service_id, ports in regiven(state).items():
        draft.amend_service(service_id, published_ports=ports)
    units = draft.units()
    create(state, "api", port(80, 8080))
    (unit,) = units

    with pytest.raises(AssertionError):
        fold(state, Admitted(state.services["web"], (unit,)))


def test_of_two_services_with_one_port_the_older_keeps_it() -> None:
    state = a_state()
    for name, second in (("web", 2), ("api", 1), ("www", 3)):
        create(state, name, port(80, 8080 + second))
        both = wish(name, port(80, 8080), port(81))
        ports = tuple(both.endpoint_spec.ports or ()) if both.endpoint_spec else ()
        given = (ports[0], ports[1].model_copy(update={"published_port": 30000}))
        spec = state.services[name].spec.model_copy(update={"endpoint_spec": both.endpoint_spec})
        fields = {"spec": spec, "published_ports": given, "created_at": at(second)}
        state.services[name] = state.services[name].model_copy(update=fields)

    assert {name: [one.published_port for one in ports] for name, ports in regiven(state).items()} == {
        "web": [30001],
        "www": [30002],
    }
    # Until that is mended, whoever has it may change, and keep it.
    assert numbers(update(state, "api", port(80, 8080), port(81), port(82))) == [8080, 30000, 30001]
    regive(state)
    assert regiven(state) == {}


def test_a_wish_without_new_ports_waits_for_nobody() -> None:
    state = a_state()
    service = create(state, "web", port(80, 8080))
    known = wish("web", port(80, 8080))
    changed = known.model_copy(update={"labels": {"a": "b"}})
    admitted = admit_update(state, service, changed, version=service.version, now=at(1), sealed_auth=None)

    assert claims(admitted.units[0]) == set()


def test_a_rollback_to_a_port_that_another_has_by_now_is_refused() -> None:
    state = a_state()
    create(state, "web", port(80, 8080))
    service = update(state, "web", port(80, 8081))
    create(state, "api", port(80, 8080))
    with pytest.raises(InUse, match="already in use by service api"):
        admit_rollback(state, service, version=service.version, now=at(2))


def test_a_service_that_went_back_by_itself_does_without_the_port_that_another_has() -> None:
    state = a_state()
    create(state, "web", port(80, 8080), port(81, 8081))
    create(state, "api", port(80, 9090))
    spec = wish("web", port(80, 9090), port(81, 8081), port(82))
    state.services["web"] = state.services["web"].model_copy(update={"spec": spec})

    assert [given.published_port for given in regiven(state)["web"]] == [8081, 30000]
    assert list(regiven(state)) == ["web"]
    # The one that has it is not kept from changing by the other's wish.
    state.services["web"] = state.services["web"].model_copy(update={"published_ports": regiven(state)["web"]})
    update(state, "api", port(80, 9090), port(79, 9091))
    fold(state, admit_removal(state, state.services["api"], now=at(2)))
    assert [given.published_port for given in regiven(state)["web"]] == [9090, 8081, 30000]


def test_a_service_that_went_back_when_open_numbers_have_run_out_waits_for_one() -> None:
    state = a_state()
    create(state, "web", port(80, 8080))
    create(state, "all", *(port(80, number) for number in range(30000, 32768)))
    went_back(state, "web", port(80, 8080), port(81))
    assert regiven(state) == {}

    update(state, "all", *(port(80, number) for number in range(30000, 32768) if number != 30005))
    assert [one.published_port for one in regiven(state)["web"]] == [8080, 30005]


def test_open_numbers_run_out_at_some_point() -> None:
    taken = {("tcp", number) for number in range(30000, 32768)}
    with pytest.raises(BadRequest, match="all tcp ports from 30000 to 32767 are published"):
        given_ports([OPEN], (), taken)


def test_ports_are_given_when_all_that_need_a_number_have_one() -> None:
    host = OPEN.model_copy(update={"publish_mode": PublishMode.HOST})
    numbered = OPEN.model_copy(update={"published_port": 30000})

    assert are_given([OPEN, host], [numbered, host])
    assert not are_given([OPEN], [OPEN])
    assert not are_given([OPEN], [])
    assert not are_given([OPEN], [numbered.model_copy(update={"target_port": 81})])


@pytest.mark.parametrize("mode", ["ingress", "host"])
@pytest.mark.parametrize(
    ("number", "protocol", "user"),
    [
        (4789, "udp", "traffic between nodes"),
        (51820, "udp", "encrypted networks"),
        (2377, "tcp", "the managers' door for nodes"),
        (2378, "tcp", "the status page of managers"),
        (2379, "tcp", "etcd's clients"),
        (2380, "tcp", "etcd's members"),
        (7001, "tcp", "the door of node m1"),
    ],
)
def test_what_the_cluster_itself_lives_by_is_not_published(mode: str, number: int, protocol: str, user: str) -> None:
    door = a_manager("m1").model_copy(update={"address": "192.0.2.1:7001"})
    with pytest.raises(BadRequest, match=f"port {number}/{protocol} is needed for {user}.*; publish another"):
        create(a_state(door), "web", port(80, number, mode, protocol))


def test_the_same_number_of_another_protocol_is_free() -> None:
    assert numbers(create(a_state(), "web", port(53, 4789), port(54, 2377, protocol="udp"))) == [4789, 2377]


def test_an_update_to_a_port_that_the_cluster_needs_is_refused_too() -> None:
    state = a_state()
    create(state, "web", port(80, 8080))
    with pytest.raises(BadRequest, match="port 2377/tcp is needed"):
        update(state, "web", port(80, 8080), port(81, 2377))


def test_a_port_that_a_later_manager_listens_at_does_not_hold_up_other_changes() -> None:
    state = a_state()
    create(state, "web", port(80, 7001))
    state.nodes["m1"] = a_manager("m1").model_copy(update={"address": "192.0.2.1:7001"})
    assert numbers(update(state, "web", port(80, 7001), port(81, 8081))) == [7001, 8081]


def test_an_open_number_is_never_that_of_a_managers_door() -> None:
    door = a_manager("m1").model_copy(update={"address": "[fd00::1]:30000"})
    assert numbers(create(a_state(door), "web", port(80))) == [30001]


def test_a_number_that_was_given_goes_elsewhere_when_a_manager_listens_there() -> None:
    state = a_state()
    create(state, "web", port(80))
    state.nodes["m1"] = a_manager("m1").model_copy(update={"address": "192.0.2.1:30000"})
    assert numbers(update(state, "web", port(80), port(81, 8081))) == [30001, 8081]


def test_ports_that_are_given_without_a_wish_of_somebody_keep_clear_of_it_too() -> None:
    state = a_state()
    web = create(state, "web", port(80), port(81, 8081))
    state.services["web"] = web.model_copy(update={"published_ports": (web.published_ports or ())[1:]})
    state.nodes["m1"] = a_manager("m1").model_copy(update={"address": "192.0.2.1:30000"})
    assert [port.published_port for port in regiven(state)["web"]] == [30001, 8081]
