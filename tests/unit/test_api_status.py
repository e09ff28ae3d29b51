"""/status, /healthz, /readyz and the rows of the page: what does not run says why, and nothing secret is shown."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from support.api import NODE_ID, Api, request, running_api
from support.builders import T0, a_cluster, a_network, a_node, a_service, a_state, a_task, at

from manager.api.app import create_status_app
from manager.api.dependencies import Kept
from manager.api.overview import service_line, service_lines
from manager.api.status import ServiceLine, StatusDocument
from manager.api.steps import Steps, at_once
from manager.objects import Reason, ReasonCode, Service
from manager.state import State
from manager.ui.page import elapsed
from manager.ui.rows import TASKS_SHOWN, ServiceCard, Tone, service_cards
from swarmpy.states import NodeState, TaskState


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_api() as running:
        yield running


def because(text: str, code: ReasonCode = ReasonCode.NO_NODE, **nodes: str) -> Reason:
    return Reason(code=code, text=text, since=T0, nodes=nodes)


def cards_of(state: State) -> list[ServiceCard]:
    return at_once(service_cards(state))


def line_of(service: Service, state: State) -> ServiceLine:
    return at_once(service_line(service, state))


async def status(api: Api) -> StatusDocument:
    answer = await request(create_status_app(api.context), "GET", "/status")
    assert answer.status == 200
    return StatusDocument.model_validate_json(answer.body)


async def test_the_status_tells_of_cluster_leader_etcd_and_nodes(api: Api) -> None:
    await api.keep(a_cluster(), a_node(NODE_ID), a_node("n2", state=NodeState.DOWN, message="no heartbeat"))
    api.connections.applied[NODE_ID] = 41
    api.connections.mapped[NODE_ID] = 40
    told = await status(api)
    assert (told.leader.node_id, told.leader.is_this) == (NODE_ID, True)
    assert (told.etcd.reachable, told.etcd.revision) == (True, api.state.revision)
    assert [(node.id, node.connected, node.applied_revision, node.mapped_revision) for node in told.nodes] == [
        (NODE_ID, True, 41, 40),
        ("n2", False, None, None),
    ]
    assert told.nodes[1].message == "no heartbeat"


async def test_lost_etcd_is_told_and_the_last_known_is_still_shown(api: Api) -> None:
    await api.keep(a_service("web"), a_network("net", reason=because("no subnet is free")))
    await api.lose_store()
    told = await status(api)
    assert (told.etcd.reachable, told.etcd.stale_since) == (False, T0)
    assert told.etcd.reason.endswith("connection refused")
    assert [service.name for service in told.services] == ["web"]
    assert told.networks[0].reason == "no subnet is free"


def test_equal_reasons_of_one_service_stand_together() -> None:
    web, reason = a_service("web", replicas=3), because("no suitable node", n1="it is drained")
    waiting = [a_task(f"t{n}", web, slot=n, node="", state=TaskState.PENDING, reason=reason) for n in (1, 2)]
    state = a_state(web, a_node("n1"), *waiting, a_task("t3", web, slot=3))
    line = line_of(web, state)
    assert (line.desired, line.running, line.healthy) == (3, 1, 1)
    (told,) = line.reasons
    assert (told.code, told.text, told.tasks, told.nodes) == (
        "no-node", "no suitable node", ("t1", "t2"), {"n1": "it is drained"},
    )  # fmt: skip


def test_a_task_on_its_way_tells_how_far_it_is() -> None:
    web = a_service("web")
    task = a_task("t", web, state=TaskState.PREPARING)
    task = task.model_copy(update={"status": task.status.model_copy(update={"message": "pulling web:1, 40 %"})})
    (told,) = line_of(web, a_state(web, a_node("n1"), task)).reasons
    assert (told.state, told.text) == ("preparing", "pulling web:1, 40 %")


def test_what_a_lost_node_runs_is_not_called_healthy_and_says_why() -> None:
    web = a_service("web")
    line = line_of(web, a_state(web, a_node("n1", state=NodeState.DOWN, since=at(5)), a_task("t", web)))
    assert (line.running, line.healthy) == (1, 0)
    (told,) = line.reasons
    assert (told.code, told.since) == ("node-down", at(5))
    assert told.text == "node n1 is down; this task was running when it was last heard of"


def test_a_task_given_up_for_good_keeps_its_reason() -> None:
    web = a_service("web")
    gone = a_task("t", web, state=TaskState.FAILED, reason=because("gave up after 3 attempts", ReasonCode.GAVE_UP))
    assert [told.text for told in line_of(web, a_state(web, gone)).reasons] == ["gave up after 3 attempts"]


async def test_a_manager_is_ready_when_its_answers_are_current_and_somebody_leads(api: Api) -> None:
    page = create_status_app(api.context)
    assert (await request(page, "GET", "/readyz")).json == {"status": "ready", "reasons": []}
    await api.lose_store()
    unready = await request(page, "GET", "/readyz")
    assert (unready.status, len(unready.json["reasons"])) == (503, 1)
    assert unready.json["reasons"][0].startswith("etcd cannot be reached: ")
    assert (await request(page, "GET", "/healthz")).status == 200


async def test_without_a_leader_a_manager_is_not_ready() -> None:
    async with running_api(leading=False) as follower:
        unready = await follower.get("/readyz")
        assert (unready.status, unready.json["reasons"]) == (503, ["the cluster has no leader"])


def test_the_page_shows_services_in_trouble_first() -> None:
    fine, slow, bad = a_service("a-fine"), a_service("b-slow"), a_service("c-bad")
    state = a_state(
        fine, slow, bad, a_node("n1"), a_task("t1", fine), a_task("t2", slow, state=TaskState.STARTING),
        a_task("t3", bad, node="", state=TaskState.PENDING, reason=because("no suitable node")),
    )  # fmt: skip
    cards = cards_of(state)
    assert [(card.line.name, card.tone) for card in cards] == [
        ("c-bad", Tone.BAD), ("b-slow", Tone.BUSY), ("a-fine", Tone.GOOD),
    ]  # fmt: skip
    assert cards[0].tasks[0].reason == "no suitable node"
    assert cards[2].tasks[0].reason == ""


def test_of_a_big_service_the_tasks_in_trouble_are_shown_and_the_rest_counted() -> None:
    web = a_service("web", replicas=40)
    running = [a_task(f"t{n:02}", web, slot=n) for n in range(1, 40)]
    waiting = a_task("waiting", web, slot=40, node="", state=TaskState.PENDING, reason=because("no suitable node"))
    (card,) = cards_of(a_state(web, a_node("n1"), *running, waiting))
    assert (len(card.tasks), card.hidden) == (TASKS_SHOWN, 40 - TASKS_SHOWN)
    assert card.tasks[0].id == "waiting"


def test_the_last_failures_are_shown_while_a_service_is_not_well() -> None:
    web = a_service("web")
    failed = a_task("old", web, state=TaskState.FAILED, desired=TaskState.SHUTDOWN, error="task: non-zero exit (1)")
    starting = a_task("new", web, state=TaskState.STARTING)
    assert [row.id for row in cards_of(a_state(web, a_node("n1"), failed, starting))[0].tasks] == ["new", "old"]
    assert [row.id for row in cards_of(a_state(web, a_node("n1"), failed, a_task("new", web)))[0].tasks] == ["new"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (86400 * 3, "3 d")]
)
def test_times_are_told_in_one_unit(seconds: int, text: str) -> None:
    assert elapsed(T0, T0 + timedelta(seconds=seconds)) == text


async def test_what_is_shown_is_made_once_while_nothing_changes(api: Api) -> None:
    await api.keep(a_node("n1"), a_service("web"), a_task("t1"))
    app = create_status_app(api.context)
    kept, made = app.state.service_cards, 0

    def counted(state: State) -> Steps[list[ServiceCard]]:
        nonlocal made
        made += 1
        return service_cards(state)

    first = await kept.of(api.state, counted)
    again = await kept.of(api.state, counted)
    assert (first is again, made) == (True, 1)

    await api.keep(a_task("t2", slot=2))
    (card,) = await kept.of(api.state, counted)
    assert ([row.id for row in card.tasks], made) == (["t1", "t2"], 2)


async def test_a_picture_that_changes_while_it_is_drawn_is_drawn_again(api: Api) -> None:
    await api.keep(a_node("n1"), a_service("web"), a_task("t1"))

    def interrupted(state: State) -> Steps[int]:
        seen = len(state.tasks)
        yield
        state.revision += seen
        return seen

    kept = Kept[int]()
    before = api.state.revision
    assert await kept.of(api.state, interrupted) == 1
    assert await kept.of(api.state, interrupted) == 1
    assert api.state.revision == before + 2


def test_every_task_of_a_big_service_is_a_step_of_its_own() -> None:
    web = a_service("web", replicas=300)
    state = a_state(web, a_node("n1"), *(a_task(f"t{n}", web, slot=n + 1) for n in range(300)))
    assert sum(1 for _ in service_cards(state)) >= 600
    assert sum(1 for _ in service_lines(state)) >= 300


async def test_what_a_container_says_is_text_on_the_page_and_never_markup(api: Api) -> None:
    words = "task: non-zero exit (1): <script>alert('x')</script>"
    failed = a_task("t1", state=TaskState.FAILED, desired=TaskState.SHUTDOWN, error=words)
    waiting = a_task("t2", state=TaskState.PENDING, node="", reason=because("<img src=x onerror=alert(1)>"))
    await api.keep(a_node("n1"), a_service("web"), failed, waiting)

    page = (await request(create_status_app(api.context), "GET", "/ui")).body.decode()

    assert "alert(&#39;x&#39;)" in page
    assert "&lt;img src=x" in page
    assert "<script>" not in page
    assert "<img" not in page
