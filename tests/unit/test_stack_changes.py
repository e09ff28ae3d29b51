"""What a deployment would do, decided from the plan and what is there."""

import base64
from typing import Any

import pytest

from swarmpy.cli.changes_view import change_documents, change_lines
from swarmpy.errors import Conflict, NotFound
from swarmpy.stack.changes import NOT_COMPARED, Act, Kind, Operation, Present, changes_something, operations
from swarmpy.stack.plan import StackPlan
from swarmpy.stack.sameness import DIGEST_LABEL, agrees, digest_of

STACK = {"com.docker.stack.namespace": "shop"}
DATA = base64.b64encode(b"open sesame").decode()
OTHER = base64.b64encode(b"something else").decode()
SALT = bytes(16)


def a_spec(name: str = "shop_web", image: str = "x:1", **container: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "Labels": STACK,
        "TaskTemplate": {"ContainerSpec": {"Image": image} | container},
        "Mode": {"Replicated": {}},
    }


def a_plan(**given: Any) -> StackPlan:
    return StackPlan(**({"name": "shop", "networks": (), "external": (), "services": (), "warnings": ()} | given))


def named(name: str, data: str = DATA, labels: dict[str, str] = STACK) -> dict[str, Any]:
    return {"Name": name, "Labels": labels, "Data": data}


def stored(spec: dict[str, Any], object_id: str = "id-1") -> dict[str, Any]:
    return {"ID": object_id, "Version": {"Index": 7}, "Spec": spec}


def kept_secret(name: str = "shop_key", data: str = DATA, labels: dict[str, str] = STACK) -> dict[str, Any]:
    return stored({"Name": name, "Labels": labels | {DIGEST_LABEL: digest_of(data, SALT)}})


def told(found: tuple[Operation, ...]) -> list[tuple[str, str]]:
    return [(operation.act.value, f"{operation.kind} {operation.name}") for operation in found]


def conflict(plan: StackPlan, present: Present) -> str:
    """What is said of the one thing that cannot be."""
    (refused,) = (one for one in operations(plan, present, prune=False) if one.act is Act.REFUSE)
    assert isinstance(refused.fault, Conflict)
    return str(refused.fault)


def test_all_is_made_where_nothing_is_in_the_order_in_which_it_is_needed() -> None:
    plan = a_plan(
        networks=({"Name": "shop_n", "Labels": STACK},),
        secrets=(named("shop_key"),),
        configs=(named("shop_file"),),
        services=(a_spec(),),
    )
    assert told(operations(plan, Present(), prune=True)) == [
        ("create", "network shop_n"),
        ("create", "secret shop_key"),
        ("create", "config shop_file"),
        ("create", "service shop_web"),
    ]


def test_what_is_there_as_wished_is_kept() -> None:
    plan = a_plan(
        networks=({"Name": "shop_n", "Labels": STACK},),
        secrets=(named("shop_key"),),
        configs=(named("shop_file"),),
        services=(a_spec(),),
    )
    present = Present(
        services={"shop_web": stored(a_spec())},
        networks={"shop_n": {"Name": "shop_n", "Id": "n", "Labels": STACK}},
        secrets={"shop_key": kept_secret()},
        configs={"shop_file": stored(named("shop_file"))},
    )
    assert {operation.act for operation in operations(plan, present, prune=True)} == {Act.KEEP}


def test_what_left_the_file_goes_with_prune_services_first_and_what_is_of_others_stays() -> None:
    present = Present(
        services={"shop_old": stored(a_spec("shop_old"), "s"), "other": stored(a_spec("other") | {"Labels": {}}, "o")},
        networks={"shop_n": {"Name": "shop_n", "Id": "n", "Labels": STACK}, "ingress": {"Name": "ingress", "Id": "i"}},
        secrets={"shop_key": kept_secret(), "theirs": kept_secret("theirs", labels={})},
        configs={"shop_file": stored(named("shop_file"))},
    )
    assert operations(a_plan(), present, prune=False) == ()
    assert told(operations(a_plan(), present, prune=True)) == [
        ("remove", "service shop_old"),
        ("remove", "network shop_n"),
        ("remove", "secret shop_key"),
        ("remove", "config shop_file"),
    ]


def test_an_update_goes_by_the_version_that_was_seen_and_keeps_what_was_forced() -> None:
    there = stored(a_spec())
    there["Spec"]["TaskTemplate"]["ForceUpdate"] = 3
    (update,) = operations(a_plan(services=(a_spec(image="x:2"),)), Present({"shop_web": there}), prune=False)
    assert (update.act, update.id, update.version) == (Act.UPDATE, "id-1", 7)
    assert update.body is not None and update.body["TaskTemplate"]["ForceUpdate"] == 3


