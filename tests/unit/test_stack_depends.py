"""Services that wait for others, and what only swarmpy reads."""

import json
from typing import Any

import pytest
from support.stackfiles import planned, planned_service, service_lines

from swarmpy.labels import DEPENDS_ON
from swarmpy.stack.tree import StackError

OTHERS = "  db: {image: x, healthcheck: {disable: true}}\n  cache: {image: x}\n  init: {image: x}\n"


def label(lines: str) -> Any:
    return json.loads((planned_service(lines, OTHERS).labels or {})[DEPENDS_ON])


def refusal(text: str) -> str:
    with pytest.raises(StackError) as caught:
        planned(text)
    return str(caught.value)


def test_a_list_waits_for_the_start() -> None:
    assert label("depends_on: [cache, db]") == {"shop_cache": "service_started", "shop_db": "service_started"}


def test_a_service_waits_for_itself_neither_alone_nor_in_a_circle() -> None:
    text = service_lines("depends_on: [db]") + "  db: {image: x, depends_on: [cache]}\n"
    assert "services.web.depends_on: waits for itself: web -> db -> cache -> web" in refusal(
        text + "  cache: {image: x, depends_on: [web]}\n"
    )
    assert "services.web.depends_on: waits for itself: web -> web" in refusal(service_lines("depends_on: [web]"))
    planned(text + "  cache: {image: x}\n")


def test_an_unknown_service_is_refused_by_name() -> None:
    assert "services.web.depends_on.nobody: there is no service nobody in the files" in refusal(
        service_lines("depends_on: [nobody]")
    )
