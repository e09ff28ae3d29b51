"""What the label of a service says of those that it waits for, for the command line and the manager alike."""

import pytest

from swarmpy.dependencies import by_need, circle_through, depends_on, parse_depends_on, render_depends_on
from swarmpy.labels import DEPENDS_ON

NEEDS = {"web": ("db", "cache"), "cache": ("db", "web"), "a": ("b",), "b": ("a",), "out": ("a",)}


def circle(start: str) -> tuple[str, ...]:
    return circle_through(start, lambda name: NEEDS.get(name, ()))


def test_the_label_is_read_as_it_was_written() -> None:
    conditions = {"db": "service_healthy", "a": "service_started"}

    assert parse_depends_on(render_depends_on(conditions)[DEPENDS_ON]) == conditions
    assert render_depends_on({}) == {}


def test_a_label_that_cannot_be_read_says_nothing() -> None:
    assert depends_on({DEPENDS_ON: "{"}) == depends_on({}) == depends_on(None) == {}


def test_a_circle_is_one_through_the_name_that_is_asked_about() -> None:
    assert circle("web") == ("web", "cache", "web")
    assert (circle("out"), circle("db")) == ((), ())


def test_names_come_after_what_they_need_and_the_first_circle_is_told() -> None:
    def needs(name: str) -> tuple[str, ...]:
        return NEEDS.get(name, ())

    assert by_need(["out", "web"], needs) == (("b", "a", "out", "db", "cache", "web"), ("a", "b", "a"))
    assert by_need([], needs) == ((), ())


@pytest.mark.parametrize("last", ["", "0"])
def test_a_chain_of_5000_is_followed_to_its_end(last: str) -> None:
    def needs(name: str) -> tuple[str, ...]:
        return (str(int(name) + 1),) if int(name) < 5000 else tuple(filter(None, [last]))

    assert len(circle_through("0", needs)) == (5002 if last else 0)


def test_the_same_label_is_parsed_once_unless_it_is_long() -> None:
    label, long = ({name: "service_started"} for name in ("db", "d" * 3000))
    assert depends_on(render_depends_on(label)) is depends_on(render_depends_on(label))
    assert dict(depends_on(render_depends_on(long))) == long
    assert depends_on(render_depends_on(long)) is not depends_on(render_depends_on(long))
