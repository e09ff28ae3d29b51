"""The shell around every request: versions, headers, errors, and the two doors (operators' socket, loopback page)."""

from collections.abc import AsyncIterator

import pytest
from support.api import Api, Exchange, request, running_api

from manager.api.app import create_status_app
from manager.api.filters import Filters, parse_filters, parse_flag
from manager.api.problems import parse_document
from manager.api.transport import STALE_HEADER, is_local_host, without_version
from swarmpy.errors import BadRequest
from swarmpy.limits import LARGEST_BODY
from swarmpy.models.service import ServiceSpec


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_api() as running:
        yield running


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("/v1.24/info", "/info"),
        ("/v1.45/services/a/b", "/services/a/b"),
        ("/info", "/info"),
        ("/v1.41x/info", "/v1.41x/info"),
    ],
)
def test_the_version_before_a_path_is_taken_away(path: str, rest: str) -> None:
    assert without_version(path) == rest


async def test_a_version_from_the_future_or_the_past_is_refused_in_dockers_words(api: Api) -> None:
    future, past = await api.get("/v1.999/info"), await api.get("/v1.12/info")
    assert (future.status, past.status) == (400, 400)
    assert future.message == "client version 1.999 is too new. Maximum supported API version is 1.45"
    assert past.message.startswith("client version 1.12 is too old. Minimum supported API version is 1.24")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_ping_tells_what_clients_decide_by(api: Api, method: str) -> None:
    answer = await request(api.app, method, "/_ping")
    assert answer.status == 200
    told = {name: answer.headers[name] for name in ("api-version", "ostype", "docker-experimental", "swarm")}
    assert told == {"api-version": "1.45", "ostype": "linux", "docker-experimental": "false", "swarm": "active/manager"}


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("POST", "/info"), ("GET", "/v1.41/no/such")])
async def test_an_unknown_path_is_not_found_in_json(api: Api, method: str, path: str) -> None:
    answer = await request(api.app, method, path)
    assert (answer.status, answer.json) == (404, {"message": "page not found"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["api-version"] == "1.45"


async def test_every_read_works_with_the_newest_version_the_oldest_and_none(api: Api) -> None:
    for prefix in ("", "/v1.24", "/v1.45"):
        for path in (
            "/services",
            "/tasks",
            "/nodes",
            "/networks",
            "/secrets",
            "/configs",
            "/containers/json",
            "/stacks",
        ):
            answer = await api.get(prefix + path)
            assert (answer.status, answer.json) == (200, []), path


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"Name": "web", "TaskTemplate": {"Spin": 1}}', "TaskTemplate.Spin is not a known field"),
        (b'{"Name": 5}', "Name must be a string"),
        (
            b'{"TaskTemplate": {"ContainerSpec": {"Mounts": [{"Type": "what"}]}}}',
            "TaskTemplate.ContainerSpec.Mounts[0].Type must be",
        ),
        (b'{"Mode": {"Replicated": {"Replicas": "many"}}}', "Mode.Replicated.Replicas must be a whole number"),
        (b'{"Labels": []}', "Labels must be an object"),
        (b'{"Name": "web"', "the body is no valid JSON: EOF while parsing an object at line 1 column 14"),
        (b'{"Name": 1, "Labels": 2}', "(and 1 more)"),
        (b"[]", "the body must be an object"),
        (b"[" * 5000 + b"]" * 5000, "the body is no valid JSON: recursion limit exceeded"),
        (b'{"Name": "\xff"}', "the body is no valid JSON: invalid unicode"),
        (
            b'{"TaskTemplate": {"RestartPolicy": {"Delay": 9223372036854775808}}}',
            "TaskTemplate.RestartPolicy has a number that does not fit in 64 bits: Delay",
        ),
    ],
)
def test_a_body_that_does_not_fit_names_the_field(body: bytes, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_document(body, ServiceSpec)
    assert sentence in str(refusal.value)


async def test_an_empty_body_is_named(api: Api) -> None:
    answer = await api.post("/services/create", b"")
    assert (answer.status, answer.message) == (400, "the request has no body; send JSON")


async def test_a_body_that_no_object_can_need_is_refused(api: Api) -> None:
    answer = await api.post("/services/create", b" " * (LARGEST_BODY + 1))
    assert (answer.status, answer.message.split(",")[0]) == (400, "the request's body is larger than 4 MiB")


async def test_a_client_that_hangs_up_before_its_body_is_whole_is_no_fault_of_ours(api: Api) -> None:
    """A failure would be raised here."""
    async with Exchange(api.app, "POST", "/services/create", body=b"{", is_whole=False).running():
        pass
    assert api.state.services == {}


async def test_a_version_of_any_length_is_no_fault_of_ours(api: Api) -> None:
    answer = await api.get("/v" + "9" * 5000 + ".1/info")
    assert answer.status == 404


@pytest.mark.parametrize("text", ['{"name": {"web": true, "db": false}}', '{"name": ["web"]}', '{"name": "web"}'])
def test_filters_are_read_in_both_dialects(text: str) -> None:
    assert parse_filters(text, ["name"]).get("name") == ("web",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"nome": ["x"]}', "Invalid filter 'nome'"),
        ("{", "filters is no valid JSON"),
        ("[]", "filters must be a JSON object"),
        ('{"name": ' + "[" * 5000 + "]" * 5000 + "}", "filters is nested too deeply"),
        ('{"name": [1]}', "the values of filter 'name' must be strings"),
    ],
)
def test_filters_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        parse_filters(text, ["name"])


