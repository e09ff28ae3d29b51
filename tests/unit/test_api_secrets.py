"""/secrets and /configs over a store in memory: what Docker's clients send, and what they read back."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from support.api import Api, running_api

from manager.ca.sealing import Sealer

PLAIN = b"correct horse battery staple"


class WatchedSealer(Sealer):
    """`turns`: of the work beside, during which something was unsealed."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.turns: set[int] = set()
        self._turn = 0

    async def work_beside(self) -> None:
        while True:
            self._turn += 1
            await asyncio.sleep(0)

    def unseal(self, sealed: str) -> bytes:
        self.turns.add(self._turn)
        return super().unseal(sealed)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running_api() as running:
        yield running


@pytest.fixture(params=["secret", "config"])
def kind(request: pytest.FixtureRequest) -> str:
    word: str = request.param
    return word


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def create(api: Api, kind: str, name: str = "key", data: bytes = PLAIN, **fields: Any) -> str:
    made = await api.post(f"/{kind}s/create", {"Name": name, "Data": encoded(data), **fields})
    assert made.status == 201, made.body
    made_id: str = made.json["ID"]
    return made_id


async def inspect(api: Api, kind: str, wanted: str = "key") -> dict[str, Any]:
    found = await api.get(f"/{kind}s/{wanted}")
    assert found.status == 200, found.body
    document: dict[str, Any] = found.json
    return document


async def serve(api: Api, service: str = "web", **container: Any) -> tuple[int, str]:
    template = {"ContainerSpec": {"Image": "web:1", **container}}
    answer = await api.post("/services/create", {"Name": service, "TaskTemplate": template})
    return answer.status, answer.json.get("message", "")


def a_reference(kind: str = "secret", name: str = "key", target: str | None = None, **file: Any) -> dict[str, Any]:
    return {f"{kind.title()}Name": name, "File": {"Name": target or name, "UID": "0", "GID": "0", "Mode": 292, **file}}


async def test_it_is_created_and_found_by_id_name_and_prefix(api: Api, kind: str) -> None:
    made = await create(api, kind, Labels={"team": "a"})

    for wanted in (made, "key", made[:24]):
        found = await inspect(api, kind, wanted)
        assert (found["ID"], found["Spec"]["Name"], found["Spec"]["Labels"]) == (made, "key", {"team": "a"})


async def test_the_data_of_a_secret_are_answered_to_nobody_and_those_of_a_config_are(api: Api) -> None:
    for kind, shown in (("secret", None), ("config", encoded(PLAIN))):
        await create(api, kind)
        (listed,) = (await api.get(f"/{kind}s")).json

        assert listed["Spec"].get("Data") == (await inspect(api, kind))["Spec"].get("Data") == shown


async def test_a_config_that_cannot_be_read_is_listed_without_its_data_beside_the_others(api: Api) -> None:
    await create(api, "config")
    made = await create(api, "config", "foreign")
    await api.keep(api.state.configs[made].model_copy(update={"sealed": Sealer(bytes(range(32))).seal(PLAIN)}))

    listed = (await api.get("/configs")).json
    assert {config["Spec"]["Name"]: config["Spec"].get("Data") for config in listed} == {
        "key": encoded(PLAIN),
        "foreign": None,
    }
    refused = await api.get("/configs/foreign")
    assert (refused.status, "sealed with another key" in refused.message) == (503, True)


async def test_a_long_list_of_configs_keeps_nobody_waiting(api: Api) -> None:
    sealer = WatchedSealer(bytes(32))
    api.app.state.context = replace(api.context, sealer=sealer)
    for number in range(24):
        await create(api, "config", f"large-{number}", bytes(1000 << 10))
    others = asyncio.create_task(sealer.work_beside())
    try:
        assert len((await api.get("/configs")).json) == 24
    finally:
        others.cancel()
    assert len(sealer.turns) > 1


