"""Values that no engine would take, waits that could never end, and that all of it is said in one round."""

from pathlib import Path

import pytest
from support.stackfiles import planned, service_lines

from swarmpy.cli.stack_files import plan_files, read
from swarmpy.stack.tree import StackError


def refusals(text: str) -> list[str]:
    with pytest.raises(StackError) as caught:
        planned(text)
    return str(caught.value).splitlines()


def plan_of(folder: Path, text: str, *profiles: str) -> list[str]:
    """What a deployment of the file is refused for, or its warnings."""
    (folder / "s.yaml").write_text(text)
    try:
        return list(plan_files("shop", read([str(folder / "s.yaml")], {}, profiles), {}).warnings)
    except StackError as error:
        return str(error).replace(f"{folder}/", "").splitlines()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("stop_signal: FOO", "stop_signal: 'FOO' is no signal; write one like SIGTERM or SIGINT"),
        ("working_dir: srv", "working_dir: 'srv' is no absolute path"),
        ("cap_add: [NET_ADMN]", "cap_add[0]: 'NET_ADMN' is no capability; did you mean NET_ADMIN?"),
        ("cap_drop: [ALL, FOO]", "cap_drop[1]: 'FOO' is no capability"),
        ("sysctls: [foo=1]", "sysctls.foo: 'foo' is no kernel setting"),
        ("sysctls: [net.core.somaxconn]", "sysctls.net.core.somaxconn: has no value"),
        ("extra_hosts: [foo]", "extra_hosts[0]: 'foo' has no address; write one like db:10.0.0.1"),
        ("extra_hosts: {foo: }", "extra_hosts.foo: 'foo' has no address"),
        ("extra_hosts: {foo: bar}", "extra_hosts.foo: 'bar' is no IP address"),
        ("hostname: 'a-{{.Foo}}'", "hostname: the template's line 1 holds a {{...}} that cannot be filled in"),
        ("environment: ['A={{.Task.ID']", "environment.A: the template's line 1 has a {{ that no }} ends"),
        ("environment: {A: '{{env \"B\"}}'}", "environment.A: the template's line 1 holds"),
        ("volumes: ['/srv/{{.Foo}}:/v']", "volumes[0].source: the template's line 1 holds"),
        ("ports: [{target: 0}]", "ports[0].target: 0 is no port; ports go from 1 to 65535"),
        ("ports: [{target: 1, published: 70000}]", "ports[0].published: 70000 is no port; ports go from 0 to 65535"),
        ("scale: 1.5", "scale: must be a whole number, and 1.5 is one with a fraction"),
        ("scale: 'yes'", "scale: must be a whole number, and 'yes' is text"),
        ("tty: 1", "tty: must be true or false, and 1 is a number"),
        ("user: 1", "user: must be a string, and 1 is a number; quote it to make it text"),
    ],
)
def test_a_value_that_no_engine_takes_is_refused_with_its_place(tmp_path: Path, lines: str, sentence: str) -> None:
    found = plan_of(tmp_path, service_lines(lines))
    assert [line.partition("services.web.")[0] for line in found] == ["s.yaml:4: "]
    assert sentence in found[0]


def test_what_engines_take_is_taken() -> None:
    planned(
        service_lines(
            "stop_signal: SIGRTMIN+3\nworking_dir: /srv\ncap_add: [net_admin, CAP_SYS_TIME]\ncap_drop: [ALL]\n"
            "sysctls: {net.core.somaxconn: 1024}\nextra_hosts: ['a:10.0.0.1', 'b=[::1]', 'c:host-gateway']\n"
            "hostname: '{{.Node.Hostname}}'\nenvironment: {A: '{{.Task.Slot}}', B: '}}'}"
        )
    )


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        ("'A B'", "s.yaml:3: services.web.image: 'A B' is not a valid image reference"),
        ("shop/Web", "s.yaml:3: services.web.image: 'shop/Web' is not a valid image reference: the path of an image"),
        ('""', "s.yaml:3: services.web.image: is missing or empty; name the image that the tasks run"),
    ],
)
def test_an_image_that_is_none_is_refused(image: str, sentence: str) -> None:
    assert refusals(service_lines("", image=image))[0].startswith(sentence)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("configs: {c: {content: 'a', file: x}}", "configs.c: says in 2 ways what it holds: file, content; keep one"),
        ("secrets: {s: {file: x, environment: X}}", "secrets.s: says in 2 ways what it holds: file, environment"),
        (
            "secrets: {s: {file: x, environment: X, external: true}}",
            "secrets.s: says in 3 ways what it holds: file, environment, external; keep one",
        ),
        (
            'configs: {c: {template_driver: golang, content: "a\\n{{ .Foo"}}',
            "configs.c: the template's line 2 has a {{ that no }} ends",
        ),
        ("configs: {c: {template_driver: jinja, content: a}}", "configs.c.template_driver: the only template driver"),
    ],
)
def test_a_config_that_no_node_could_lay_out_is_refused(tmp_path: Path, section: str, sentence: str) -> None:
    found = plan_of(tmp_path, service_lines("") + section)
    assert any(line.startswith(f"s.yaml:5: {sentence}") for line in found), found


