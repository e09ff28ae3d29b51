"""/services over a store in memory: what Docker's clients send, and what they read back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.api import Api, running_api
from support.builders import a_global_service, a_job, a_node, a_service, a_task

from manager.admission.admitted import Admitted
from manager.api.dependencies import carry_out
from manager.objects import Node
from manager.store.codec import put
from manager.store.keys import LEADER
from manager.store.port import Delete, Put, Unit
from manager.writing import write
from swarmpy.errors import Conflict
from swarmpy.models.service import UpdateState, UpdateStatus
from swarmpy.states import TaskState


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_api() as running:
        yield running


def a_wish(name: str = "web", *, replicas: int = 3, image: str = "web:1", **fields: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "TaskTemplate": {"ContainerSpec": {"Image": image}},
        "Mode": {"Replicated": {"Replicas": replicas}},
        **fields,
    }


async def create(api: Api, wish: dict[str, Any], **headers: str) -> str:
    made = await api.post("/services/create", wish, headers=headers)
    assert made.status == 201, made.body
    service_id: str = made.json["ID"]
    return service_id


async def inspect(api: Api, wanted: str, **query: Any) -> dict[str, Any]:
    found = await api.get(f"/services/{wanted}", **query)
    assert found.status == 200, found.body
    document: dict[str, Any] = found.json
    return document


async def names(api: Api, **filters: Any) -> list[str]:
    listed = await api.get("/services", filters=filters)
    assert listed.status == 200, listed.body
    return sorted(service["Spec"]["Name"] for service in listed.json)


async def test_a_service_is_created_and_found_by_id_name_and_prefix(api: Api) -> None:
    service_id = await create(api, a_wish())
    for wanted in (service_id, "web", service_id[:24]):
        assert (await inspect(api, wanted))["ID"] == service_id


async def test_what_inspect_returns_is_accepted_back_unchanged(api: Api) -> None:
    await create(api, a_wish(Labels={"a": "b"}, UpdateConfig={"Parallelism": 2, "Order": "start-first"}))
    read = await inspect(api, "web")
    answer = await api.post("/services/web/update", read["Spec"], version=read["Version"]["Index"])
    assert (answer.status, answer.json) == (200, {"Warnings": None})
    assert await inspect(api, "web") == read


async def test_an_update_is_kept_beside_the_spec_before_it(api: Api) -> None:
    await create(api, a_wish())
    read = await inspect(api, "web")
    await api.post("/services/web/update", a_wish(image="web:2"), version=read["Version"]["Index"])
    after = await inspect(api, "web")
    assert after["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "web:2"
    assert after["PreviousSpec"] == read["Spec"]
    assert after["Version"]["Index"] > read["Version"]["Index"]


async def test_a_stale_version_is_out_of_sequence_with_dockers_status(api: Api) -> None:
    await create(api, a_wish())
    answer = await api.post("/services/web/update", a_wish(image="web:2"), version=1)
    assert answer.status == 500
    assert answer.message.endswith("update out of sequence")


@pytest.mark.parametrize("version", [None, "", "x"])
async def test_an_update_needs_a_version(api: Api, version: str | None) -> None:
    await create(api, a_wish())
    query: dict[str, Any] = {} if version is None else {"version": version}
    answer = await api.post("/services/web/update", a_wish(), **query)
    assert answer.status == 400
    assert answer.message.startswith(f"invalid service version '{version or ''}'")


async def test_a_leader_that_was_replaced_does_not_say_of_a_wish_that_it_holds_already(api: Api) -> None:
    await create(api, a_wish())
    index = (await inspect(api, "web"))["Version"]["Index"]
    for taking in (Delete(LEADER), Put(LEADER, b"another")):
        await api.store.commit([Unit((taking,))])
    answer = await api.post("/services/web/update", a_wish(), version=index)
    assert answer.status == 503, answer.body


async def test_rolling_back_ignores_the_body(api: Api) -> None:
    await create(api, a_wish())
    index = (await inspect(api, "web"))["Version"]["Index"]
    await api.post("/services/web/update", a_wish(replicas=9), version=index)
    index = (await inspect(api, "web"))["Version"]["Index"]
    answer = await api.post("/services/web/update", b"", version=index, rollback="previous")
    assert answer.status == 200, answer.body
    after = await inspect(api, "web")
    assert after["Spec"]["Mode"]["Replicated"]["Replicas"] == 3
    assert after["UpdateStatus"]["State"] == "rollback_started"


async def test_of_two_creations_at_once_one_gets_the_name(api: Api) -> None:
    answers = await asyncio.gather(*(api.post("/services/create", a_wish()) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [201, 409]


async def test_a_removed_service_is_gone_for_clients_while_its_tasks_stop(api: Api) -> None:
    service_id = await create(api, a_wish())
    assert (await api.delete("/services/web")).status == 200
    for wanted in ("web", service_id, service_id[:24]):
        assert (await api.get(f"/services/{wanted}")).message == f"service {wanted} not found"
    assert await names(api) == []
    assert await create(api, a_wish()) != service_id


async def test_a_prefix_of_two_ids_is_ambiguous(api: Api) -> None:
    first, second = await create(api, a_wish("a")), await create(api, a_wish("b"))
    shared = first[:24]
    assert second.startswith(shared)
    answer = await api.get(f"/services/{shared}")
    assert (answer.status, answer.message) == (400, f"service {shared} is ambiguous (2 matches found)")


async def test_defaults_are_shown_only_when_asked_for(api: Api) -> None:
    await create(api, a_wish())
    plain, complete = await inspect(api, "web"), await inspect(api, "web", insertDefaults="true")
    assert "RollbackConfig" not in plain["Spec"]
    assert complete["Spec"]["UpdateConfig"] == {
        "Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000, "MaxFailureRatio": 0.0,
        "Order": "stop-first",
    }  # fmt: skip
    assert complete["Spec"]["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"] == 10_000_000_000
    assert complete["Spec"]["TaskTemplate"]["RestartPolicy"]["Condition"] == "any"


async def test_lists_are_filtered(api: Api) -> None:
    await create(api, a_wish("web", Labels={"tier": "front"}))
    await create(api, a_wish("web-admin"))
    await create(api, {**a_wish("agent"), "Mode": {"Global": {}}})
    assert await names(api, name=["web"]) == ["web", "web-admin"]
    assert await names(api, name={"agent": True, "web-a": True}) == ["agent", "web-admin"]
    assert await names(api, mode=["global"]) == ["agent"]
    assert await names(api, label=["tier=front"]) == ["web"]
    assert await names(api, runtime=["plugin"]) == []


async def test_counts_come_only_when_asked_for(api: Api) -> None:
    web, agent = a_service("web", replicas=2), a_global_service("agent")
    job = a_job("job", total=5, at_once=3, iteration=2)
    await api.keep(
        web, agent, job,
        a_task("w1", web), a_task("w2", web, slot=2, state=TaskState.STARTING),
        a_task("w0", web, slot=2, state=TaskState.RUNNING, desired=TaskState.SHUTDOWN),
        a_task("a1", agent, slot=0), a_task("a2", agent, slot=0, node="n2", state=TaskState.PREPARING),
        *(a_task(f"j{n}", job, slot=n, state=TaskState.COMPLETE, job_iteration=2) for n in (1, 2, 3)),
        a_task("j4", job, slot=4, job_iteration=2),
        a_task("old", job, slot=1, state=TaskState.COMPLETE, job_iteration=1),
    )  # fmt: skip
    assert all("ServiceStatus" not in service for service in (await api.get("/services")).json)
    counted = {service["ID"]: service["ServiceStatus"] for service in (await api.get("/services", status="True")).json}
    assert counted == {
        "web": {"RunningTasks": 1, "DesiredTasks": 2, "CompletedTasks": 0},
        "agent": {"RunningTasks": 1, "DesiredTasks": 2, "CompletedTasks": 0},
        "job": {"RunningTasks": 1, "DesiredTasks": 2, "CompletedTasks": 3},
    }


async def test_a_job_is_known_by_its_status_and_an_update_by_its_own(api: Api) -> None:
    status = UpdateStatus(state=UpdateState.PAUSED, message="update paused due to failure")
    await api.keep(a_job("job", iteration=2), a_service("web", status=status))
    assert (await inspect(api, "job"))["JobStatus"]["JobIteration"] == {"Index": 2}
    web = await inspect(api, "web")
    assert "JobStatus" not in web
    assert web["UpdateStatus"] == {"State": "paused", "Message": "update paused due to failure"}


async def test_the_registry_credential_is_kept_sealed_and_never_told(api: Api) -> None:
    service_id = await create(api, a_wish(), **{"X-Registry-Auth": "c2VjcmV0"})
    sealed = api.state.specs[f"{service_id}/1"].sealed_auth
    assert sealed is not None
    assert "c2VjcmV0" not in sealed
    assert api.context.sealer.unseal(sealed) == b"c2VjcmV0"
    assert sealed not in str(await inspect(api, "web"))


async def test_updates_keep_or_change_the_credential(api: Api) -> None:
    service_id = await create(api, a_wish(), **{"X-Registry-Auth": "one"})

    async def update(image: str, auth: str = "", **query: Any) -> bytes | None:
        index = (await inspect(api, "web"))["Version"]["Index"]
        headers = {"X-Registry-Auth": auth} if auth else {}
        answer = await api.post("/services/web/update", a_wish(image=image), headers=headers, version=index, **query)
        assert answer.status == 200, answer.body
        sealed = api.state.specs[f"{service_id}/{api.state.services[service_id].spec_version}"].sealed_auth
        return api.context.sealer.unseal(sealed) if sealed else None

    assert await update("web:2", registryAuthFrom="spec") == b"one"
    assert await update("web:3", "two") == b"two"
    assert await update("web:4", registryAuthFrom="previous-spec") == b"one"
    version = (await inspect(api, "web"))["Version"]["Index"]
    assert await update("web:4", "one") == b"one"
    assert (await inspect(api, "web"))["Version"]["Index"] == version


async def test_a_wish_that_meets_another_write_looks_again_and_repeats(api: Api) -> None:
    """Its first look was at a version that the store no longer has."""
    node, looked = a_node("n1"), asyncio.Event()

    def admit() -> Admitted[Node]:
        old = not looked.is_set()
        looked.set()
        return Admitted(node, (Unit((put(node.model_copy(update={"version": 99 if old else 0})),)),))

    carrying_out = asyncio.create_task(carry_out(api.context, admit))
    await looked.wait()
    await api.keep(a_node("n2"))
    assert await carrying_out == node
    assert "n1" in api.state.nodes


async def test_what_meets_another_write_each_time_is_given_up(api: Api) -> None:
    old, looks = a_node("n1").model_copy(update={"version": 99}), asyncio.Queue[None]()

    def decide() -> tuple[Unit, ...]:
        looks.put_nowait(None)
        return (Unit((put(old),)),)

    writing = asyncio.create_task(write(api.ledger, api.clock, decide))
    for number in range(5):
        await looks.get()
        await api.keep(a_node(f"other{number}"))
    with pytest.raises(Conflict, match="others keep writing to the same objects; try again"):
        await writing


async def test_revisions_are_listed_newest_first_and_rolled_back_to(api: Api) -> None:
    await create(api, a_wish())
    for image in ("web:2", "web:3"):
        read = await inspect(api, "web")
        await api.post("/services/web/update", a_wish(image=image), version=read["Version"]["Index"])
    listed = (await api.get("/services/web/revisions")).json
    assert [(item["Number"], item["Current"]) for item in listed] == [(3, True), (2, False), (1, False)]
    answer = await api.post("/services/web/rollback", {}, to="1")
    assert (answer.status, answer.json) == (200, {"Warnings": None})

    read = await inspect(api, "web")
    assert read["Spec"] == listed[2]["Spec"]
    assert read["UpdateStatus"]["Message"] == "manually requested rollback to revision 1"
    for wrong, status in (({"to": "9"}, 404), ({"to": "x"}, 400), ({}, 400), ({"to": "1", "version": "1"}, 500)):
        assert (await api.post("/services/web/rollback", {}, **wrong)).status == status  # type: ignore[arg-type]


async def test_an_update_is_paused_and_continued_by_hand(api: Api) -> None:
    service_id = await create(api, a_wish())
    read = await inspect(api, "web")
    refused = await api.post("/services/web/update/pause", {})
    assert (refused.status, refused.json["message"]) == (
        409,
        "service web: no update or rollback of it is under way; there is nothing to pause",
    )
    await api.post("/services/web/update", a_wish(image="web:2"), version=read["Version"]["Index"])
    status = UpdateStatus(state=UpdateState.UPDATING, started_at=api.clock.now(), message="update in progress")
    service = api.state.services[service_id].model_copy(update={"update": status})
    await api.keep(service)
    assert (await api.post("/services/web/update/pause", {})).status == 200
    assert (await inspect(api, "web"))["UpdateStatus"]["Message"] == "paused by hand"
    paused = api.state.services[service_id]

    scaled = a_wish(image="web:2", Mode={"Replicated": {"Replicas": 3}})
    answer = await api.post("/services/web/update", scaled, version=str(paused.version))
    assert answer.json == {"Warnings": None}
    assert (await inspect(api, "web"))["UpdateStatus"]["Message"] == "paused by hand"
    version = api.state.services[service_id].version
    answer = await api.post("/services/web/update", a_wish(image="web:3"), version=str(version))
    assert answer.json["Warnings"][0].startswith("service web: its update was paused by hand, and this change begins")
    assert "UpdateStatus" not in await inspect(api, "web")

    await api.keep(paused.model_copy(update={"version": api.state.services[service_id].version}))
    assert (await api.post("/services/web/update/continue", {})).status == 200
    assert (await inspect(api, "web"))["UpdateStatus"]["State"] == "updating"