@pytest.mark.parametrize(
    ("given", "thing"),
    [
        ({"external": ("n",)}, "network n"),
        ({"external_secrets": ("s",)}, "secret s"),
        ({"external_configs": ("c",)}, "config c"),
    ],
)
def test_what_is_external_must_be_there(given: dict[str, Any], thing: str) -> None:
    (refused,) = operations(a_plan(**given), Present(), prune=False)
    assert told((refused,)) == [("refuse", thing)]
    assert isinstance(refused.fault, NotFound)
    assert str(refused.fault) == "is declared external and is not there; create it first"


@pytest.mark.parametrize(
    ("given", "present", "sentence"),
    [
        ({"networks": ({"Name": "n"},)}, Present(networks={"n": {"Name": "n", "Id": "i"}}), "belongs to no stack shop"),
        ({"secrets": (named("s"),)}, Present(secrets={"s": kept_secret("s", labels={})}), "declare it external"),
        ({"configs": (named("c"),)}, Present(configs={"c": stored(named("c", labels={}))}), "declare it external"),
        ({"services": (a_spec("w"),)}, Present({"w": stored({"Name": "w"})}), "does not belong to the stack shop"),
    ],
)
def test_a_name_that_others_have_is_left_alone(given: dict[str, Any], present: Present, sentence: str) -> None:
    assert sentence in conflict(a_plan(**given), present)


def test_other_data_are_refused_with_the_way_out_and_never_shown() -> None:
    word = "is there with other data; secrets never change: give it another name, such as shop_key_v2"
    said = conflict(a_plan(secrets=(named("shop_key", OTHER),)), Present(secrets={"shop_key": kept_secret()}))
    assert word in said
    assert OTHER not in said
    there = Present(configs={"f": stored(named("f"))})
    assert "configs never change" in conflict(a_plan(configs=(named("f", OTHER),)), there)


def test_all_that_is_refused_is_told_at_once_and_nothing_else_is_passed_over() -> None:
    plan = a_plan(external_configs=("c",), secrets=(named("s", OTHER), named("t")), services=(a_spec(),))
    found = operations(plan, Present(secrets={"s": kept_secret("s")}), prune=False)
    assert told(found) == [
        ("refuse", "config c"), ("refuse", "secret s"), ("create", "secret t"), ("create", "service shop_web"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["secret", "config"])
@pytest.mark.parametrize(
    ("before", "after"), [({}, {"Templating": {"Name": "golang"}}), ({"Templating": {"Name": "golang"}}, {})]
)
def test_another_template_driver_counts_as_other_data(kind: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    there = kept_secret("f") if kind == "secret" else stored(named("f"))
    known = {"f": there | {"Spec": there["Spec"] | before}}
    present = Present(secrets=known) if kind == "secret" else Present(configs=known)
    assert "f is there with other data" in conflict(a_plan(**{f"{kind}s": (named("f") | after,)}), present)


def kept_network(**given: Any) -> Present:
    """As the manager shows one that nothing special was asked of."""
    plain = {"Driver": "overlay", "Scope": "swarm", "Internal": False, "Attachable": False, "EnableIPv6": False}
    ranges = {"Driver": "default", "Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"}], "Options": None}
    there = {"Name": "shop_n", "Id": "n", "Labels": STACK, "IPAM": ranges, "Options": {"vni": "4097", "mtu": "1400"}}
    return Present(networks={"shop_n": there | plain | given})


@pytest.mark.parametrize(
    ("wish", "there", "told"),
    [
        ({"Internal": True}, {}, "Internal False -> True"),
        ({}, {"Internal": True}, "Internal True -> False"),
        ({"Attachable": True}, {}, "Attachable False -> True"),
        ({"EnableIPv6": True}, {}, "EnableIPv6 False -> True"),
        ({}, {"Driver": "bridge"}, "Driver bridge -> overlay"),
        ({"Options": {"mtu": "1300"}}, {}, "Options.mtu 1400 -> 1300"),
        ({"IPAM": {"Config": [{"Subnet": "10.2.0.0/24"}]}}, {}, "IPAM.Config.Subnet 10.1.0.0/24 -> 10.2.0.0/24"),
        ({"IPAM": {"Config": [{"IPRange": "10.1.0.0/28"}]}}, {}, "IPAM.Config.IPRange none -> 10.1.0.0/28"),
    ],
)
def test_a_network_that_would_have_to_change_is_refused_with_what_differs(
    wish: dict[str, Any], there: dict[str, Any], told: str
) -> None:
    plan = a_plan(networks=({"Name": "shop_n", "Driver": "overlay", "Labels": STACK} | wish,))
    assert conflict(plan, kept_network(**there)) == (
        f"shop_n is there with other settings ({told}); networks never change: give it another name, or remove it first"
    )


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"Options": {"mtu": "1400"}},
        {"IPAM": {"Config": [{"Subnet": "10.1.0.0/255.255.255.0"}]}},
        {"Labels": STACK | {"a": "b"}},
    ],
)
def test_a_network_that_is_as_the_file_says_is_kept(wish: dict[str, Any]) -> None:
    plan = a_plan(networks=({"Name": "shop_n", "Driver": "overlay", "Labels": STACK} | wish,))
    assert told(operations(plan, kept_network(), prune=False)) == [("keep", "network shop_n")]


