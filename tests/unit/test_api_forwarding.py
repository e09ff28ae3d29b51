"""What becomes of a request: the decision, in all the ways things may stand; and what of a head travels."""

import itertools

import pytest

from manager.api.forwarding import (
    Failure,
    Here,
    Refuse,
    Standing,
    There,
    Wait,
    decide,
    headers_to_client,
    headers_to_leader,
    is_of_this_manager,
)

HERE, WAIT = Here(), Wait()
DOWN = Failure("m1:2377", "connection refused")


def standing(**fields: object) -> Standing:
    known = {"is_leading": False, "is_stale": False, "leader": "m1:2377"}
    return Standing(**(known | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("reading", [True, False])
@pytest.mark.parametrize(
    ("now", "becomes"),
    [
        (standing(), There("m1:2377")),
        (standing(is_leading=True), HERE),
        (standing(is_leading=True, is_stale=True, is_late=True, failure=DOWN), HERE),
        (standing(leader=None), WAIT),
        (standing(failure=DOWN, is_rested=False), WAIT),
        (standing(failure=DOWN), There("m1:2377")),
        (standing(leader="m2:2377", failure=DOWN, is_rested=False), There("m2:2377")),
    ],
)
def test_while_there_is_time_and_the_store_is_near(reading: bool, now: Standing, becomes: Here | There | Wait) -> None:
    assert decide(reading=reading, now=now) == becomes


@pytest.mark.parametrize(
    ("now", "becomes"),
    [
        (standing(), There("m1:2377")),
        (standing(leader=None), HERE),
        (standing(failure=DOWN, is_rested=False), HERE),
        (standing(is_late=True), HERE),
    ],
)
def test_while_the_store_is_away_a_write_is_tried_at_the_leader_once(now: Standing, becomes: Here | There) -> None:
    stale = Standing(False, True, now.leader, now.is_late, now.failure, now.is_rested)
    assert decide(reading=False, now=stale) == becomes
    assert decide(reading=True, now=stale) == HERE


def test_when_the_time_is_over_what_is_only_read_is_answered_here() -> None:
    assert decide(reading=True, now=standing(is_late=True, failure=DOWN)) == HERE


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (standing(is_late=True, failure=DOWN), "leader at m1:2377 was asked in vain: connection refused"),
        (standing(is_late=True, leader=None), "no manager leads it"),
        (standing(is_late=True, leader=None, failure=DOWN), "no manager leads it"),
    ],
)
def test_when_the_time_is_over_a_write_is_refused_with_the_reason(now: Standing, words: str) -> None:
    refusal = decide(reading=False, now=now)
    assert isinstance(refusal, Refuse)
    assert words in refusal.reason


def test_nobody_waits_for_ever() -> None:
    for reading, is_stale, leader, failure in itertools.product(
        [True, False], [True, False], [None, "m1:2377"], [None, DOWN]
    ):
        now = Standing(False, is_stale, leader, True, failure)
        assert isinstance(decide(reading=reading, now=now), Here | Refuse)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/_ping", "/v1.45/_ping", "/version", "/info", "/healthz", "/readyz", "/status", "/ui", "/ui/live",
        "/ui/static/page.css", "/v1.24/containers/json", "/images/a/b/json", "/volumes", "/plugins/x/json",
        "/distribution/a/b/json",
    ],
)  # fmt: skip
def test_what_tells_of_this_manager_is_answered_here(path: str) -> None:
    assert is_of_this_manager(path)


@pytest.mark.parametrize(
    "path", ["/services", "/v1.45/services/create", "/swarm", "/nodes/ui", "/events", "/v1.45/tasks", "/statuses"]
)
def test_what_tells_of_the_cluster_is_not(path: str) -> None:
    assert not is_of_this_manager(path)


def test_what_belongs_to_one_connection_stays_there() -> None:
    came = [
        (b"Host", b"docker"), (b"Connection", b"keep-alive, X-Mine"), (b"X-Mine", b"1"), (b"Upgrade", b"h2c"),
        (b"Transfer-Encoding", b"chunked"), (b"Expect", b"100-continue"), (b"X-Registry-Auth", b"secret"),
    ]  # fmt: skip
    assert headers_to_leader(came, b"{}") == [
        (b"Host", b"docker"),
        (b"X-Registry-Auth", b"secret"),
        (b"content-length", b"2"),
    ]


def test_a_request_without_host_and_body_gets_the_one_and_no_length_of_the_other() -> None:
    assert headers_to_leader([(b"content-length", b"0")], b"") == [(b"host", b"manager")]


def test_an_answer_keeps_its_length_and_loses_its_date() -> None:
    came = [(b"date", b"today"), (b"content-length", b"2"), (b"connection", b"close"), (b"api-version", b"1.45")]
    assert headers_to_client(came) == [(b"content-length", b"2"), (b"api-version", b"1.45")]
