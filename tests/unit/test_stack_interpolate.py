"""Variables in stack files."""

import pytest

from swarmpy.stack.interpolate import BadTemplate, Filler, interpolate_file
from swarmpy.stack.parse import parse_stack
from swarmpy.stack.tree import plain

ENVIRONMENT = {"TAG": "3", "EMPTY": "", "NAME": "web", "_x1": "low"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("$TAG", "3"),
        ("${TAG}", "3"),
        ("a$TAG.b", "a3.b"),
        ("$_x1", "low"),
        ("$TAG$NAME", "3web"),
        ("$NOT", ""),
        ("${NOT}", ""),
        ("$$TAG", "$TAG"),
        ("$$$TAG", "$3"),
        ("${NOT:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NOT-x}", "x"),
        ("${TAG:-x}", "3"),
        ("${NOT:-}", ""),
        ("${NOT:-a:b-c?d}", "a:b-c?d"),
        ("${TAG:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NOT+x}", ""),
        ("${TAG:?is needed}", "3"),
        ("${EMPTY?is needed}", ""),
        ("${NOT:-${TAG}}", "3"),
        ("${NOT:-${NONE:-$NAME}-x}", "web-x"),
        ("${NOT:-{}}", "{}"),
        ("{{.Task.Slot}}", "{{.Task.Slot}}"),
        # docker reads these without braces, too.
        ("x:$TAG-alpine", "x:3"),
        ("x:$NOT-alpine", "x:alpine"),
        ("$TAG:8080", "3:8080"),
    ],
)
def test_a_text_is_filled(text: str, filled: str) -> None:
    assert Filler(ENVIRONMENT).fill(text) == filled


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("$", "begins no variable"),
        ("costs 5$ or so", "begins no variable"),
        ("$1", "begins no variable"),
        ("${", "is not closed"),
        ("${TAG", "is not closed"),
        ("${}", "is no variable"),
        ("${a.b}", "is no variable"),
        ("${TAG!x}", "is no variable"),
        ("${NOT:?give me a tag}", "the variable NOT must have a value: give me a tag"),
        ("${EMPTY:?}", "the variable EMPTY must have a value"),
        ("${NOT?}", "the variable NOT must have a value"),
        ("${NOT:-${ALSO?no}}", "the variable ALSO must have a value: no"),
    ],
)
def test_a_text_that_cannot_be_filled_says_why(text: str, complaint: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        Filler(ENVIRONMENT).fill(text)
    assert complaint in str(caught.value)


def test_what_had_no_value_is_remembered_once() -> None:
    filler = Filler(ENVIRONMENT)
    for text in ("$ONE $TWO", "$ONE ${THREE:-x} ${FOUR+x} $EMPTY"):
        filler.fill(text)
    assert list(filler.unset) == ["ONE", "TWO"]


def test_values_of_sections_are_filled_and_keys_are_not() -> None:
    tree = parse_stack("x-a: $TAG\nservices:\n  $NAME:\n    image: a:$TAG\n    ports: [$TAG]\n", "s.yaml")
    filled, problems = interpolate_file(tree, Filler(ENVIRONMENT))
    assert plain(filled) == {"x-a": "$TAG", "services": {"$NAME": {"image": "a:3", "ports": ["3"]}}}
    assert problems == []


def test_every_text_that_cannot_be_filled_is_reported_with_its_line() -> None:
    tree = parse_stack("services:\n  web:\n    image: ${A?}\n    user: $\n    command: [ok, '${B?}']\n", "s.yaml")
    _, problems = interpolate_file(tree, Filler({}))
    assert [str(problem).split(": ")[:2] for problem in problems] == [
        ["s.yaml:3", "services.web.image"],
        ["s.yaml:4", "services.web.user"],
        ["s.yaml:5", "services.web.command[1]"],
    ]