async def test_the_store_holds_neither_in_clear(api: Api, kind: str) -> None:
    await create(api, kind)

    for entry in (await api.store.load()).entries:
        assert PLAIN not in entry.value
        assert encoded(PLAIN).encode() not in entry.value
    assert encoded(PLAIN) not in repr([*api.state.secrets.values(), *api.state.configs.values()])


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a" * 65, "a/b"])
async def test_a_name_outside_dockers_rule_is_refused(api: Api, kind: str, name: str) -> None:
    answer = await api.post(f"/{kind}s/create", {"Name": name, "Data": encoded(PLAIN)})

    assert (answer.status, answer.message.startswith("invalid name")) == (400, True)


@pytest.mark.parametrize(("kind", "largest"), [("secret", 512_000), ("config", 1_024_000)])
async def test_as_much_as_docker_takes_is_taken_and_fits_the_store(api: Api, kind: str, largest: int) -> None:
    await create(api, kind, data=b"\xff" * largest)
    for data in (b"", b"x" * (largest + 1)):
        answer = await api.post(f"/{kind}s/create", {"Name": "other", "Data": encoded(data)})
        assert (answer.status, f"must be 1 to {largest} bytes" in answer.message) == (400, True)


async def test_data_that_are_no_base64_are_refused_and_not_quoted(api: Api, kind: str) -> None:
    answer = await api.post(f"/{kind}s/create", {"Name": "key", "Data": "hunter2!"})

    assert (answer.status, "base64" in answer.message, "hunter2" in answer.message) == (400, True, False)


async def test_of_two_creations_at_once_one_gets_the_name(api: Api, kind: str) -> None:
    wish = {"Name": "key", "Data": encoded(PLAIN)}
    answers = await asyncio.gather(*(api.post(f"/{kind}s/create", wish) for _ in range(2)))

    assert sorted(answer.status for answer in answers) == [201, 409]
    assert [answer.message for answer in answers if answer.status == 409] == [f"{kind} key already exists"]


async def test_drivers_are_refused_by_name_but_the_one_for_templates(api: Api) -> None:
    vault = await api.post("/secrets/create", {"Name": "key", "Driver": {"Name": "vault"}})
    other = await api.post("/secrets/create", {"Name": "key", "Data": encoded(PLAIN), "Templating": {"Name": "jinja"}})

    assert (vault.status, vault.message.rpartition(":")[0]) == (501, "secret key: Driver")
    assert (other.status, other.message) == (
        501,
        "secret key: Templating.Name: the only template driver is golang, and 'jinja' is none",
    )
    await create(api, "secret", Templating={"Name": "golang"})
    assert (await inspect(api, "secret"))["Spec"]["Templating"] == {"Name": "golang"}


async def test_lists_are_filtered_as_docker_filters_them(api: Api, kind: str) -> None:
    made = await create(api, kind, "key")
    await create(api, kind, "key2", Labels={"team": "a"})

    async def names(**filters: list[str]) -> list[str]:
        return sorted(item["Spec"]["Name"] for item in (await api.get(f"/{kind}s", filters=filters)).json)

    assert await names(name=["key"]) == ["key", "key2"]
    assert await names(names=["key"]) == ["key"]
    assert await names(id=[made]) == ["key"]
    assert await names(label=["team=a"]) == ["key2"]


async def test_labels_change_and_nothing_else_does(api: Api, kind: str) -> None:
    await create(api, kind)
    path, index = f"/{kind}s/key/update", (await inspect(api, kind))["Version"]["Index"]
    for wish in ({"Name": "key", "Data": encoded(b"other")}, {"Name": "other"}):
        answer = await api.post(path, wish, version=index)
        assert (answer.status, answer.message.startswith(f"{kind} key: only updates to Labels are allowed")) == (
            400,
            True,
        )

    same = {"Name": "key", "Data": encoded(PLAIN), "Labels": {"a": "b"}}
    assert (await api.post(path, same, version=index)).status == 200
    assert (await inspect(api, kind))["Spec"]["Labels"] == {"a": "b"}
    assert (await api.post(path, same, version=index)).message == "update out of sequence"


