"""A stack that the cluster would refuse: told before anything is written, each fault with its place in the file."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.shell import Shell, running_shell

from swarmpy.cli.checking import check
from swarmpy.client import Client
from swarmpy.errors import BadRequest, Conflict, Forbidden, NotFound, SwarmpyError
from swarmpy.limits import LARGEST_BODY
from swarmpy.stack.changes import Act, Kind, Operation
from swarmpy.stack.plan import StackPlan

TWO_FAULTS = """\
services:
  web:
    image: shop/web:1
    deploy:
      placement:
        constraints:
          - node.role=manager
    secrets: [key]
  db:
    image: shop/db:1
    environment: {A: 1}
    stop_grace_period: 10s
    deploy: {placement: {constraints: [node.colour==red]}}
secrets:
  key: {file: ./key}
networks:
  default:
    ipam: {config: [{subnet: 10.9.0.0/16}]}
"""
POLICY = "services:\n  web:\n    image: x:1\n    privileged: true\n"
WISH = ("-c", "s.yaml", "shop")
DEPLOY = ("stack", "deploy", "-d", *WISH)
NOWHERE = StackPlan("shop", (), (), (), ())


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with running_shell(tmp_path) as running:
        (tmp_path / "key").write_text("open sesame")
        yield running


def given(shell: Shell, text: str) -> int:
    """The revision of the cluster now."""
    (shell.folder / "s.yaml").write_text(text)
    return shell.api.state.revision


@pytest.mark.parametrize("words", [DEPLOY, (*DEPLOY, "--dry-run"), ("stack", "diff", *WISH)])
async def test_all_faults_are_told_with_their_lines_and_nothing_stays_behind(
    shell: Shell, words: tuple[str, ...]
) -> None:
    revision = given(shell, TWO_FAULTS)
    said = await shell.run(*words)
    assert (said.code, said.out) == (2, "")
    assert [line.partition(" node.hostname")[0] for line in said.err.splitlines()] == [
        "swarmpy: s.yaml:6: service web: constraint expected one operator from ==, !=: 'node.role=manager'",
        "s.yaml:13: service db: constraint 'node.colour==red': unknown key 'node.colour'; known are node.id,",
    ]
    assert shell.api.state.revision == revision


async def test_what_is_missing_or_other_than_wished_is_told_with_all_the_rest(shell: Shell) -> None:
    first = "services: {web: {image: 'x:1', secrets: [key]}}\nsecrets: {key: {file: ./key}}\n"
    given(shell, first)
    await shell.ok(*DEPLOY)
    (shell.folder / "key").write_text("open barley")
    text = (
        "services:\n  web:\n    image: x:1\n    secrets: [key]\n    configs: [nowhere]\n    networks: [far]\n"
        "    deploy: {placement: {constraints: [foo]}}\nsecrets:\n  key: {file: ./key}\n"
        "configs:\n  nowhere: {external: true}\nnetworks:\n  far: {external: true}\n"
    )
    revision = given(shell, text)
    said = await shell.run(*DEPLOY)
    assert (said.code, said.out) == (2, "")
    assert [line.removeprefix("swarmpy: ").partition(";")[0] for line in said.err.splitlines()] == [
        "s.yaml:7: service web: constraint expected one operator from ==, !=: 'foo'",
        "s.yaml:9: secret key: shop_key is there with other data",
        "s.yaml:11: config nowhere: is declared external and is not there",
        "s.yaml:13: network far: is declared external and is not there",
    ]
    assert shell.api.state.revision == revision


async def test_what_the_policy_forbids_is_told_at_its_key_and_has_its_own_code(shell: Shell) -> None:
    revision = given(shell, POLICY)
    for words in (DEPLOY, ("stack", "diff", *WISH)):
        said = await shell.run(*words)
        assert (said.code, said.out) == (7, "")
        assert said.err.startswith("swarmpy: s.yaml:4: service web: privileged: touches the machine")
    assert shell.api.state.revision == revision


async def test_an_empty_secret_is_told_at_the_secret_and_not_at_who_uses_it(shell: Shell) -> None:
    (shell.folder / "key").write_text("")
    text = "services:\n  web: {image: 'x:1', secrets: [key]}\nsecrets:\n  key: {file: ./key}\n"
    revision = given(shell, text)
    said = await shell.run(*DEPLOY)
    assert (said.code, said.err) == (
        2,
        "swarmpy: s.yaml:4: secret key: Data of a secret must be 1 to 512000 bytes, and this one has 0\n",
    )
    assert shell.api.state.revision == revision


async def test_a_range_of_ports_that_no_request_can_hold_is_told_at_its_service(shell: Shell) -> None:
    revision = given(shell, "services:\n  web:\n    image: x:1\n    ports: ['1-60000:1-60000']\n")
    said = await shell.run(*DEPLOY)
    assert said.code == 2
    assert said.err.startswith("swarmpy: s.yaml:2: service web: what is to be sent of it takes")
    assert "publish fewer ports" in said.err
    assert shell.api.state.revision == revision


async def test_a_rollback_to_what_is_not_allowed_any_more_changes_nothing(shell: Shell) -> None:
    template = {"ContainerSpec": {"Image": "x:1"}}
    services = [
        {"Name": name, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": replicas}}}
        for name, replicas in (("shop_web", 1), ("shop_db", -1))
    ]
    await shell.api.post("/stacks/shop/revisions", {"Services": services})
    revision = shell.api.state.revision
    said = await shell.run("stack", "rollback", "-d", "--to", "1", "shop")
    assert said.code == 2
    assert "service shop_db: Mode.Replicated.Replicas must be between 0 and 100000" in said.err
    assert shell.api.state.revision == revision


class Answering(Client):
    """Answers each question with the next of its answers; keeps what it was asked."""

    def __init__(self, *answers: list[dict[str, Any]] | SwarmpyError) -> None:
        super().__init__("unix:///nowhere")
        self.answers = list(answers)
        self.asked: list[list[dict[str, Any]]] = []

    def post(self, path: str, body: Any = None, *, headers: Any = None, **query: str) -> Any:
        self.asked.append(body["Writes"])
        answer = self.answers.pop(0)
        if isinstance(answer, SwarmpyError):
            raise answer
        return answer


def creating(kind: Kind, name: str, **body: Any) -> Operation:
    return Operation(Act.CREATE, kind, name, body={"Name": name, **body})


def fault(name: str, status: int, message: str) -> dict[str, Any]:
    return {"Kind": "service", "Name": name, "Message": message, "Status": status}


def test_a_manager_that_knows_no_such_question_is_not_waited_for() -> None:
    client = Answering(NotFound("page not found"))
    check(client, NOWHERE, [creating(Kind.SERVICE, "shop_web")])
    assert len(client.asked) == 1


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("service shop_web already exists", "service shop_web already exists"),
        ("update out of sequence", "service shop_web: update out of sequence"),
    ],
)
def test_what_came_into_being_meanwhile_is_of_someone_who_was_faster(message: str, told: str) -> None:
    client = Answering([fault("shop_web", 409, message)])
    with pytest.raises(Conflict, match=f"^{told}: someone else was faster; deploy again$"):
        check(client, NOWHERE, [creating(Kind.SERVICE, "shop_web")])


def test_two_of_one_name_in_the_files_are_in_their_own_way() -> None:
    client = Answering([{"Kind": "secret", "Name": "s", "Message": "secret s already exists", "Status": 409}])
    with pytest.raises(Conflict, match=r"already exists$"):
        check(client, NOWHERE, [creating(Kind.SECRET, "s"), creating(Kind.SECRET, "s")])


def test_what_changes_nothing_is_not_asked_about() -> None:
    client = Answering([])
    kept = Operation(Act.KEEP, Kind.SERVICE, "shop_web", "s-1", 7, {"Name": "shop_web"})
    check(client, NOWHERE, [kept, Operation(Act.REMOVE, Kind.SERVICE, "shop_db", "s-2")])
    assert client.asked == []
    check(client, NOWHERE, [kept], all_services=True)
    assert client.asked == [
        [{"Kind": "service", "Name": "shop_web", "ID": "s-1", "Version": 7, "Spec": {"Name": "shop_web"}}]
    ]


def test_the_data_of_what_is_new_do_not_travel_to_be_judged() -> None:
    client = Answering([])
    check(client, NOWHERE, [creating(Kind.SECRET, "shop_key", Data="b3BlbiBzZXNhbWU=")])
    assert client.asked == [[{"Kind": "secret", "Name": "shop_key", "Spec": {"Name": "shop_key"}, "Size": 11}]]


def test_a_stack_larger_than_a_request_is_asked_about_in_portions_and_a_fault_is_told_once() -> None:
    wrong = {"Kind": "network", "Name": "shop_n", "Message": "wrong", "Status": 400}
    client = Answering(*([[wrong]] * 5))
    large = {"a": "x" * (LARGEST_BODY // 3)}
    services = [creating(Kind.SERVICE, f"shop_{number}", Labels=large) for number in range(4)]
    with pytest.raises(BadRequest) as caught:
        check(client, NOWHERE, [creating(Kind.NETWORK, "shop_n"), *services])
    assert str(caught.value) == "network shop_n: wrong"
    asked = [[write["Name"] for write in writes] for writes in client.asked]
    assert asked == [["shop_n"], *(["shop_n", f"shop_{number}"] for number in range(4))]


def test_what_services_refer_to_is_divided_too_and_goes_along_with_them_in_short() -> None:
    client = Answering([], [], [], [])
    text, subnet = "x" * (400 << 10), {"Config": [{"Subnet": "10.9.0.0/16"}]}
    secrets = [creating(Kind.SECRET, f"shop_{number}", Data="eA==", Labels={"a": text}) for number in range(2)]
    network = creating(Kind.NETWORK, "shop_n", IPAM=subnet, Labels={"a": "b"})
    renewed = Operation(Act.UPDATE, Kind.CONFIG, "shop_c", "c-1", 7, {"Name": "shop_c"})
    check(client, NOWHERE, [network, *secrets, renewed, creating(Kind.SERVICE, "shop_web")])
    assert [[write["Name"] for write in writes] for writes in client.asked] == [
        ["shop_n"],
        ["shop_n", "shop_0"],
        ["shop_n", "shop_0", "shop_1"],
        ["shop_n", "shop_0", "shop_1", "shop_c", "shop_web"],
    ]
    assert client.asked[3][:2] == [
        {"Kind": "network", "Name": "shop_n", "Spec": {"Name": "shop_n", "IPAM": subnet}},
        {"Kind": "secret", "Name": "shop_0", "Spec": {"Name": "shop_0"}, "Size": 1},
    ]


def test_a_stack_of_many_large_secrets_is_no_larger_than_requests_are() -> None:
    """Data travel where they are to be compared."""
    client = Answering(*([[]] * 9))
    data = "x" * (600 << 10)
    body = {"Name": "shop_k", "Data": data}
    secrets = [Operation(Act.COMPARE, Kind.SECRET, f"shop_{n}", f"s-{n}", 7, body) for n in range(8)]
    check(client, NOWHERE, [*secrets, creating(Kind.SERVICE, "shop_web")])
    assert max(len(json.dumps(writes)) for writes in client.asked) < LARGEST_BODY
    assert [write["Name"] for write in client.asked[-1]][-1] == "shop_web"


def test_what_fits_no_question_beside_what_it_needs_is_left_to_its_write() -> None:
    client = Answering([], [])
    service = creating(Kind.SERVICE, "shop_web", Labels={"a": "x" * (LARGEST_BODY - 2000)})
    networks = [creating(Kind.NETWORK, f"shop_{number}", Labels={"a": "x" * 9000}) for number in range(30)]
    check(client, NOWHERE, [*networks, service])
    assert sum(len(writes) for writes in client.asked) >= 30
    assert not any(write["Name"] == "shop_web" for writes in client.asked for write in writes)


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ((fault("a", 403, "service a: one"), fault("b", 403, "two")), Forbidden),
        ((fault("a", 403, "service a: one"), fault("b", 400, "two")), BadRequest),
        ((fault("a", 409, "service a: one"), fault("b", 500, "update out of sequence")), Conflict),
    ],
)
def test_reasons_of_one_kind_keep_its_code_and_of_several_are_bad_input(
    faults: tuple[dict[str, Any], ...], error: type[SwarmpyError]
) -> None:
    client = Answering(list(faults))
    with pytest.raises(error) as caught:
        check(client, NOWHERE, [creating(Kind.SERVICE, "a"), creating(Kind.SERVICE, "b")])
    assert type(caught.value) is error
    assert str(caught.value).startswith("service a: one\nservice b: ")
