"""Whatever stands in a stack file: it is planned, or refused with our own words; it never brings the command down."""

import json
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.effort import examples

from swarmpy.cli.stack_files import plan_files, read
from swarmpy.errors import SwarmpyError
from swarmpy.stack.render import render
from swarmpy.stack.schema import CONFIG, FILE, NETWORK, SECRET, VOLUME
from swarmpy.stack.service_schema import SERVICE
from swarmpy.stack.shapes import Anything, Either, Fields, ListOf, MapOf, Nothing, Number, Shape, Text, Truth, Whole

ODD = st.sampled_from(
    ["", "a", "web", "db", "/a", "a:/b", "80:80", "1m", "-1", "1e999", "0", "${A:-b}", "$", "${B", "${A?}", "{{.Foo",
     "\0", "none.env", "all", "host", "ro", "service_healthy", "é\u2028", "[", "9" * 50, "{", "a=b", "::", "1.5",
     "golang"]
)  # fmt: skip
SCALARS = st.one_of(
    ODD, st.text(max_size=5), st.integers(-2, 70_000), st.booleans(), st.none(), st.floats(), st.integers()
)
NAMES = st.sampled_from(["web", "db", "data", "x-swarmpy", "x-a", "default", "A"])
JUNK = st.recursive(SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3))


def of(shape: Shape) -> st.SearchStrategy[Any]:
    """What such a part may be, and now and then what it may not."""
    match shape:
        case Either(shapes=shapes):
            return st.one_of(*map(of, shapes))
        case ListOf(item=item):
            return st.lists(st.deferred(lambda: of(item)), max_size=3)
        case MapOf(value=value):
            return st.dictionaries(NAMES, st.deferred(lambda: of(value)), max_size=3)
        case Fields(known=known, required=required):
            keys = {key: later(below) for key, below in known.items()}
            some = st.sets(st.sampled_from(sorted(keys) or ["x-a"]), max_size=6)
            return some.flatmap(
                lambda chosen: st.fixed_dictionaries({key: keys.get(key, JUNK) for key in {*chosen, *required}})
            )
        case Text(choices=choices):
            return st.sampled_from(choices) if choices else ODD
        case Whole():
            return st.integers(0, 70_000)
        case Number():
            return st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1, 1000)
        case Truth():
            return st.booleans()
        case Nothing():
            return st.none()
        case Anything():
            return JUNK
    return JUNK


def mostly(shape: Shape) -> st.SearchStrategy[Any]:
    return st.integers(0, 19).flatmap(lambda drawn: of(shape) if drawn else JUNK)


def later(shape: Shape) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: mostly(shape))


FILES = st.fixed_dictionaries(
    {"services": st.dictionaries(st.sampled_from(["web", "db"]), mostly(SERVICE), min_size=1)},
    optional={
        "networks": st.dictionaries(NAMES, mostly(NETWORK), max_size=2),
        "volumes": st.dictionaries(NAMES, mostly(VOLUME), max_size=2),
        "secrets": st.dictionaries(NAMES, mostly(SECRET), max_size=2),
        "configs": st.dictionaries(NAMES, mostly(CONFIG), max_size=2),
        "include": mostly(FILE.known["include"]),
        "name": mostly(FILE.known["name"]),
        "version": mostly(FILE.known["version"]),
    },
)
DEEP = st.tuples(st.sampled_from(["[", "{a: ", "- ", "a:\n ", "&a [", "<<: {", "? "]), st.integers(1, 2000)).map(
    lambda drawn: drawn[0] * drawn[1]
)
PIECES = st.sampled_from(
    ["services:", "\n", "  ", "web:", " image: x", "- ", "[", "]", "{", "}", "&a ", "*a", "<<: *a", "${A:-", "}", "$$",
     "'", '"', "#", "? ", "|\n", "!reset", "!!str ", "!!binary ", "---\n", "...\n", "%YAML 1.1\n", "\t",
     "extends: web", ", ", ": "]
)  # fmt: skip


def is_planned_or_refused(folder: Path, text: str) -> None:
    (folder / "s.yaml").write_text(text, errors="surrogatepass")
    try:
        loaded = read([str(folder / "s.yaml")], {"HOME": "/home", "A": "1"})
        render(loaded.config).encode()
        plan_files("shop", loaded, {"A": "1"})
    except SwarmpyError as error:
        assert str(error)


@settings(max_examples=examples(30, 1_000))
@given(file=FILES)
def test_any_structure_is_planned_or_refused(tmp_path_factory: Any, file: Any) -> None:
    is_planned_or_refused(tmp_path_factory.getbasetemp(), json.dumps(file))


@settings(max_examples=examples(30, 1_000))
@given(text=st.one_of(st.text(), st.lists(PIECES | DEEP | ODD).map("".join)))
@example(text="services: {web: {image: '" + "${A+" * 1000 + "'}}")
@example(text="a: &a [*a, &a x, *a]")
def test_any_text_is_planned_or_refused(tmp_path_factory: Any, text: str) -> None:
    is_planned_or_refused(tmp_path_factory.getbasetemp(), text)
