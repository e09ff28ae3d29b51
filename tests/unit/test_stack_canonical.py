"""Every short form spelled out, and several files as one."""

from typing import Any

import pytest
from support.stackfiles import canonical, canonical_service, tree_of

from swarmpy.stack.canonical import conflicts_of
from swarmpy.stack.merge import merge
from swarmpy.stack.render import render


@pytest.mark.parametrize(
    ("lines", "key", "value"),
    [
        ("command: sh -c 'a b'", "command", ["sh", "-c", "a b"]),
        ("entrypoint: [a, b c]", "entrypoint", ["a", "b c"]),
        ("dns: 1.1.1.1", "dns", ["1.1.1.1"]),
        ("tmpfs: /x", "tmpfs", ["/x"]),
        ("labels: [a, b=c=d]", "labels", {"a": "", "b": "c=d"}),
        ("labels: {a: 1.10, b: , c: 0440}", "labels", {"a": "1.1", "b": "", "c": "288"}),
        ("sysctls: [a.b=1]", "sysctls", {"a.b": "1"}),
        ("networks: [a, b]", "networks", {"a": None, "b": None}),
        ("secrets: [a, {source: b, mode: 0440}]", "secrets", [{"source": "a"}, {"source": "b", "mode": 288}]),
        ("extra_hosts: ['a:1.2.3.4', 'b=::1', 'c:[::2]']", "extra_hosts", ["a:1.2.3.4", "b:::1", "c:::2"]),
        ("extra_hosts: {b: 1.1.1.1, a: 2.2.2.2}", "extra_hosts", ["a:2.2.2.2", "b:1.1.1.1"]),
        ("stop_grace_period: 90s", "stop_grace_period", "1m30s"),
        ("healthcheck: {test: curl x, interval: 1500ms}", "healthcheck",
         {"test": ["CMD-SHELL", "curl x"], "interval": "1.5s"}),
        ("logging: {driver: x, options: {a: 1, b: }}", "logging", {"driver": "x", "options": {"a": "1", "b": ""}}),
        ("ports: [80, '81:81']", "ports",
         [{"mode": "ingress", "target": 80, "protocol": "tcp"},
          {"mode": "ingress", "target": 81, "protocol": "tcp", "published": 81}]),
        ("expose: [80, '81']", "expose", ["80", "81"]),
        ("volumes: ['./a:/b', '~/c:/d', 'v:/e']", "volumes",
         [{"type": "bind", "source": "/here/a", "target": "/b"},
          {"type": "bind", "source": "/users/me/c", "target": "/d"},
          {"type": "volume", "source": "v", "target": "/e"}]),
        ("volumes: [{type: bind, source: ../a, target: /b}]", "volumes",
         [{"type": "bind", "source": "/a", "target": "/b"}]),
        ("deploy: {resources: {limits: {memory: 1gb}}, restart_policy: {delay: 0.5s}}", "deploy",
         {"resources": {"limits": {"memory": "1073741824"}}, "restart_policy": {"delay": "500ms"}}),
        ("init: false", "init", False),
    ],
)  # fmt: skip
def test_a_short_form_is_spelled_out(lines: str, key: str, value: Any) -> None:
    assert canonical_service(lines)[key] == value


def test_what_says_nothing_is_left_out() -> None:
    assert canonical_service("tty: false\nports: []\nhostname: ''\ndeploy:\n") == {"image": "x:1"}


def test_variables_come_from_env_files_then_the_file_then_from_outside() -> None:
    service = canonical_service(
        "env_file: [one.env, two.env]\nenvironment: [B=file, OUTER, NOWHERE, EMPTY=]",
        environment={"OUTER": "outside", "A": "never"},
        env_files={"one.env": "A=one\nB=one\nC=one\n", "two.env": "C=two\nOUTER\n"},
    )
    assert service == {
        "image": "x:1",
        "environment": {"A": "one", "B": "file", "C": "two", "OUTER": "outside", "NOWHERE": None, "EMPTY": ""},
    }


def test_an_empty_variable_is_taken_from_outside() -> None:
    assert canonical_service("environment: {A: ''}", environment={"A": "x"})["environment"] == {"A": "x"}


def test_external_objects_are_known_by_their_names() -> None:
    text = "networks:\n  a: {external: true}\n  b: {external: {name: other}}\n  c: {external: true, name: mine}\n  d:\n"
    assert canonical(text)["networks"] == {
        "a": {"name": "a", "external": True},
        "b": {"name": "other", "external": True},
        "c": {"name": "mine", "external": True},
        "d": {},
    }


def test_files_of_secrets_are_absolute() -> None:
    assert canonical("secrets:\n  a: {file: ./a.txt}\n  b: {driver: vault}\n")["secrets"] == {
        "a": {"file": "/here/a.txt"},
        "b": {"driver": "vault"},
    }


