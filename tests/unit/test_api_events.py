"""/events: what changed, as Docker's clients hear of it, live and from the last 256."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.api import Api, Exchange, running_api
from support.builders import T0, a_network, a_node, a_service, a_task

from manager.api.events import event_of
from manager.api.journal import Journal
from manager.api.routers.events import parse_moment
from manager.objects import Repair
from manager.state import Changed
from swarmpy.errors import BadRequest
from swarmpy.states import Availability, NodeState

PAST = {"since": "1", "until": "1893456000"}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_api() as running:
        yield running


async def told(api: Api, **query: Any) -> list[dict[str, Any]]:
    """The past, once the journal has heard of what was written so far."""
    journal: Journal = api.app.state.journal
    with journal.listening() as (_, listener):
        await api.keep(a_node("the last word"))
        async with asyncio.timeout(5):
            while (await listener.next()).actor.id != "the last word":
                pass
    answer = await api.get("/events", **(PAST | query))
    assert answer.status == 200, answer.body
    events = [json.loads(line) for line in answer.body.splitlines()]
    return [event for event in events if event["Actor"]["ID"] != "the last word"]


async def test_services_nodes_and_networks_come_and_go(api: Api) -> None:
    web, net, node = a_service("web"), a_network("net"), a_node("n1")
    await api.keep(web, net, node, a_task("t", web))
    await api.keep(api.state.services["web"].model_copy(update={"removed": True}))
    await api.drop(web, node)
    events = [(event["Type"], event["Action"], event["Actor"]["Attributes"]["name"]) for event in await told(api)]
    assert sorted(events[:3]) == [("network", "create", "net"), ("node", "create", "n1"), ("service", "create", "web")]
    assert events[3:] == [("service", "remove", "web"), ("node", "remove", "n1")]


async def test_an_event_has_the_form_that_clients_read(api: Api) -> None:
    await api.keep(a_service("web"))
    assert await told(api) == [
        {
            "Type": "service", "Action": "create", "Actor": {"ID": "web", "Attributes": {"name": "web"}},
            "scope": "swarm", "time": 1893456000, "timeNano": 1893456000000000000,
        }
    ]  # fmt: skip


def test_an_update_names_what_changed() -> None:
    before, after = a_node("n1"), a_node("n1", state=NodeState.DOWN, availability=Availability.DRAIN)
    event = event_of(Changed("nodes/n1", before, after), T0)
    assert event is not None
    assert event.actor.attributes == {
        "name": "n1",
        "availability.new": "drain", "availability.old": "active",
        "state.new": "down", "state.old": "ready",
    }  # fmt: skip
    scaled = event_of(Changed("services/web", a_service("web"), a_service("web", replicas=3)), T0)
    assert scaled is not None
    assert scaled.actor.attributes == {"name": "web", "replicas.new": "3", "replicas.old": "1"}


def test_a_node_that_mended_its_network_is_an_event_that_says_what() -> None:
    before = a_node("n1")
    after = before.model_copy(update={"repaired": Repair(at=T0, what=("route 1 was missing", "rule 2 was missing"))})
    event = event_of(Changed("nodes/n1", before, after), T0)
    assert event is not None
    assert (event.type, event.action) == ("node", "repair")
    assert event.actor.attributes == {"name": "n1", "repaired": "route 1 was missing; rule 2 was missing"}
    later = after.model_copy(update={"state": NodeState.DOWN})
    event = event_of(Changed("nodes/n1", after, later), T0)
    assert event is not None
    assert event.action == "update"


async def test_events_are_filtered(api: Api) -> None:
    await api.keep(a_service("web"), a_network("net"), a_node("n1"))
    for filters, types in (
        ({"type": ["service", "network"]}, {"service", "network"}),
        ({"service": ["web"]}, {"service"}),
        ({"service": ["other"]}, set()),
        ({"event": ["remove"]}, set()),
        ({"scope": ["swarm"], "node": ["n1"]}, {"node"}),
    ):
        assert {event["Type"] for event in await told(api, filters=filters)} == types, filters


async def test_the_stream_goes_on_with_what_happens_next(api: Api) -> None:
    exchange = Exchange(api.app, "GET", "/events")
    async with exchange.running(), asyncio.timeout(5):
        chunks = exchange.chunks()
        first = asyncio.ensure_future(anext(chunks))
        while not exchange.status:
            await asyncio.sleep(0)
        await api.keep(a_service("web"))
        assert json.loads(await first)["Action"] == "create"


async def test_without_since_the_past_is_not_told(api: Api) -> None:
    await api.keep(a_service("old"))
    await told(api)
    exchange = Exchange(api.app, "GET", "/events", query={"filters": {"type": ["service"]}})
    async with exchange.running(), asyncio.timeout(5):
        chunks = exchange.chunks()
        first = asyncio.ensure_future(anext(chunks))
        while not exchange.status:
            await asyncio.sleep(0)
        await api.keep(a_service("new"))
        assert json.loads(await first)["Actor"]["ID"] == "new"


async def test_only_the_last_256_are_remembered(api: Api) -> None:
    for start in range(0, 300, 100):
        await api.keep(*(a_node(f"n{number:03}") for number in range(start, start + 100)))
    events = await told(api)
    assert [event["Actor"]["ID"] for event in events] == [f"n{number:03}" for number in range(45, 300)]


@pytest.mark.parametrize("text", ["1893456000", "1893456000.000000001", "2030-01-01T00:00:00Z", "2030-01-01T00:00:00"])
def test_moments_are_unix_seconds_or_rfc_3339(text: str) -> None:
    assert parse_moment("since", text) == T0


def test_a_moment_that_is_none_is_refused() -> None:
    with pytest.raises(BadRequest, match="invalid until 'soon'"):
        parse_moment("until", "soon")