def test_a_list_with_wrong_items_is_read_on_and_the_rest_of_it_told_at_its_place(tmp_path: Path) -> None:
    found = plan_of(
        tmp_path,
        "services:\n  web:\n    image: x\n    depends_on: [v, v, x]\n    volumes:\n"
        "      - a::b\n      - /a:b\n      - [c]\n      - {target: /x}\n      - v:/x\n"
        "      - {type: bind, target: /b}\n"
        "    ports:\n      - 99999:1\n      - 80:80\n      - {target: x}\n      - {target: 0}\n"
        "    ulimits:\n      nofile: {soft: 2, hard: 1}\n      nofiles: 1\n  v: {image: x}\n",
    )
    assert [line.split(": ")[:2] for line in found] == [
        ["s.yaml:4", "services.web.depends_on[1]"],
        ["s.yaml:4", "services.web.depends_on.x"],
        ["s.yaml:6", "services.web.volumes[0]"],
        ["s.yaml:7", "services.web.volumes[1].target"],
        ["s.yaml:8", "services.web.volumes[2]"],
        ["s.yaml:9", "services.web.volumes[3]"],
        ["s.yaml:10", "services.web.volumes[4]"],
        ["s.yaml:11", "services.web.volumes[5].source"],
        ["s.yaml:13", "services.web.ports[0]"],
        ["s.yaml:15", "services.web.ports[2].target"],
        ["s.yaml:16", "services.web.ports[3].target"],
        ["s.yaml:18", "services.web.ulimits.nofile"],
        ["s.yaml:19", "services.web.ulimits.nofiles"],
    ]


def test_a_broken_template_of_a_secret_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hush {{ .Foo }}")
    found = plan_of(tmp_path, service_lines("") + "secrets: {s: {file: key, template_driver: golang}}")
    assert found[0].startswith("s.yaml:5: secrets.s: the template's line 1 holds")
    assert "hush" not in found[0]
    assert ".Foo" not in found[0]


@pytest.mark.parametrize(
    ("how", "other", "sentence"),
    [
        ("healthy", "healthcheck: {disable: true}", "never healthy: the service db has its health check disabled"),
        ("healthy", "healthcheck: {test: [NONE]}", "never healthy: the service db has its health check disabled"),
        ("completed_successfully", "restart: always", "the service db is started again whenever it ends"),
        ("completed_successfully", "user: x", "set its deploy.restart_policy.condition to on-failure or none"),
        ("completed_successfully", "deploy: {restart_policy: {delay: 1s}}", "never completed: the service db"),
        ("healthy", "profiles: [tools]", "service db belongs to the profile tools, which is not enabled: take it in"),
        ("started", "profiles: [a, b]", "the profiles a and b, of which none is enabled: take it in with --profile a"),
    ],
)  # fmt: skip
def test_a_wait_that_could_never_end_is_refused(tmp_path: Path, how: str, other: str, sentence: str) -> None:
    text = service_lines(f"depends_on: {{db: {{condition: service_{how}}}}}") + f"  db: {{image: x, {other}}}\n"
    found = plan_of(tmp_path, text)
    assert found[0].startswith("s.yaml:4: services.web.depends_on.db: "), found
    assert sentence in found[0]


@pytest.mark.parametrize(
    "other",
    [
        "restart: 'no'",
        "restart: on-failure:3",
        "deploy: {restart_policy: {condition: on-failure}}",
        "deploy: {restart_policy: {condition: none}}",
        "deploy: {mode: replicated-job}",
        "deploy: {mode: global-job}",
    ],
)
def test_a_service_that_ends_can_be_waited_for(tmp_path: Path, other: str) -> None:
    text = service_lines("depends_on: {db: {condition: service_completed_successfully}}")
    assert plan_of(tmp_path, text + f"  db: {{image: x, {other}}}\n") == []


def test_a_health_check_that_only_the_image_can_bring_is_doubted(tmp_path: Path) -> None:
    text = service_lines("depends_on: {db: {condition: service_healthy}}")
    assert plan_of(tmp_path, text + "  db: {image: x}\n")[0].endswith(
        "s.yaml:4: services.web.depends_on.db: service web waits until db is healthy; "
        "db has no health check in the files, so one of its image is needed"
    )
    assert plan_of(tmp_path, text + "  db: {image: x, healthcheck: {test: a}}\n") == []


def test_a_file_whose_services_are_all_left_out_names_their_profiles(tmp_path: Path) -> None:
    text = "services:\n  a: {image: x, profiles: [p]}\n  b: {image: x, profiles: [q, p]}\n"
    sentence = "no services: all of them belong to profiles that are not enabled (p, q); take some in with --profile p"
    assert sentence in plan_of(tmp_path, text)[0]
    assert plan_of(tmp_path, text, "q") == []


def test_faults_of_every_kind_are_said_in_one_round_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = (
        "services:\n  web:\n    image: x\n    imagee: y\n    user: ${MISSING:?}\n    env_file: none.env\n"
        "    ports: [80:80, nonsense]\n    volumes_from: [db]\n    deploy:\n      replicas: '3'\n      mode: often\n"
        "      restart_policy: {condition: maybe}\n      update_config: {max_failure_ratio: 3}\n"
        "    depends_on: [web]\nconfigs:\n  c: {file: none.conf}\n"
    )
    found = plan_of(tmp_path, text)
    assert [line.split(": ")[0] for line in found] == [f"s.yaml:{n}" for n in (4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16)]


def test_nothing_is_said_of_what_may_be_right_once_the_known_is_mended(tmp_path: Path) -> None:
    text = "services:\n  web:\n    image: 5\n    ulimits: {nofile: {soft: x, hard: 1}}\n"
    assert [line.split(": ")[1] for line in plan_of(tmp_path, text)] == [
        "services.web.image",
        "services.web.ulimits.nofile.soft",
    ]
    assert len(plan_of(tmp_path, "services: [web]\nconfigs: {c: {content: x, template_driver: 1}}")) == 2


@pytest.mark.parametrize("text", ["services: {web: {image: x", "services: {web: {image: x\n", "a: *b\n"])
def test_a_file_of_one_line_is_wrong_in_its_line(tmp_path: Path, text: str) -> None:
    assert plan_of(tmp_path, text)[0].startswith("s.yaml:1: not valid YAML in line 1")
