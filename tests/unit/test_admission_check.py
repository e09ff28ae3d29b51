"""Would these be refused? The rehearsal says what the admission itself says, about a picture that it leaves alone."""

from typing import Any

import pytest
from hypothesis import given
from support.builders import T0, a_cluster, a_network, a_service, a_state, a_task
from support.documents import documents

from manager.admission.check import Intended, Rehearsal
from manager.admission.service import admit_service, admit_update
from manager.objects import Secret
from manager.state import State
from swarmpy.errors import BadRequest, Conflict, NotFound, OutOfSequence, SwarmpyError, Unsupported
from swarmpy.models.config import ConfigSpec
from swarmpy.models.network import NetworkCreate
from swarmpy.models.secret import SecretSpec
from swarmpy.models.service import ServiceSpec

KEY = Secret(id="s1", created_at=T0, updated_at=T0, spec=SecretSpec(name="key"), sealed="x")
USING = {
    "ContainerSpec": {
        "Image": "web:1",
        "Secrets": [{"SecretName": "key", "File": {"Name": "key"}}],
        "Configs": [{"ConfigName": "file", "File": {"Name": "/file"}}],
    },
    "Networks": [{"Target": "net"}],
}


def service(name: str = "web", **fields: Any) -> Intended:
    given = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}}} | fields
    return Intended("service", name, ServiceSpec.model_validate(given))


def network(name: str = "net", subnet: str | None = None) -> Intended:
    ipam = {"Config": [{"Subnet": subnet}]} if subnet else None
    return Intended("network", name, NetworkCreate.model_validate({"Name": name, "Driver": "overlay", "IPAM": ipam}))


def secret(name: str = "key", size: int = 1) -> Intended:
    return Intended("secret", name, SecretSpec(name=name), size=size)


def config(name: str = "file", size: int = 1) -> Intended:
    return Intended("config", name, ConfigSpec(name=name), size=size)


def refusals(state: State, *writes: Intended) -> list[SwarmpyError | None]:
    rehearsal = Rehearsal(state, T0)
    return [rehearsal.refusal(write.kind, write.name, lambda write=write: write) for write in writes]  # type: ignore[misc]


def told(found: list[SwarmpyError | None]) -> list[str]:
    return [str(error) for error in found if error is not None]


def shown(state: State) -> tuple[Any, ...]:
    return state.revision, tuple(state.objects()), dict(state.names)


def test_what_comes_later_may_name_what_comes_before_and_nothing_is_written() -> None:
    state = a_state(a_cluster(), a_service("old"), a_task("t1", a_service("old")))
    before, tasks = shown(state), tuple(state.tasks_of_service("old"))
    kept = state.remembered("key", lambda: "computed once")
    wishes = (network(), secret(), config(), service(TaskTemplate=USING), service("other", TaskTemplate=USING))
    assert refusals(state, *wishes) == [None] * 5
    assert shown(state) == before
    assert tuple(state.tasks_of_service("old")) == tasks
    assert state.remembered("key", lambda: "computed twice") == kept


def test_all_faults_are_told_and_none_that_only_follows_from_another() -> None:
    found = refusals(
        a_state(a_network("theirs", wished_subnet="10.1.0.0/16")),
        network(subnet="10.1.2.0/24"),
        secret(size=0),
        config(size=1 << 20),
        service(TaskTemplate=USING),
        service("other", TaskTemplate=USING, Mode={"Replicated": {"Replicas": -1}}),
    )
    assert told(found) == [
        "network net: IPAM.Config: 10.1.2.0/24 overlaps 10.1.0.0/16 of network theirs",
        "secret key: Data of a secret must be 1 to 512000 bytes, and this one has 0",
        "config file: Data of a config must be 1 to 1024000 bytes, and this one has 1048576",
        "service other: Mode.Replicated.Replicas must be between 0 and 100000, and -1 is not",
    ]


def test_two_wishes_of_one_stack_are_held_against_each_other() -> None:
    found = refusals(
        a_state(), network("a", "10.1.0.0/16"), network("b", "10.1.2.0/24"), secret(), secret(), service(), service()
    )
    assert [type(error) for error in found] == [type(None), BadRequest, type(None), Conflict, type(None), Conflict]


def test_services_that_wait_for_each_other_in_a_circle_are_found() -> None:
    (first, second) = refusals(
        a_state(),
        service("a", Labels={"swarmpy.depends-on": '{"b": "service_started"}'}),
        service("b", Labels={"swarmpy.depends-on": '{"a": "service_started"}'}),
    )
    assert first is None
    assert "in a circle" in str(second)


