"""What is wrong with a stack file is said by key, file and line; all of it at once."""

import pytest

from swarmpy.stack import schema
from swarmpy.stack.interpolate import Filler, interpolate_file
from swarmpy.stack.parse import parse_stack
from swarmpy.stack.shapes import check, typed
from swarmpy.stack.tree import Plain, in_order


def complaints(text: str, **environment: str) -> list[str]:
    tree, _ = interpolate_file(parse_stack(text, "s.yaml"), Filler(environment))
    return [str(problem) for problem in in_order(check(schema.FILE, tree, ()))]


def about(service: str, **environment: str) -> list[str]:
    """What is said of a service of these lines."""
    lines = "\n".join(f"    {line}" for line in service.splitlines())
    return complaints(f"services:\n  web:\n    image: x\n{lines}\n", **environment)


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        ("imagee: x", "s.yaml:4: services.web.imagee: unknown key; did you mean image?"),
        ("qqq: x", "s.yaml:4: services.web.qqq: unknown key"),
        ("x-swarmpy: {progress_deadline: 5m}", "progress_deadline: unknown key; did you mean progress-deadline?"),
        ("x-swarmpy: {progress-deadline: soon}", "x-swarmpy.progress-deadline: 'soon' is no duration"),
        ("deploy: {x-swarmpy: {}}", "services.web.deploy.x-swarmpy: goes with services, their update_config"),
        ("ports: [{target: 80, published: 80-90}]", "services.web.ports[0].published: '80-90' is no whole number"),
        ("develop: {watch: [{path: a}]}", "services.web.develop.watch[0]: action is missing"),
        ("volume_driver: nfs", "is a key of old files; give the volume its driver"),
        ("user: 1", "services.web.user: must be a string, and 1 is a number; quote it to make it text"),
        ("user: true", "must be a string, and true is a truth value"),
        ("user: [a]", "must be a string, and it is a list"),
        ("user:", "must be a string, and it is empty"),
        ("tty: yes", "must be true or false, and 'yes' is text; write true or false"),
        ("command: {a: 1}", "must be a string or a list, and it is a mapping"),
        ("environment: {A: []}", "services.web.environment.A: must be a string, a number, true or false or empty"),
        ("environment: A=1", "must be a mapping or a list, and 'A=1' is text"),
        ("deploy: {update_config: {parallelism: 99999999999999999999999}}", "1e+23 is more than fits in 64 bits"),
        ("deploy: {replicas: 1e3}", "and it is written with a point or an exponent; write 1000"),
        ("deploy: {replicas: 1.5}", "must be a whole number, and 1.5 is one with a fraction"),
        ("cap_add: [A, A]", "services.web.cap_add[1]: 'A' stands twice in this list"),
        ("ports: ['99999:80']", "services.web.ports[0]: '99999:80': ports go up to 65535"),
        ("ports: [65536]", "services.web.ports[0]: must be at most 65535, and 65536 is more"),
        ("ports: [{target: http}]", "services.web.ports[0].target: must be a whole number, and 'http' is text"),
        ("stop_grace_period: 5x", "'5x' is no duration; write one like 90s"),
        ("stop_grace_period: 5", "must be a duration (a string such as 1m30s), and 5 is a number"),
        ("deploy: {replicas: '3'}", "services.web.deploy.replicas: must be a whole number, and '3' is text"),
        ("deploy: {replicas: -1}", "must be at least 0, and -1 is less"),
        ("deploy: {replicas: 9223372036854775808}", "replicas: 9223372036854775808 is more than fits in 64 bits"),
        ("stop_grace_period: 9999999h", "services.web.stop_grace_period: 9999999h is more than fits in 64 bits"),
        ("deploy: {resources: {limits: {memory: 9999p}}}", "memory: 9999p is more than fits in 64 bits"),
        ("deploy: {resources: {limits: {memory: 5q}}}", "'5q' is no size"),
        ("deploy: {resources: {limits: {cpus: 0.5}}}", "must be a number of CPUs (a string such as"),
        ("deploy: {update_config: {order: sideways}}", "'sideways' is none of start-first, stop-first"),
        ("command: a 'b", "has a quote ' that is not closed"),
        ("volumes: ['a::b']", "is no volume"),
        ("volumes: [{target: /x}]", "services.web.volumes[0]: type is missing"),
        ("volumes: [{type: tmpfs, target: /x, tmpfs: {size: abc}}]", "tmpfs.size: 'abc' is no size"),
        ("ulimits: {nofile: {soft: 1}}", "services.web.ulimits.nofile: hard is missing"),
        ("healthcheck: {interval: 1}", "must be a duration"),
    ],
)  # fmt: skip
def test_one_wrong_thing_is_one_sentence(service: str, sentence: str) -> None:
    found = about(service)
    assert len(found) == 1
    assert sentence in found[0]


def test_everything_is_said_in_the_order_of_the_lines() -> None:
    text = "services:\n  web:\n    imge: x\n    user: 1\nnetworks: []\nextra: 1\n"
    assert [line.split(": ")[:2] for line in complaints(text)] == [
        ["s.yaml:3", "services.web.imge"],
        ["s.yaml:4", "services.web.user"],
        ["s.yaml:5", "networks"],
        ["s.yaml:6", "extra"],
    ]


def test_names_have_no_blanks() -> None:
    assert complaints("services:\n  'a b': {image: x}\n") == [
        "s.yaml:2: services.a b: this name has characters that names do not have"
    ]


def test_extension_keys_hold_anything() -> None:
    assert complaints("x-a: [1]\nservices:\n  web:\n    x-b: {c: d}\n    image: x\n") == []


@pytest.mark.parametrize(
    "service",
    [
        "tty: $YES",
        "deploy: {replicas: $TWO}",
        "deploy: {update_config: {max_failure_ratio: $HALF}}",
        "read_only: ${NO}",
    ],
)
def test_a_variable_gives_numbers_and_truth_values(service: str) -> None:
    assert about(service, YES="Yes", NO="off", TWO="2", HALF="0.5") == []


def test_a_variable_of_another_kind_is_refused() -> None:
    assert "must be a whole number, and 'many' is text" in about("deploy: {replicas: $MANY}", MANY="many")[0]
    assert "must be true or false" in about("tty: $MANY", MANY="many")[0]


def test_values_are_of_the_type_that_the_key_asks_for() -> None:
    text = "services:\n  web:\n    image: $TWO\n    tty: $YES\n    deploy: {replicas: $TWO, labels: {a: $TWO}}\n"
    tree, _ = interpolate_file(parse_stack(text, "s.yaml"), Filler({"TWO": "2", "YES": "yes"}))
    wished: Plain = {"services": {"web": {"image": "2", "tty": True, "deploy": {"replicas": 2, "labels": {"a": "2"}}}}}
    assert typed(schema.FILE, tree) == wished


def test_one_and_true_are_two_things() -> None:
    assert about("profiles: [1, true]") == [
        "s.yaml:4: services.web.profiles[0]: must be a string, and 1 is a number; quote it to make it text",
        "s.yaml:4: services.web.profiles[1]: must be a string, and true is a truth value",
    ]
    assert about("ports: [{target: 1}, {target: 1}]") == [
        's.yaml:4: services.web.ports[1]: {"target": 1} stands twice in this list'
    ]


def test_an_empty_name_is_called_empty() -> None:
    assert complaints("services:\n  '': {image: x}\n") == ["s.yaml:2: services: a name here is empty"]
