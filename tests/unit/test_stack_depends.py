"""Services that wait for others, and what only swarmpy reads."""

import json
from typing import Any

import pytest
from support.stackfiles import planned, planned_service, service_lines

from swarmpy.labels import DEPENDS_ON, PROGRESS_DEADLINE, VOLUME_AFFINITY
from swarmpy.stack.tree import StackError

OTHERS = "  db: {image: x, healthcheck: {disable: true}}\n  cache: {image: x}\n  init: {image: x, restart: 'no'}\n"


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


def test_a_service_is_written_after_what_it_waits_for() -> None:
    others = "  api: {image: x, depends_on: [db]}\n  db: {image: x}\n  page: {image: x}\n"
    plan = planned(service_lines("depends_on: [page, api]") + others)
    assert [spec["Name"] for spec in plan.services] == ["shop_page", "shop_db", "shop_api", "shop_web"]


def test_an_unknown_service_is_refused_by_name() -> None:
    assert "services.web.depends_on.nobody: there is no service nobody in the files" in refusal(
        service_lines("depends_on: [nobody]")
    )


def test_a_mapping_waits_for_its_conditions() -> None:
    assert label(
        "depends_on:\n  init: {condition: service_completed_successfully}\n  cache: {condition: service_healthy}\n"
        "  gone: {required: false}"
    ) == {"shop_cache": "service_healthy", "shop_init": "service_completed_successfully"}


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("cache: {condition: service_old}", "depends_on.cache.condition: 'service_old' is none of service_started"),
        ("db: {condition: service_healthy}", "depends_on.db: never healthy: the service db has its health"),
        ("cache: {restart: true}", "depends_on.cache.restart: not carried out"),
    ],
)  # fmt: skip
def test_a_wait_that_cannot_be_is_refused_by_name(how: str, sentence: str) -> None:
    assert sentence in refusal(service_lines(f"depends_on: {{{how}}}") + OTHERS)


@pytest.mark.parametrize(
    "lines",
    [
        "x-swarmpy: {progress-deadline: 5m}",
        "deploy: {update_config: {x-swarmpy: {progress-deadline: 5m}}}",
        "x-swarmpy: {progress-deadline: 5m}\ndeploy: {update_config: {x-swarmpy: {progress-deadline: 5m}}}",
    ],
)
def test_a_progress_deadline_is_a_label_of_the_service(lines: str) -> None:
    assert (planned_service(lines).labels or {})[PROGRESS_DEADLINE] == "5m"


def test_volume_affinity_is_a_label_of_the_mount() -> None:
    service = planned_service(
        "volumes: ['data:/d', 'theirs:/t']",
        "volumes:\n  data: {x-swarmpy: {volume-affinity: true}}\n"
        "  theirs: {external: true, x-swarmpy: {volume-affinity: true}}\n",
    )
    container = service.task_template.container_spec
    assert container is not None
    options = [mount.volume_options for mount in container.mounts or ()]
    assert all(one is not None and (one.labels or {})[VOLUME_AFFINITY] == "true" for one in options)


def test_two_progress_deadlines_are_refused() -> None:
    assert "says something else than deploy.update_config" in refusal(
        service_lines(
            "x-swarmpy: {progress-deadline: 5m}\ndeploy: {update_config: {x-swarmpy: {progress-deadline: 6m}}}"
        )
    )
    assert "is no time to wait" in refusal(service_lines("x-swarmpy: {progress-deadline: 0s}"))
