"""Secrets and configs of a stack file: what is made, what must be there, how services use them."""

import base64
from pathlib import Path
from typing import Any

import pytest
from support.stackfiles import planned, service_lines

from swarmpy.cli.stack_files import load, plan_files
from swarmpy.errors import BadRequest
from swarmpy.models.config import ConfigSpec
from swarmpy.models.secret import SecretSpec
from swarmpy.models.service import ServiceSpec
from swarmpy.stack.tree import StackError

STACK = {"com.docker.stack.namespace": "shop"}
SECTIONS = """
secrets:
  word: {file: word.txt, labels: {a: 1}}
  theirs: {external: true, name: their-secret}
  unused: {external: true}
  kept: {driver: vault, driver_opts: {path: x}}
configs:
  page: {name: page_v2, file: page.html, template_driver: golang}
  other: {external: true}
"""
CONTENTS = {("secrets", "word"): b"hush", ("configs", "page"): b"<p>"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def container(lines: str) -> Any:
    return planned(service_lines(lines) + SECTIONS, contents=CONTENTS).services[0]["TaskTemplate"]["ContainerSpec"]


def test_what_a_file_holds_becomes_an_object_of_the_stack() -> None:
    plan = planned(service_lines("secrets: [theirs]\nconfigs: [other]") + SECTIONS, contents=CONTENTS)
    assert plan.secrets == (
        {"Name": "shop_word", "Labels": STACK | {"a": "1"}, "Data": encoded("hush")},
        {"Name": "shop_kept", "Labels": STACK, "Driver": {"Name": "vault", "Options": {"path": "x"}}},
    )
    assert plan.configs == (
        {"Name": "page_v2", "Labels": STACK, "Data": encoded("<p>"), "Templating": {"Name": "golang"}},
    )
    assert (plan.external_secrets, plan.external_configs) == (("their-secret",), ("other",))
    assert encoded("hush") not in repr(plan)
    for secret in plan.secrets:
        assert SecretSpec.model_validate(secret).to_docker() == secret
    for config in plan.configs:
        assert ConfigSpec.model_validate(config).to_docker() == config


def test_services_name_them_with_the_places_they_stand_at() -> None:
    spec = container(
        "secrets: [word, {source: theirs, target: /etc/pass, uid: '7', gid: '8', mode: 0400}]\n"
        "configs: [page, {source: other, target: o.conf}]"
    )
    assert spec["Secrets"] == [
        {"File": {"Name": "word", "UID": "0", "GID": "0", "Mode": 0o444}, "SecretName": "shop_word"},
        {"File": {"Name": "/etc/pass", "UID": "7", "GID": "8", "Mode": 0o400}, "SecretName": "their-secret"},
    ]
    assert spec["Configs"] == [
        {"File": {"Name": "o.conf", "UID": "0", "GID": "0", "Mode": 0o444}, "ConfigName": "other"},
        {"File": {"Name": "page", "UID": "0", "GID": "0", "Mode": 0o444}, "ConfigName": "page_v2"},
    ]
    template = {"ContainerSpec": spec}
    assert ServiceSpec.model_validate({"Name": "x", "TaskTemplate": template, "Mode": {}}).to_docker()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("secrets: [nobody]", "services.web.secrets[0]: nobody is not in the section `secrets`"),
        ("configs: [word]", "services.web.configs[0]: word is not in the section `configs`"),
        ("configs: [page, {source: other, target: /page}]", "services.web.configs: two of them are to stand at /page"),
        (
            "secrets: [word, {source: kept, target: word}]",
            "services.web.secrets: two of them are to stand at /run/secrets/word",
        ),
    ],
)
def test_a_use_that_cannot_be_is_refused_by_name(lines: str, sentence: str) -> None:
    with pytest.raises(StackError) as caught:
        container(lines)
    assert sentence in str(caught.value)


def test_the_command_reads_them_from_files_from_the_environment_and_from_the_stack_file(tmp_path: Path) -> None:
    (tmp_path / "word.txt").write_bytes(b"\x00hush")
    (tmp_path / "s.yaml").write_text(
        "services: {web: {image: x}}\n"
        "secrets: {word: {file: word.txt}, given: {environment: WORD}}\n"
        "configs: {page: {content: 'to $NAME'}}\n"
    )
    environment = {"WORD": "psst", "NAME": "you"}
    plan = plan_files("shop", load([str(tmp_path / "s.yaml")], environment), environment)
    assert [base64.b64decode(item["Data"]) for item in (*plan.secrets, *plan.configs)] == [
        b"\x00hush",
        b"psst",
        b"to you",
    ]


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("secrets: {word: {file: none.txt}}", "s.yaml:2: secrets.word: "),
        ("secrets: {word: {environment: WORD}}", "s.yaml:2: secrets.word: the variable WORD is not set"),
        ("secrets: {word: {labels: {a: b}}}", "s.yaml:2: secrets.word: names no file that holds it"),
        ("secrets: {word: {content: hush}}", "use file or environment"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name_and_shows_no_secret(
    section: str, sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(f"services: {{web: {{image: x}}}}\n{section}\n")
    with pytest.raises(BadRequest) as caught:
        plan_files("shop", load([str(file)], {}), {})
    assert sentence in str(caught.value)
    assert "hush" not in str(caught.value)