def test_an_update_is_judged_by_what_it_would_replace() -> None:
    old = a_service("web")
    state = a_state(old, KEY)
    known = state.services[old.id]
    wish = known.spec

    def update(**changed: Any) -> Intended:
        return Intended("service", "web", wish.model_copy(update=changed), known.id, known.version)

    assert refusals(state, update(labels={"a": "b"})) == [None]
    (stale, renamed, gone) = refusals(
        state,
        Intended("service", "web", wish, known.id, known.version + 1),
        update(name="other"),
        Intended("service", "web", wish, "nowhere", 1),
    )
    assert (type(stale), type(renamed), type(gone)) == (OutOfSequence, Unsupported, NotFound)
    assert str(renamed) == "service web: renaming services is not supported"

    key = Intended("secret", "key", SecretSpec(name="key"), "s1", 1, same_data=False)
    assert "only updates to Labels" in str(refusals(state, key)[0])
    assert isinstance(refusals(state, Intended("secret", "key", SecretSpec(name="key"), "s2", 1))[0], NotFound)


def test_what_the_store_cannot_take_in_one_write_is_refused() -> None:
    (error,) = refusals(a_state(), service(Labels={"a": "b" * 2_000_000}))
    assert str(error).startswith("service web: one change of ")
    assert "more than the store takes at once" in str(error)


@pytest.mark.parametrize(
    ("kind", "wish"),
    [
        ("network", NetworkCreate(name="n", driver="overlay", labels={"a": "b" * 2_000_000})),
        ("secret", SecretSpec(name="n", labels={"a": "b" * 2_000_000})),
        ("config", ConfigSpec(name="n", labels={"a": "b" * 2_000_000})),
    ],
)
def test_what_is_too_large_for_one_write_is_named_whatever_it_is(kind: str, wish: Any) -> None:
    (error,) = refusals(a_state(), Intended(kind, "n", wish, size=None if kind == "network" else 1))
    assert str(error).startswith(f"{kind} n: one change of ")


def test_every_refusal_of_a_network_a_secret_or_a_config_names_it_once() -> None:
    found = refusals(
        a_state(KEY),
        network("host"), network(), network(), secret(), secret(), config("c", size=0),
        Intended("secret", "s", SecretSpec(name="s", data="?")),
        Intended("secret", "key", SecretSpec(name="key"), "s1", 7),
    )  # fmt: skip
    assert told(found) == [
        "network host: every engine has a network of this name for itself; choose another",
        "network with name net already exists",
        "secret key already exists",
        "config c: Data of a config must be 1 to 1024000 bytes, and this one has 0",
        "secret s: Data must be base64 (RFC 4648, with padding)",
        "update out of sequence",
    ]


def test_a_wish_that_cannot_be_read_is_one_fault_among_others() -> None:
    def unreadable() -> Intended:
        raise BadRequest("Mode is not a known field")

    rehearsal = Rehearsal(a_state(), T0)
    assert str(rehearsal.refusal("service", "web", unreadable)) == "Mode is not a known field"
    assert rehearsal.refusal("service", "other", lambda: service("other")) is None


@given(documents(ServiceSpec))
def test_it_says_what_the_admission_says(spec: ServiceSpec) -> None:
    state = a_state(a_cluster(), a_network(), a_service("web"))

    def said(wish: ServiceSpec) -> tuple[type[SwarmpyError], str] | None:
        try:
            admit_service(state, wish, service_id=f"intended{1:017}", now=T0, sealed_auth=None)
        except SwarmpyError as error:
            return type(error), str(error)
        return None

    (found,) = refusals(state, Intended("service", spec.name or "", spec))
    assert (None if found is None else (type(found), str(found))) == said(spec)


@pytest.mark.parametrize("replicas", [3, -1])
def test_an_update_is_told_as_the_admission_tells_it(replicas: int) -> None:
    state = a_state(a_service("web"))
    (known,) = state.services.values()
    mode = {"Replicated": {"Replicas": replicas}}
    wish = ServiceSpec.model_validate(known.spec.to_docker() | {"Mode": mode})
    (found,) = refusals(state, Intended("service", "web", wish, known.id, known.version))
    try:
        admit_update(state, known, wish, version=known.version, now=T0, sealed_auth=None)
    except SwarmpyError as error:
        assert (type(found), str(found)) == (type(error), str(error))
    else:
        assert found is None
