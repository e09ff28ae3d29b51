"""YAML as stack files write it: values, lines, and what is refused."""

import pytest

from swarmpy.stack.parse import parse_stack
from swarmpy.stack.scalars import parse_scalar, text_of
from swarmpy.stack.tree import Plain, StackError, Value, locate, plain


def read(text: str) -> Plain:
    return plain(parse_stack(text, "s.yaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("on", "on"), ("n", "n"), ("true", True), ("FALSE", False), ("~", None), ("", None),
        ("NULL", None), ("22:22", "22:22"), ("0440", 288), ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("-017", -15),
        ("1_000", 1000), ("08", 8.0), ("1.10", 1.1), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0), ("+5", 5),
        ("12345678901234567890", 12345678901234567890), ("99999999999999999999", 1e20), ("2001-01-01", "2001-01-01"),
        (".inf", ".inf"), ("_1", "_1"), ("0o8", "0o8"), ("1.2.3", "1.2.3"), ("-", "-"), ("=", "="),
    ],
)  # fmt: skip
def test_plain_scalars_are_read_as_docker_reads_them(text: str, value: Value) -> None:
    found = parse_scalar(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (None, ""), (288, "288"), (1.1, "1.1"), (1000.0, "1000"), (1e6, "1e+06"), (0.0001, "0.0001"),
        (0.00001, "1e-05"), (123456.5, "123456.5"), (1234567.5, "1.2345675e+06"), (-0.0, "-0"), (0.0, "0"),
        (1e20, "1e+20"), (-2.5, "-2.5"), ("x", "x"),
    ],
)  # fmt: skip
def test_numbers_become_the_texts_that_docker_makes_of_them(value: Value, text: str) -> None:
    assert text_of(value) == text


def test_quotes_and_tags_make_text() -> None:
    assert read("a: '1'\nb: \"true\"\nc: !!str 0440\nd: |\n  1\n") == {"a": "1", "b": "true", "c": "0440", "d": "1\n"}


def test_merged_mappings_give_way_to_own_keys_and_earlier_ones() -> None:
    text = "x-a: &a {k: 1, l: 1}\nx-b: &b {l: 2, m: 2}\nc:\n  <<: [*a, *b]\n  k: own\n"
    found = read(text)
    assert isinstance(found, dict)
    assert found["c"] == {"k": "own", "l": 1, "m": 2}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3\n", "s.yaml:3: a: is there twice, first in line 1"),
        ("a:\n  1: x\n", "s.yaml:2: a: the key 1 is no text but a number; quote it: '1'"),
        ("true: x\n", "s.yaml:1: the key true of the top-level mapping is no text but a truth value; quote it: 'true'"),
        ("a: {{x}}\n", "s.yaml:1: a: a key must be text; quote it if it begins with { or ["),
        ("a: &a {}\nb:\n  <<: *a\n  <<: *a\n", "s.yaml:4: b.<<: stands twice in this mapping; merge a list"),
        ("a:\n  <<: 1\n", "s.yaml:2: a.<<: merges mappings, and this is none"),
        ("a: &a [*a]\n", "s.yaml:1: a[0]: an alias refers to the part that it stands in"),
        ("a: *b\n", "s.yaml:1: not valid YAML in line 1: found undefined alias 'b'"),
        ("a: [1\nb: 2\n", "s.yaml:2: not valid YAML"),
        ("a:\n\tb: 1\n", "s.yaml:2: not valid YAML"),
        ("a: !vault x\n", "s.yaml:1: a: the tag !vault is not carried out"),
        ("a: 1\n---\nb: 1\n", "s.yaml:3: a second document begins here"),
        ("", "s.yaml:1: the file is empty"),
        ("- a\n", "s.yaml:1: the top level must be a mapping"),
        ("a: \x01\n", "s.yaml:1: not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(text: str, sentence: str) -> None:
    with pytest.raises(StackError) as caught:
        parse_stack(text, "s.yaml")
    assert str(caught.value).startswith(sentence)


def test_aliases_cannot_unfold_without_bound() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(StackError, match="aliases unfold to more than"):
        parse_stack("\n".join(levels), "s.yaml")


def test_a_large_file_is_not_said_to_repeat_itself() -> None:
    text = "\n".join(f"x-{n}: {'y' * 200_000}" for n in range(90))
    assert len(parse_stack(text, "s.yaml").entries) == 90
    with pytest.raises(StackError, match=r"^s\.yaml:1: the file has more than 200000 values; divide it$"):
        parse_stack(f"x-a: [{'1,' * 200_001}]", "s.yaml")


def test_a_path_is_found_as_deep_as_it_goes() -> None:
    tree = parse_stack("services:\n  web:\n    image: x\n    ports:\n      - 80\n", "s.yaml")
    depth, mark = locate(tree, ("services", "web", "ports", 0))
    assert (depth, mark.line) == (4, 5)
    depth, mark = locate(tree, ("services", "web", "deploy", "replicas"))
    assert (depth, mark.line) == (2, 2)
