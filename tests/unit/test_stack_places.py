"""A sentence of the cluster finds the line that it is about."""

import pytest
from support.stackfiles import planned

from manager.admission.container import RULES

TEXT = """\
services:
  web:
    image: x:1
    privileged: true
    security_opt: [foo]
    environment: {A: 1}
    dns_search: [a]
    ports:
      - "80:80"
    healthcheck:
      test: [CMD, "true"]
      interval: 1ms
    secrets: [key]
    depends_on: [db]
    deploy:
      replicas: 2
      placement:
        constraints: []
  db: {image: x:1}
secrets:
  key: {external: true, name: theirs}
networks:
  default:
    labels: {a: b}
"""


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (2, "label com.example: what no key says"),
        (2, "ContainerSpec.Ulimits: not in the file"),
        (3, "ContainerSpec: 'x:1' is not a valid image reference"),
        (4, "privileged: touches the machine"),
        (4, "privileged, security_opt: touches the machine"),
        (5, "ContainerSpec.Labels[swarmpy.host]: SecurityOpt 'foo' is not known"),
        (6, "ContainerSpec.Env[0] has no name before its ="),
        (7, "ContainerSpec.DNSConfig.Search[0]: wrong"),
        (8, "EndpointSpec.Ports: wrong"),
        (8, "published port 80: ingress mode is not carried out yet"),
        (10, "ContainerSpec.Healthcheck.Retries must not be negative"),
        (12, "ContainerSpec.Healthcheck.Interval must be 0 or at least one millisecond"),
        (13, "secret shop_key: File.UID 'bob' must be a number"),
        (14, "label swarmpy.depends-on: services depend on each other in a circle"),
        (15, "TaskTemplate.RestartPolicy.Delay must not be negative"),
        (16, "Mode.Replicated.Replicas must be between 0 and 100000"),
        (17, "TaskTemplate.Placement.Preferences: wrong"),
        (18, "constraint 'foo': unknown key"),
    ],
)
def test_a_sentence_about_a_service_is_told_at_its_key_or_at_what_is_there_of_it(line: int, sentence: str) -> None:
    problem = planned(TEXT).places.problem("service", "shop_web", sentence)
    assert str(problem) == f"s.yaml:{line}: service web: {sentence}"


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("secret", "theirs", "s.yaml:21: secret key: wrong"),
        ("network", "shop_default", "s.yaml:23: network default: wrong"),
        ("network", "elsewhere", "network elsewhere: wrong"),
    ],
)
def test_other_things_are_told_where_they_are_declared(kind: str, name: str, told: str) -> None:
    assert str(planned(TEXT).places.problem(kind, name, "wrong")) == told


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("secret theirs: secret theirs is taken", "s.yaml:21: secret theirs is taken"),
        ("secret theirs is taken", "s.yaml:21: secret theirs is taken"),
        ("secret theirs: wrong", "s.yaml:21: secret key: wrong"),
        ("secret theirs2 is taken", "s.yaml:21: secret key: secret theirs2 is taken"),
    ],
)
def test_a_thing_that_the_sentence_names_is_not_named_twice(sentence: str, told: str) -> None:
    assert str(planned(TEXT).places.problem("secret", "theirs", sentence)) == told


# Behind each key the manager's word for it.
KEYS = """\
services:
  web:
    image: x:1
    command: [a]              # Args
    entrypoint: [a]           # Command
    stop_signal: SIGTERM      # StopSignal
    working_dir: /app         # Dir
    user: "1"                 # User
    group_add: ["1"]          # Groups
    hostname: web             # Hostname
    extra_hosts: ["a:1.2.3.4"] # Hosts
    sysctls: {net.a: 1}       # Sysctls
    cap_add: [ALL]            # CapabilityAdd
    cap_drop: [CHOWN]         # CapabilityDrop
    dns: [1.2.3.4]            # DNSConfig.Nameservers
    dns_search: [a]           # DNSConfig.Search
    dns_opt: [a]              # DNSConfig.Options
    labels: {a: b}            # Labels
"""


@pytest.mark.parametrize("field", [*(field for field, _ in RULES), "Args", "Command", "Labels[a]"])
def test_every_field_that_is_judged_has_its_key(field: str) -> None:
    problem = planned(KEYS).places.problem("service", "shop_web", f"ContainerSpec.{field}: wrong")
    assert problem.mark is not None
    assert KEYS.splitlines()[problem.mark.line - 1].endswith(f"# {field.partition('[')[0]}")


OF_OLD = """\
services:
  web:
    image: x:1
    pids_limit: 5
    mem_limit: 1m
    mem_reservation: 1m
    cpus: 1
    scale: 2
    restart: always
    x-swarmpy: {progress-deadline: 1m}
    deploy:
      labels: {a: b}
      resources: {limits: {}}
"""


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (4, "Resources.Limits.Pids must be between 0 and 4194304"),
        (5, "Resources.Limits: invalid memory value 1"),
        (6, "Resources.Reservations: invalid memory value 1"),
        (7, "Resources.Limits: invalid cpu value 1"),
        (8, "Mode.Replicated.Replicas must be between 0 and 100000"),
        (9, "TaskTemplate.RestartPolicy.Window must not be negative"),
        (10, "label swarmpy.progress-deadline: wrong"),
        (12, "Labels: a key is empty"),
        (13, "Resources.Limits: something else"),
    ],
)
def test_what_may_stand_in_two_places_is_told_where_it_stands(line: int, sentence: str) -> None:
    problem = planned(OF_OLD).places.problem("service", "shop_web", sentence)
    assert str(problem) == f"s.yaml:{line}: service web: {sentence}"
