"""Deployments against a manager whose answers are written down: what is sent, in which order, and what is told."""

import base64
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest

from swarmpy.cli.removing import remove_stack
from swarmpy.cli.rollout import Manner, roll_out
from swarmpy.client import Client
from swarmpy.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    OutOfSequence,
    SwarmpyError,
    TimedOut,
    Unavailable,
)
from swarmpy.stack.plan import StackPlan
from swarmpy.stack.sameness import DIGEST_LABEL, agrees

STACK = {"com.docker.stack.namespace": "shop"}
DATA = base64.b64encode(b"open sesame").decode()
DETACHED = Manner(timedelta(seconds=1), detach=True, form="table")


@dataclass
class Call:
    method: str
    path: str
    body: Any = None


class ScriptedClient(Client):
    """`lists` are answers to GET by path; what is created gets the id `id of NAME`; `refusals` by method and path."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        super().__init__("unix:///nowhere")
        self.lists = lists
        self.refusals: dict[str, SwarmpyError] = {}
        self.calls: list[Call] = []
        self.asked: list[str] = []
        self.checked: list[Any] = []
        self.faults: list[dict[str, Any]] = []

    def _call(self, method: str, target: str, body: Any = None, headers: Any = None) -> Any:
        path = target.removeprefix("/v1.45").partition("?")[0]
        if method == "GET":
            self.asked.append(unquote_plus(target.removeprefix("/v1.45")))
            if f"GET {path}" in self.refusals:
                raise self.refusals[f"GET {path}"]
            return self.lists.get(path.strip("/"), [])
        if path.endswith("/check"):
            self.checked.append(body)
            return self.faults
        self.calls.append(Call(method, path, body))
        if f"{method} {path}" in self.refusals:
            raise self.refusals[f"{method} {path}"]
        if path.endswith("/revisions") and method == "POST":
            return {"Number": 1}
        return {key: f"id of {(body or {}).get('Name')}" for key in ("ID", "Id")} if body else None

    @property
    def told(self) -> list[str]:
        return [f"{call.method} {call.path}" for call in self.calls]


@dataclass
class Said:
    things: dict[str, str] = field(default_factory=dict)

    def __call__(self, thing: str, became: str) -> None:
        self.things[thing] = became


def a_plan(**given: Any) -> StackPlan:
    secret = {"Name": "shop_key", "Labels": STACK, "Data": DATA}
    container = {"Image": "x:1", "Secrets": [{"SecretName": "shop_key", "File": {"Name": "key"}}]}
    container["Configs"] = [{"ConfigName": "theirs", "File": {"Name": "/file"}}]
    service = {"Name": "shop_web", "Labels": STACK, "TaskTemplate": {"ContainerSpec": container}}
    known = {"networks": (), "external": (), "services": (service,), "warnings": (), "secrets": (secret,)}
    return StackPlan(**({"name": "shop", "external_configs": ("theirs",)} | known | given))


def test_services_name_the_secrets_that_were_just_made_by_their_ids() -> None:
    client, said = ScriptedClient(configs=[{"ID": "c-1", "Spec": {"Name": "theirs"}}]), Said()
    assert roll_out(client, a_plan(), DETACHED, said) == 0

    secret, service, revision, outcome = client.calls
    assert secret.path == "/secrets/create"
    assert agrees(secret.body["Labels"][DIGEST_LABEL], DATA)
    container = service.body["TaskTemplate"]["ContainerSpec"]
    assert container["Secrets"] == [{"SecretName": "shop_key", "File": {"Name": "key"}, "SecretID": "id of shop_key"}]
    assert container["Configs"] == [{"ConfigName": "theirs", "File": {"Name": "/file"}, "ConfigID": "c-1"}]
    assert said.things == {"secret shop_key": "created", "service shop_web": "created"}
    assert (revision.path, revision.body["Secrets"], revision.body["Configs"]) == (
        "/stacks/shop/revisions",
        ["shop_key"],
        ["theirs"],
    )
    assert DATA not in repr(revision.body)
    assert outcome.path == "/stacks/shop/revisions/1/outcome"
    assert outcome.body == {"State": "unknown", "Reason": "detached"}


def test_nothing_is_written_when_something_external_is_missing() -> None:
    client = ScriptedClient()
    with pytest.raises(NotFound, match="config theirs: is declared external"):
        roll_out(client, a_plan(), DETACHED, Said())
    assert client.calls == []


def test_what_is_missing_is_supposed_to_be_there_so_that_all_else_is_told_in_the_same_round() -> None:
    client = ScriptedClient()
    client.faults = [
        {"Kind": "config", "Name": "theirs", "Message": "it is empty", "Status": 400},
        {"Kind": "service", "Name": "shop_web", "Message": "constraint 'x'", "Status": 400},
    ]
    with pytest.raises(BadRequest) as caught:
        roll_out(client, a_plan(), DETACHED, Said())
    assert str(caught.value).splitlines() == [
        "config theirs: is declared external and is not there; create it first",
        "service shop_web: constraint 'x'",
    ]
    assert {"Kind": "config", "Name": "theirs", "Spec": {"Name": "theirs"}, "Size": 0} in client.checked[0]["Writes"]
    assert client.calls == []


def test_a_reference_to_what_no_file_defines_is_refused_by_name() -> None:
    client = ScriptedClient(configs=[{"ID": "c-1", "Spec": {"Name": "theirs"}}])
    with pytest.raises(NotFound, match="secret shop_key is not there"):
        roll_out(client, a_plan(secrets=()), DETACHED, Said())


@pytest.mark.parametrize(
    ("refusal", "error", "told"),
    [
        (Conflict("service shop_web: its name is taken"), Conflict, "service shop_web: its name is taken"),
        (Conflict("its name is taken"), Conflict, "service shop_web: its name is taken"),
        (Forbidden("service shop_web: privileged"), Forbidden, "service shop_web: privileged"),
        (OutOfSequence(), Conflict, "service shop_web: update out of sequence: someone else was faster; deploy again"),
    ],
)
def test_a_refused_write_takes_back_what_was_made_for_it_and_is_named_once(
    refusal: SwarmpyError, error: type[SwarmpyError], told: str
) -> None:
    client, said = ScriptedClient(configs=[{"ID": "c-1", "Spec": {"Name": "theirs"}}]), Said()
    client.refusals["POST /services/create"] = refusal
    with pytest.raises(error) as caught:
        roll_out(client, a_plan(), DETACHED, said)
    assert (type(caught.value), str(caught.value)) == (error, told)
    assert client.told[-1] == "DELETE /secrets/id%20of%20shop_key"


@pytest.mark.parametrize("error", [TimedOut("no answer in time"), Unavailable("lost the manager")])
def test_where_nobody_knows_whether_it_was_written_nothing_is_taken_back(error: SwarmpyError) -> None:
    client = ScriptedClient(configs=[{"ID": "c-1", "Spec": {"Name": "theirs"}}])
    client.refusals["POST /services/create"] = error
    with pytest.raises(type(error)) as caught:
        roll_out(client, a_plan(), DETACHED, Said())
    assert caught.value is error
    assert client.told == ["POST /secrets/create", "POST /services/create"]


def old_things() -> dict[str, list[dict[str, Any]]]:
    def old(name: str) -> dict[str, Any]:
        return {"ID": f"old-{name}", "Version": {"Index": 1}, "Spec": {"Name": name, "Labels": STACK}}

    return {
        "services": [old("shop_gone")],
        "secrets": [old("shop_pass")],
        "configs": [old("shop_file")],
        "networks": [{"Id": "old-n", "Name": "shop_n", "Labels": STACK}],
    }


def test_what_cannot_be_pruned_is_named_and_keeps_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    client, said = ScriptedClient(**old_things()), Said()
    client.refusals["DELETE /secrets/old-shop_pass"] = BadRequest("secret 'shop_pass' is in use by other")
    plan = a_plan(services=(), secrets=(), external_configs=())
    manner = Manner(timedelta(seconds=1), detach=True, form="table", prune=True)

    assert roll_out(client, plan, manner, said) == 1
    assert client.told == [
        "DELETE /services/old-shop_gone",
        "POST /stacks/shop/revisions",
        "POST /stacks/shop/revisions/1/outcome",
        "DELETE /networks/old-n",
        "DELETE /secrets/old-shop_pass",
        "DELETE /configs/old-shop_file",
    ]
    assert capsys.readouterr().err == "swarmpy: secret shop_pass stays: secret 'shop_pass' is in use by other\n"
    assert set(said.things) == {"service shop_gone", "network shop_n", "config shop_file"}


def test_a_rollback_takes_away_services_only() -> None:
    client = ScriptedClient(**old_things())
    manner = Manner(timedelta(seconds=1), detach=True, form="table", prune_services=True)
    assert roll_out(client, a_plan(services=(), secrets=(), external_configs=()), manner, Said()) == 0
    assert [call for call in client.told if "DELETE" in call] == ["DELETE /services/old-shop_gone"]


def test_a_revision_that_cannot_be_kept_is_told_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    client = ScriptedClient()
    client.refusals["POST /stacks/shop/revisions"] = BadRequest("it is too large")
    assert roll_out(client, a_plan(services=(), secrets=(), external_configs=()), DETACHED, Said()) == 0
    assert capsys.readouterr().err == "warning: this deployment is not kept as a revision: it is too large\n"


def test_no_more_secrets_and_configs_are_asked_for_than_the_stack_has_or_names() -> None:
    client = ScriptedClient(configs=[{"ID": "c-1", "Spec": {"Name": "theirs"}}])
    roll_out(client, a_plan(), DETACHED, Said())
    own = '{"label": ["com.docker.stack.namespace=shop"]}'
    assert [asked for asked in client.asked if "secrets" in asked or "configs" in asked] == [
        f"/secrets?filters={own}",
        '/secrets?filters={"names": ["shop_key"]}',
        f"/configs?filters={own}",
        '/configs?filters={"names": ["theirs"]}',
    ]


def test_what_prune_keeps_is_told_also_when_the_waiting_ends_badly(capsys: pytest.CaptureFixture[str]) -> None:
    client = ScriptedClient(**old_things())
    client.refusals["GET /nodes"] = Unavailable("no manager answers")
    manner = Manner(timedelta(0), detach=False, form="table", prune=True)
    with pytest.raises(Unavailable):
        roll_out(client, a_plan(services=(), secrets=(), external_configs=()), manner, Said())
    assert [call.body["State"] for call in client.calls if call.path.endswith("/outcome")] == ["deploying", "unknown"]
    assert client.calls[-1].body["Reason"] == "no manager answers"
    told = capsys.readouterr().err.splitlines()
    assert told[-3:] == [
        "swarmpy: network shop_n is kept until a deployment succeeds",
        "swarmpy: secret shop_pass is kept until a deployment succeeds",
        "swarmpy: config shop_file is kept until a deployment succeeds",
    ]


def test_of_a_service_whose_update_is_paused_by_hand_nobody_says_that_it_runs_as_wished(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wish = {"Name": "shop_web", "Labels": STACK, "TaskTemplate": {"ContainerSpec": {"Image": "x:1"}}}
    update = {"State": "paused", "Message": "paused by hand"}
    service = {"ID": "s-1", "Version": {"Index": 1}, "Spec": wish, "UpdateStatus": update}
    task = {"ID": "t-1", "ServiceID": "s-1", "Slot": 1, "DesiredState": "running", "Status": {"State": "running"}}
    client = ScriptedClient(**{**old_things(), "services": [service], "tasks": [task]})
    manner = Manner(timedelta(seconds=9), detach=False, form="quiet", prune=True)
    assert roll_out(client, a_plan(services=(wish,), secrets=(), external_configs=()), manner, Said()) == 0
    assert client.calls[-1].body == {"State": "unknown", "Reason": "shop_web: its update is still paused by hand"}
    assert "swarmpy: secret shop_pass is kept until a deployment succeeds" in capsys.readouterr().err.splitlines()


def test_a_stack_goes_whole_services_first() -> None:
    client = ScriptedClient(**old_things())
    remove_stack(client, "shop", Said())
    assert client.told == [
        "DELETE /services/old-shop_gone",
        "DELETE /configs/old-shop_file",
        "DELETE /secrets/old-shop_pass",
        "DELETE /networks/old-n",
        "DELETE /stacks/shop/revisions",
    ]
