"""Objects survive the way to bytes and back, and carry their key's revision as their version."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.documents import documents
from support.picture import NOW, a_network, a_node, a_service, a_task, a_wish

from manager.objects import (
    AnyObject,
    Cluster,
    Config,
    Reason,
    ReasonCode,
    Secret,
    Service,
    ServiceRevision,
    StackRevision,
)
from manager.store.codec import decode, encode, put
from manager.store.keys import KINDS, key_for, key_of, model_of, name_key
from manager.store.port import Entry
from swarmpy.errors import BrokenInvariant
from swarmpy.models.cluster import ClusterSpec
from swarmpy.models.config import ConfigSpec
from swarmpy.models.secret import SecretSpec
from swarmpy.models.service import ServiceSpec
from swarmpy.models.stack import StackWish

WAITS = Reason(code=ReasonCode.NO_NODE, text="no node fits", since=NOW, nodes={"n1": "is drained"})
OBJECTS: tuple[AnyObject, ...] = (
    a_task("t1", networks=("net",), reason=WAITS, start_after=NOW),
    a_service("web", replicas=3),
    a_wish("web", 2),
    ServiceRevision(
        id="web/3", created_at=NOW, updated_at=NOW, service_id="web", number=3, spec=a_service().spec, spec_version=2
    ),
    a_node("n1", labels={"rack": "a"}),
    a_network("net", subnets={"n1": "10.0.1.0/24"}),
    Cluster(id="c", created_at=NOW, updated_at=NOW, spec=ClusterSpec()),
    Secret(id="s", created_at=NOW, updated_at=NOW, spec=SecretSpec(name="key"), sealed="…"),
    Config(id="f", created_at=NOW, updated_at=NOW, spec=ConfigSpec(name="file"), sealed="…"),
    StackRevision(
        id="shop.3",
        created_at=NOW,
        updated_at=NOW,
        stack="shop",
        number=3,
        wish=StackWish(external=("front",), services=(ServiceSpec(name="web"),)),
    ),
)


def read_back(value: AnyObject, created: int = 3, modified: int = 9) -> AnyObject | None:
    return decode(Entry(key_of(value), encode(value), created, modified))


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_every_kind_comes_back_as_it_was_with_its_revisions(value: AnyObject) -> None:
    assert read_back(value, 3, 9) == value.model_copy(update={"birth": 3, "version": 9})


def test_every_kind_is_tried() -> None:
    assert {type(value) for value in OBJECTS} == set(KINDS.values())


@settings(max_examples=50, deadline=None)
@given(documents(ServiceSpec))
def test_any_service_a_client_may_send_comes_back_as_it_was(spec: ServiceSpec) -> None:
    service = Service(id="web", created_at=NOW, updated_at=NOW, spec=spec, spec_version=1)

    assert read_back(service, 0, 0) == service


@given(st.sampled_from(OBJECTS), st.integers(1, 10**12))
def test_revisions_are_not_stored(value: AnyObject, revision: int) -> None:
    assert encode(value.model_copy(update={"birth": revision, "version": revision})) == encode(value)


@pytest.mark.parametrize("key", ["leader", "names/services/web"])
def test_a_key_that_holds_no_object_gives_none(key: str) -> None:
    assert model_of(key) is None
    assert decode(Entry(key, b"anything", 1, 1)) is None


@pytest.mark.parametrize("value", [b'{"format":2,"id":"t1"}', b'{"id":"t1"}', b""])
def test_a_format_of_another_swarmpy_is_refused_by_name(value: bytes) -> None:
    with pytest.raises(BrokenInvariant, match="tasks/t1 has a format this version does not read"):
        decode(Entry("tasks/t1", value, 1, 1))


def test_writing_an_object_back_demands_the_version_that_was_read() -> None:
    task = a_task("t1").model_copy(update={"version": 12})

    assert (put(task).key, put(task).modified) == ("tasks/t1", 12)
    assert put(task, create=True).modified == 0


def test_keys_say_what_they_hold() -> None:
    assert [key_of(value) for value in OBJECTS] == [
        "tasks/t1",
        "services/web",
        "specs/web/2",
        "revisions/web/3",
        "nodes/n1",
        "networks/net",
        "cluster",
        "secrets/s",
        "configs/f",
        "stacks/shop.3",
    ]
    for value in OBJECTS:
        assert model_of(key_of(value)) is type(value)
        assert key_for(type(value), value.id) == key_of(value)
    assert name_key("services", "web") == "names/services/web"