@pytest.mark.parametrize(("given", "version"), [("", "3.13"), ("version: '3'\n", "3.13"), ("version: '3.7'\n", "3.7")])
def test_the_version_is_the_newest_unless_the_file_says_more(given: str, version: str) -> None:
    assert canonical(given + "services: {}\n")["version"] == version


def test_conflicts_between_keys_are_found() -> None:
    text = (
        "volumes:\n  v:\n    external: true\n    driver: x\n    labels: [a]\n"
        "networks:\n  n: {name: a, external: {name: b}}\n"
        "secrets:\n  s: {driver: a, file: b}\n"
    )
    assert [str(problem) for problem in conflicts_of(tree_of(text))] == [
        "s.yaml:7: networks.n.external.name: is said twice, here and in `name`; keep `name`",
        "s.yaml:4: volumes.v.driver: does not go together with external",
        "s.yaml:5: volumes.v.labels: does not go together with external",
        "s.yaml:9: secrets.s: driver and file do not go together",
    ]


def merged(base: str, later: str) -> Any:
    files = [
        canonical("services:\n  web:\n    " + text.strip().replace("\n", "\n    ") + "\n") for text in (base, later)
    ]
    return merge(files)["services"]["web"]


@pytest.mark.parametrize(
    ("base", "later", "key", "value"),
    [
        ("image: a", "image: b", "image", "b"),
        ("command: a b", "command: c", "command", ["c"]),
        ("dns: [a]", "dns: [b]", "dns", ["a", "b"]),
        ("environment: {A: 1, B: 2}", "environment: [B=3]", "environment", {"A": "1", "B": "3"}),
        ("deploy: {replicas: 1, mode: replicated}", "deploy: {replicas: 2}", "deploy",
         {"replicas": 2, "mode": "replicated"}),
        ("volumes: ['a:/x', 'b:/y']", "volumes: ['c:/x']", "volumes",
         [{"type": "volume", "source": "c", "target": "/x"}, {"type": "volume", "source": "b", "target": "/y"}]),
        ("secrets: [b, a]", "secrets: [{source: b, uid: '1'}]", "secrets",
         [{"source": "a"}, {"source": "b", "uid": "1"}]),
        ("networks: {n: {aliases: [a]}, m: }", "networks: {n: {aliases: [b]}}", "networks",
         {"n": {"aliases": ["b"]}, "m": None}),
        ("networks: [n]", "networks: {n: {aliases: [b]}}", "networks", {"n": {"aliases": ["b"]}}),
        ("logging: {driver: a, options: {x: 1}}", "logging: {options: {y: 2}}", "logging",
         {"driver": "a", "options": {"x": "1", "y": "2"}}),
        ("logging: {driver: a, options: {x: 1}}", "logging: {driver: b}", "logging", {"driver": "b"}),
        ("ulimits: {a: 1}", "ulimits: {a: {soft: 1, hard: 2}}", "ulimits", {"a": {"soft": 1, "hard": 2}}),
    ],
)  # fmt: skip
def test_a_later_file_changes_an_earlier_one(base: str, later: str, key: str, value: Any) -> None:
    assert merged(base, later)[key] == value


def test_ports_with_one_published_number_are_one_port() -> None:
    ports = merged("ports: ['80:80', '90:90', '70']", "ports: ['90:91']")["ports"]
    assert [(port.get("published"), port["target"]) for port in ports] == [(None, 70), (80, 80), (90, 91)]


def test_services_and_objects_of_all_files_are_there() -> None:
    one = canonical("services: {a: {image: x}}\nvolumes: {v: }\n")
    two = canonical("services: {b: {image: y}}\nvolumes: {v: {driver: d}, w: }\n")
    both = merge([one, two])
    assert set(both["services"]) == {"a", "b"}
    assert both["volumes"] == {"v": {"driver": "d"}, "w": {}}


def test_rendering_and_reading_again_gives_the_same() -> None:
    config = canonical(
        "services:\n  web:\n    image: 'a: b'\n    entrypoint: [\"q'\\\"\\n\"]\n"
        "    command: ['', ' x', 'y #z', 'on', '0440', 'null', '-', 'a ', 'a: ', 'a:b', '/x']\n"
        "    environment: {A: 'yes', B: '1.10', C: '{{.Node}}', D: '*x', E: ü, F: '~', G: 'a:', H: '3', I: '@'}\n"
        "    healthcheck: {retries: 3}\n    init: false\n    networks: {a: }\n    labels: {'on': x, '1': y}\n"
        "    ulimits: {nofile: {soft: 1, hard: 2}}\n    volumes: [{type: tmpfs, target: /x, tmpfs: {size: 5}}]\n"
        "networks: {a: }\n"
    )
    assert canonical(render(config)) == config