async def test_what_a_service_uses_is_not_removed_before_the_service(api: Api, kind: str) -> None:
    await create(api, kind)
    for name in ("web", "api"):
        assert await serve(api, name, **{f"{kind.title()}s": [a_reference(kind)]}) == (201, "")

    answer = await api.delete(f"/{kind}s/key")
    message = f"{kind} 'key' is in use by the following services: api, web"
    assert (answer.status, answer.message) == (400, message)
    for name in ("web", "api"):
        await api.delete(f"/services/{name}")
    assert (await api.delete(f"/{kind}s/key")).status == 204
    assert (await api.get(f"/{kind}s/key")).message == f"{kind} key not found"
    await create(api, kind)


async def test_a_service_takes_a_new_one_and_the_old_one_can_go(api: Api) -> None:
    for name in ("key_1", "key_2"):
        await create(api, "secret", name)
    await serve(api, Secrets=[a_reference(name="key_1", target="key")])
    spec = (await api.get("/services/web")).json
    spec["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"] = [a_reference(name="key_2", target="key")]
    assert (await api.post("/services/web/update", spec["Spec"], version=spec["Version"]["Index"])).status == 200

    assert (await api.delete("/secrets/key_2")).status == 400
    assert (await api.delete("/secrets/key_1")).status == 204
    index = (await api.get("/services/web")).json["Version"]["Index"]
    back = await api.post("/services/web/update", b"", version=index, rollback="previous")
    assert (back.status, back.message) == (404, "secret key_1 not found; create it first")


async def test_references_are_stored_with_id_and_name(api: Api, kind: str) -> None:
    made = await create(api, kind)
    assert await serve(api, "web", **{f"{kind.title()}s": [a_reference(kind)]}) == (201, "")

    (stored,) = (await api.get("/services/web")).json["Spec"]["TaskTemplate"]["ContainerSpec"][f"{kind.title()}s"]
    assert stored == {**a_reference(kind), f"{kind.title()}ID": made}


@pytest.mark.parametrize(
    ("secrets", "configs", "status", "said"),
    [
        ([a_reference(name="gone")], [], 404, "secret gone not found"),
        ([{"SecretName": "key"}], [], 400, "secret key: File.Name, the target in the container, is required"),
        ([{"File": {"Name": "x"}}], [], 400, "names no secret"),
        ([a_reference(), a_reference()], [], 400, "secret key: its target /run/secrets/key is taken"),
        ([a_reference()], [a_reference("config", target="/run/secrets/key")], 400, "config key: its target"),
        ([a_reference(target="../key")], [], 400, "secret key: its target '../key' must be the path of a file"),
        ([a_reference(UID="root")], [], 400, "secret key: File.UID 'root' must be a number"),
        ([a_reference(GID="-1")], [], 400, "secret key: File.GID '-1' must be a number"),
        ([a_reference(Mode=0o4755)], [], 400, "secret key: File.Mode must lie between 0 and 0777"),
        ([], [{"ConfigName": "key", "Runtime": {}}], 400, "config key: File.Name"),
    ],
)
async def test_a_reference_that_cannot_be_met_is_refused_by_name(
    api: Api, secrets: list[dict[str, Any]], configs: list[dict[str, Any]], status: int, said: str
) -> None:
    for kind in ("secret", "config"):
        await create(api, kind)
    answered, message = await serve(api, Secrets=secrets, Configs=configs)

    assert answered == status
    assert said in message


async def test_of_a_removal_and_a_first_use_at_once_only_one_comes_true(api: Api) -> None:
    await create(api, "secret")
    (served, _), removed = await asyncio.gather(serve(api, Secrets=[a_reference()]), api.delete("/secrets/key"))

    assert (served, removed.status) in ((201, 400), (404, 204))
    assert ("key" in [secret.spec.name for secret in api.state.secrets.values()]) == (served == 201)
