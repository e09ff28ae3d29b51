"""Placeholders that some node could fill in, and those that none can."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.assignments import an_assignment

from agent.task.templates import NodeFacts, fields_of
from swarmpy.errors import BadRequest
from swarmpy.templating import FIELDS, FILE_FUNCTIONS, check_template, expand, filled, placeholders


@pytest.mark.parametrize(
    "text",
    [
        "", "no }} placeholder { at all", *(f"{{{{ {field} }}}}" for field in FIELDS),
        '{{index .Service.Labels "a.b"}}',
        "{{.Service.Labels.tier}}", *(f'{{{{{name} "x"}}}}' for name in FILE_FUNCTIONS), "{{env `x`}}\n{{.Task.ID}}",
    ],
)  # fmt: skip
def test_what_a_node_fills_in_passes(text: str) -> None:
    check_template(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{{ .Foo", "the template's line 1 has a {{ that no }} ends"),
        ("a\n{{.Task.ID}}\nb {{", "the template's line 3 has a {{ that no }} ends"),
        ("a\n{{.Task.ID}}\n\n{{.Foo}}\n", "the template's line 4 holds a {{...}} that cannot be filled in; there are"),
        ("{{if .Task.ID}}x{{end}}", "line 1 holds"),
        ('{{nothing "x"}}', "line 1 holds"),
    ],
)
def test_what_no_node_fills_in_is_refused_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_template(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "text", ["{" * 500_000, "{{" * 250_000 + "}}", "{{.Task.ID}}" * 40_000 + "{{", '{{index .Service.Labels "' * 20_000]
)
def test_a_long_text_is_judged_at_once(text: str) -> None:
    began = perf_counter()
    with pytest.raises(BadRequest):
        check_template(text)
    with pytest.raises(BadRequest) as caught:
        expand(text, dict.fromkeys(FIELDS, ""), "it")
    assert perf_counter() - began < 5
    assert len(str(caught.value)) < 1000


def test_braces_beside_placeholders_are_text() -> None:
    assert expand("{ {{.Task.ID}} } }} {", {".Task.ID": "t"}, "it") == "{ t } }} {"
    assert filled("a{{.Task.ID}}b{{.Foo}}{{", str.lower) == "a.task.idb.foo{{"
    assert placeholders("a{{ x }}b{{}}c{{d") == (" x ", "")


def test_functions_are_for_files() -> None:
    with pytest.raises(BadRequest):
        check_template('{{env "HOME"}}', in_file=False)
    check_template("{{.Node.Hostname}}", in_file=False)


@given(st.lists(st.sampled_from(["{{", "}}", ".Task.ID", "hush", "\n", '"', "`", "env ", " "])).map("".join))
def test_the_refusal_never_shows_the_text(text: str) -> None:
    try:
        check_template(text)
    except BadRequest as error:
        assert "hush" not in str(error)


def test_a_node_knows_every_field_that_the_check_lets_pass() -> None:
    node = NodeFacts(hostname="node-1", os="linux", architecture="x86_64")
    assert set(fields_of(an_assignment(), node)) == set(FIELDS)