def test_values_of_a_filter_are_alternatives_and_labels_are_not() -> None:
    wanted = Filters({"name": ("a", "b"), "label": ("x", "y=1")})
    assert wanted.passes("name", "b")
    assert not wanted.passes("name", "c", None)
    assert wanted.passes("role", "anything")
    assert wanted.passes_prefix("name", "bcd")
    assert not wanted.passes_prefix("name", "", None)
    assert wanted.passes_part("name", "xax")
    assert wanted.passes_labels("label", {"x": "", "y": "1"})
    assert not wanted.passes_labels("label", {"x": "", "y": "2"})
    assert not wanted.passes_labels("label", None)


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("True", True), ("true", True), ("0", False), ("False", False), (None, False)]
)
def test_truth_is_written_in_many_ways(text: str | None, value: bool) -> None:
    assert parse_flag("status", text) is value


def test_what_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(BadRequest, match="invalid value 'maybe' for status"):
        parse_flag("status", "maybe")


async def test_with_the_store_away_reads_are_marked_stale_and_writes_say_why(api: Api) -> None:
    await api.lose_store()
    read = await api.get("/services")
    assert read.status == 200
    assert read.headers[STALE_HEADER.lower()] == "2030-01-01T00:00:00.000000Z"

    written = await api.post("/networks/create", {"Name": "n"})
    assert written.status == 503
    assert "etcd is away since 2030-01-01T00:00:00.000000Z" in written.message
    assert "connection refused" in written.message

    await api.find_store()
    assert STALE_HEADER.lower() not in (await api.get("/services")).headers
    assert (await api.post("/networks/create", {"Name": "n"})).status == 201


async def test_a_manager_that_does_not_lead_reads_and_does_not_write() -> None:
    async with running_api(leading=False) as follower:
        assert (await follower.get("/services")).status == 200
        answer = await follower.post("/networks/create", {"Name": "n"})
        assert (answer.status, "does not lead, and no leader is known" in answer.message) == (503, True)


@pytest.mark.parametrize("host", ["localhost", "localhost:2378", "127.0.0.1:2378", "[::1]:2378", "LOCALHOST"])
def test_loopback_names_are_local(host: str) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:2378", "127.0.0.1.evil.example", "localhost.evil:80"]
)
async def test_the_page_answers_no_other_name(api: Api, host: str) -> None:
    answer = await request(create_status_app(api.context), "GET", "/status", headers={"host": host})
    assert answer.status == 403


async def test_the_page_lets_nothing_in_from_elsewhere(api: Api) -> None:
    answer = await request(create_status_app(api.context), "GET", "/ui")
    assert answer.status == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/services", "/info", "/swarm", "/networks", "/events", "/stacks"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_the_loopback_door_opens_to_nothing_but_the_page(api: Api, method: str, path: str) -> None:
    assert (await request(create_status_app(api.context), method, path)).status == 404


@pytest.mark.parametrize("path", ["/status", "/ui", "/healthz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_the_loopback_door_takes_no_orders(api: Api, method: str, path: str) -> None:
    assert (await request(create_status_app(api.context), method, path)).status == 404