def test_labels_of_secrets_and_configs_change_and_a_secrets_data_are_not_sent_again() -> None:
    labels = STACK | {"team": "a"}
    plan = a_plan(secrets=(named("shop_key", labels=labels),), configs=(named("f", labels=labels),))
    present = Present(secrets={"shop_key": kept_secret()}, configs={"f": stored(named("f"))})
    secret, config = operations(plan, present, prune=False)
    assert list(change_lines((secret, config))) == [
        "~ secret shop_key",
        '    Labels.team: (default) -> "a"',
        "~ config f",
        '    Labels.team: (default) -> "a"',
    ]
    assert secret.body is not None and "Data" not in secret.body
    assert secret.body["Labels"][DIGEST_LABEL] == digest_of(DATA, SALT)


def test_a_secret_without_a_digest_is_left_to_the_manager_to_compare() -> None:
    there = Present(secrets={"shop_key": stored({"Name": "shop_key", "Labels": STACK})})
    (asked,) = operations(a_plan(secrets=(named("shop_key"),)), there, prune=False)
    assert (asked.act, asked.note) == (Act.COMPARE, NOT_COMPARED)
    assert not changes_something(asked)
    assert asked.body is not None and asked.body["Data"] == DATA


def test_digests_tell_equal_from_other_and_whether_they_can_tell() -> None:
    digest = digest_of(DATA, SALT)
    assert agrees(digest, DATA) is True
    assert agrees(digest, OTHER) is False
    assert digest_of(DATA, b"another salt....") != digest
    assert [agrees(text, DATA) for text in ("", "md5$x", digest.rpartition("$")[0][:-3], "scrypt$16384$8$1$?$x")] == [
        None
    ] * 4


def test_what_is_secret_stands_in_no_repr_and_no_line() -> None:
    plan = a_plan(secrets=(named("shop_key"),))
    found = operations(plan, Present(), prune=False)
    shown = [repr(plan), repr(found), *change_lines(found), repr(list(change_documents(found)))]
    assert not any(DATA in text for text in shown)
    assert list(change_lines(found)) == ["+ secret shop_key", "    Data: new data"]


def test_changes_are_told_per_field_and_of_lists_what_goes_and_comes() -> None:
    plan = a_plan(services=(a_spec(image="x:2", Env=["A=2", "B=1"], User="me"), a_spec("shop_new")))
    present = Present({"shop_web": stored(a_spec(Env=["A=1", "B=1"])), "shop_old": stored(a_spec("shop_old"))})
    found = operations(plan, present, prune=True)
    assert list(change_lines(found)) == [
        "~ service shop_web",
        "    TaskTemplate.ContainerSpec.Env:",
        '      - "A=1"',
        '      + "A=2"',
        '    TaskTemplate.ContainerSpec.Image: "x:1" -> "x:2"',
        '    TaskTemplate.ContainerSpec.User: (default) -> "me"',
        "+ service shop_new",
        "- service shop_old",
    ]
    assert next(iter(change_documents(found)))["Fields"][1] == {
        "Path": "TaskTemplate.ContainerSpec.Image",
        "Old": "x:1",
        "New": "x:2",
    }


def test_another_order_of_a_list_that_has_one_is_told_whole() -> None:
    plan = a_plan(services=(a_spec(Args=["b", "a"]),))
    (line,) = list(change_lines(operations(plan, Present({"shop_web": stored(a_spec(Args=["a", "b"]))}), prune=False)))[
        1:
    ]
    assert line == '    TaskTemplate.ContainerSpec.Args: ["a", "b"] -> ["b", "a"]'


def test_kinds_are_told_apart_by_more_than_their_names() -> None:
    plan = a_plan(secrets=(named("same"),))
    present = Present(secrets={"same": kept_secret("same")}, configs={"same": stored(named("same"))})
    assert told(operations(plan, present, prune=True)) == [("keep", "secret same"), ("remove", "config same")]
    assert Kind.CONFIG.value == "config"
