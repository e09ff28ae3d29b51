"""Revisions of stacks: numbered, ten of them, none twice in a row."""

from typing import Any

import pytest
from support.api import running_api

from manager.admission.stack import revisions_of
from manager.api.views.stacks import revision_lines


def wish(image: str) -> dict[str, Any]:
    return {
        "Networks": [{"Name": "shop_n", "Driver": "overlay", "Labels": {"a": "b"}}],
        "External": ["front"],
        "Secrets": ["key"],
        "Services": [{"Name": "shop_web", "TaskTemplate": {"ContainerSpec": {"Image": image}}, "Mode": {"Global": {}}}],
    }


async def test_a_revision_comes_back_word_for_word() -> None:
    async with running_api() as api:
        assert (await api.post("/stacks/shop/revisions", wish("x:1"))).json == {"Number": 1}
        (line,) = (await api.get("/stacks/shop/revisions")).json
        assert (line["Number"], line["Services"]) == (1, ["shop_web"])
        document = (await api.get("/stacks/shop/revisions/1")).json
        assert (document["Stack"], document["Number"]) == ("shop", 1)
        assert document["Wish"] == wish("x:1") | {"Configs": []}


async def test_the_newest_ten_are_kept_and_numbers_go_on() -> None:
    async with running_api() as api:
        for number in range(1, 14):
            assert (await api.post("/stacks/shop/revisions", wish(f"x:{number}"))).json == {"Number": number}
        await api.post("/stacks/other/revisions", wish("x:1"))
        assert [line["Number"] for line in (await api.get("/stacks/shop/revisions")).json] == list(range(13, 3, -1))
        assert len(api.state.stacks) == 11


async def test_the_same_again_is_no_new_revision_and_an_older_one_is() -> None:
    async with running_api() as api:
        numbers = [(await api.post("/stacks/shop/revisions", wish(image))).json["Number"] for image in "aaba"]
        assert numbers == [1, 1, 2, 3]


async def test_forgetting_takes_all_of_one_stack() -> None:
    async with running_api() as api:
        await api.post("/stacks/shop/revisions", wish("x:1"))
        await api.post("/stacks/other/revisions", wish("x:1"))
        assert (await api.delete("/stacks/shop/revisions")).status == 204
        assert (await api.delete("/stacks/shop/revisions")).status == 204
        assert set(api.state.stacks) == {"other.1"}


async def test_a_stack_that_is_too_large_is_not_kept() -> None:
    async with running_api() as api:
        large = wish("x:1")
        large["Services"] *= 20_000
        refused = await api.post("/stacks/shop/revisions", large)
        assert refused.status == 400
        assert "a revision takes 1024 KiB at most" in refused.message
        assert api.state.stacks == {}


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/stacks/shop/revisions/1", 404, "stack shop has no revision 1"),
        ("/stacks/shop/revisions/last", 400, "is no number"),
        ("/stacks/shop/revisions/" + "9" * 5000, 400, "is no number"),
    ],
)
async def test_what_is_not_there_is_said(path: str, status: int, sentence: str) -> None:
    async with running_api() as api:
        answer = await api.get(path)
        assert (answer.status, sentence in answer.message) == (status, True)


async def test_a_name_that_no_stack_has_is_refused() -> None:
    async with running_api() as api:
        assert (await api.post("/stacks/a.b/revisions", wish("x:1"))).status == 400


async def test_how_a_deployment_ended_is_kept_and_no_later_silence_takes_it_back() -> None:
    async with running_api() as api:

        async def told(**outcome: str) -> dict[str, str]:
            assert (await api.post("/stacks/shop/revisions/1/outcome", outcome)).status == 200
            found: dict[str, str] = (await api.get("/stacks/shop/revisions")).json[0]["Outcome"]
            return found

        await api.post("/stacks/shop/revisions", wish("x:1"))
        assert (await api.get("/stacks/shop/revisions/1")).json["Outcome"] == {"State": "unknown", "Reason": ""}
        assert (await told(State="deploying"))["State"] == "deploying"
        failed = {"State": "failed", "Reason": "web: it crashed"}
        assert await told(**failed) == failed
        assert await told(State="unknown", Reason="detached") == failed
        assert await told(State="deploying") == failed
        assert (await told(State="converged"))["State"] == "converged"
        refused = await api.post("/stacks/shop/revisions/1/outcome", {"State": "splendid"})
        assert (refused.status, refused.message.startswith("State must be ")) == (400, True)
        assert (await api.post("/stacks/shop/revisions/2/outcome", failed)).status == 404


async def test_the_list_of_large_revisions_lets_others_in_between_also_of_those_from_before_digests() -> None:
    async with running_api() as api:
        for number in range(4):
            await api.post("/stacks/shop/revisions", wish(f"x:{number % 2}"))
        await api.keep(*(one.model_copy(update={"wish_digest": ""}) for one in api.state.stacks.values()))
        steps = revision_lines(api.state, tuple(reversed(revisions_of(api.state, "shop"))))
        assert len(list(steps)) == 4
        found = (await api.get("/stacks/shop/revisions")).json
        assert [(line["Number"], line["Newest"]) for line in found] == [(4, 4), (3, 3), (2, 4), (1, 3)]


async def test_the_list_says_what_a_revision_lacks_and_which_is_the_newest_like_it() -> None:
    async with running_api() as api:
        for image in "aba":
            await api.post("/stacks/shop/revisions", wish(image))
        await api.post("/secrets/create", {"Name": "key", "Data": "YQ=="})
        found = (await api.get("/stacks/shop/revisions")).json
        assert [(line["Number"], line["Newest"], line["Missing"]) for line in found] == [
            (3, 3, ["network front"]),
            (2, 2, ["network front"]),
            (1, 3, ["network front"]),
        ]
