"""From a stack file to the networks and services that a deployment asks for, and what it refuses."""

import json
from typing import Any

import pytest
from support.stackfiles import planned, planned_service, service_lines

from swarmpy.models.base import Driver
from swarmpy.models.container import DNSConfig, HealthConfig, Ulimit
from swarmpy.models.mount import BindOptions, Mount, MountType, TmpfsOptions, VolumeOptions
from swarmpy.models.network import NetworkCreate
from swarmpy.models.port import EndpointSpec, PortConfig, Protocol, PublishMode
from swarmpy.models.resources import DiscreteResource, GenericResource, Limits, ResourceRequirements, Resources
from swarmpy.models.service import (
    FailureAction,
    Global,
    GlobalJob,
    Replicated,
    ReplicatedJob,
    ServiceMode,
    ServiceSpec,
    UpdateConfig,
    UpdateOrder,
)
from swarmpy.models.task import (
    Placement,
    PlacementPreference,
    RestartCondition,
    RestartPolicy,
    SpreadOver,
)
from swarmpy.stack.tree import StackError

SECOND = 10**9
STACK = {"com.docker.stack.namespace": "shop"}
EVERYTHING = """
services:
  web:
    image: x:1
    entrypoint: [a]
    command: b c
    hostname: h
    environment: {A: 1, B: }
    working_dir: /x
    user: "1:2"
    tty: true
    stdin_open: true
    read_only: true
    init: false
    stop_signal: SIGINT
    stop_grace_period: 3s
    labels: {a: 1}
    extra_hosts: ["db:10.0.0.1"]
    dns: 1.1.1.1
    dns_search: [a]
    sysctls: {a.b: 1}
    cap_add: [kill]
    cap_drop: [all]
    ulimits: {nproc: 3, nofile: {soft: 1, hard: 2}}
    healthcheck: {test: ok, interval: 2s, timeout: 1s, retries: 4, start_period: 5s, start_interval: 500ms}
    tmpfs: ["/run:size=1m,mode=1777,noexec,uid=5", /x]
    volumes:
      - /a:/b:ro,rslave
      - named:/c:nocopy
      - {type: volume, source: theirs, target: /d, consistency: cached, volume: {subpath: s}}
      - {type: tmpfs, target: /e, tmpfs: {size: 5}}
    ports: [{mode: host, target: 80, published: 8080}, {mode: host, target: 53, protocol: udp}]
    networks: {own: {aliases: [w]}, default: }
    logging: {driver: json-file, options: {max-file: 3}}
    deploy:
      replicas: 2
      labels: {team: a}
      endpoint_mode: dnsrr
      update_config: {parallelism: 0, delay: 1s, failure_action: rollback, monitor: 9s, max_failure_ratio: 1,
                      order: start-first}
      rollback_config: {max_failure_ratio: 0}
      resources:
        limits: {cpus: "0.5", memory: 64m, pids: 10}
        reservations: {cpus: "0.25", generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2.0}}]}
      restart_policy: {condition: on-failure, delay: 2s, max_attempts: 3, window: 1m}
      placement: {constraints: [a==b], preferences: [{spread: node.labels.rack}], max_replicas_per_node: 2}
  once:
    image: x:1
    healthcheck: {disable: true}
    restart: on-failure:3
    deploy: {mode: replicated-job, replicas: 3}
  everywhere:
    image: x:1
    healthcheck: {}
    deploy: {mode: global-job}
volumes:
  named: {driver: nfs, driver_opts: {o: 1}, labels: {k: v}}
  theirs: {external: true}
networks:
  own: {internal: true, labels: [a=b], ipam: {config: [{subnet: 10.9.0.0/16}, {subnet: 10.10.0.0/16}]}}
"""


def refusals(text: str, name: str = "shop") -> list[str]:
    with pytest.raises(StackError) as caught:
        planned(text, name)
    return str(caught.value).splitlines()


def refused(lines: str, rest: str = "") -> str:
    """The one thing wrong with a service of these lines."""
    found = refusals(service_lines(lines) + rest)
    assert len(found) == 1
    return found[0]


def container(lines: str, rest: str = "") -> Any:
    return planned_service(lines, rest).task_template.container_spec


def test_the_least_service() -> None:
    plan = planned("services:\n  web:\n    image: x:1\n")
    (service,) = plan.services
    assert service == {
        "Name": "shop_web",
        "Labels": STACK | {"com.docker.stack.image": "x:1"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "x:1", "Labels": STACK},
            "Networks": [{"Target": "shop_default", "Aliases": ["web"]}],
        },
        "Mode": {"Replicated": {}},
    }
    assert plan.networks == ({"Name": "shop_default", "Driver": "overlay", "Scope": "swarm", "Labels": STACK},)
    assert (plan.external, plan.warnings) == ((), ())


def test_what_is_sent_is_word_for_word_what_the_manager_makes_of_it() -> None:
    """Under Docker's own names, nothing empty, nothing that another type would be made of."""
    plan = planned(EVERYTHING)
    for spec in plan.services:
        assert json.dumps(ServiceSpec.model_validate(spec).to_docker()) == json.dumps(spec)
    for network in plan.networks:
        assert json.dumps(NetworkCreate.model_validate(network).to_docker()) == json.dumps(network)
    assert [list(spec["Mode"]) for spec in plan.services] == [["Replicated"], ["ReplicatedJob"], ["GlobalJob"]]


@pytest.mark.parametrize(
    ("lines", "field", "value"),
    [
        ("command: a 'b c'", "args", ("a", "b c")),
        ("entrypoint: [a]", "command", ("a",)),
        ("hostname: '{{.Task.Slot}}'", "hostname", "{{.Task.Slot}}"),
        ("environment: {B: 1, A: '', C: }", "env", ("A=", "B=1", "C")),
        ("working_dir: /x", "dir", "/x"),
        ("user: '1:2'", "user", "1:2"),
        ("tty: true", "tty", True),
        ("stdin_open: true", "open_stdin", True),
        ("read_only: true", "read_only", True),
        ("init: false", "init", False),
        ("stop_signal: SIGINT", "stop_signal", "SIGINT"),
        ("stop_grace_period: 3s", "stop_grace_period", 3 * SECOND),
        ("labels: [a=b]", "labels", STACK | {"a": "b"}),
        ("extra_hosts: ['db:10.0.0.1', 'six:::1']", "hosts", ("10.0.0.1 db", "::1 six")),
        ("dns: 1.1.1.1\ndns_search: [a, b]", "dns_config", DNSConfig(nameservers=("1.1.1.1",), search=("a", "b"))),
        ("sysctls: {a.b: 1}", "sysctls", {"a.b": "1"}),
        ("cap_add: [net_admin, ALL, CAP_KILL]", "capability_add", ("ALL", "CAP_KILL", "CAP_NET_ADMIN")),
        ("cap_drop: [chown]", "capability_drop", ("CAP_CHOWN",)),
        ("ulimits: {nproc: 3, nofile: {soft: 1, hard: 2}}", "ulimits",
         (Ulimit(name="nofile", soft=1, hard=2), Ulimit(name="nproc", soft=3, hard=3))),
        ("healthcheck: {test: ok, interval: 2s, timeout: 1s, retries: 4, start_period: 5s, start_interval: 500ms}",
         "health_check", HealthConfig(test=("CMD-SHELL", "ok"), interval=2 * SECOND, timeout=SECOND, retries=4,
                                      start_period=5 * SECOND, start_interval=SECOND // 2)),
        ("healthcheck: {disable: true}", "health_check", HealthConfig(test=("NONE",))),
        ("tmpfs: ['/run:size=1m,mode=1777,noexec,uid=5', /x]", "mounts",
         (Mount(type=MountType.TMPFS, target="/run",
                tmpfs_options=TmpfsOptions(size_bytes=1 << 20, mode=0o1777, options=(("noexec",), ("uid", "5")))),
          Mount(type=MountType.TMPFS, target="/x"))),
        ("volumes: ['/a:/b:ro,rslave']", "mounts",
         (Mount(type=MountType.BIND, source="/a", target="/b", read_only=True,
                bind_options=BindOptions(propagation="rslave")),)),
        ("volumes: [/b]", "mounts", (Mount(type=MountType.VOLUME, target="/b"),)),
        ("volumes: [{type: tmpfs, target: /b, tmpfs: {size: 5}}]", "mounts",
         (Mount(type=MountType.TMPFS, target="/b", tmpfs_options=TmpfsOptions(size_bytes=5)),)),
    ],
)  # fmt: skip
def test_a_key_reaches_the_container(lines: str, field: str, value: object) -> None:
    assert getattr(container(lines), field) == value


def test_named_volumes_are_of_the_stack_unless_external() -> None:
    mounts = container(
        "volumes: ['a:/a', 'b:/b:nocopy', 'c:/c', 'd:/d']",
        "volumes:\n  a:\n  b: {name: mine, labels: {k: v}}\n  c: {external: true}\n"
        "  d: {driver: nfs, driver_opts: {o: 1}}\n",
    ).mounts
    assert [mount.source for mount in mounts] == ["shop_a", "mine", "c", "shop_d"]
    assert [mount.volume_options for mount in mounts] == [
        VolumeOptions(labels=STACK),
        VolumeOptions(no_copy=True, labels=STACK | {"k": "v"}),
        VolumeOptions(),
        VolumeOptions(labels=STACK, driver_config=Driver(name="nfs", options={"o": "1"})),
    ]


@pytest.mark.parametrize(
    ("deploy", "mode"),
    [
        ("{replicas: 0}", ServiceMode(replicated=Replicated(replicas=0))),
        ("{mode: global}", ServiceMode(global_=Global())),
        ("{mode: replicated-job, replicas: 3}",
         ServiceMode(replicated_job=ReplicatedJob(max_concurrent=3, total_completions=3))),
        ("{mode: global-job}", ServiceMode(global_job=GlobalJob())),
    ],
)  # fmt: skip
def test_modes(deploy: str, mode: ServiceMode) -> None:
    assert planned_service(f"deploy: {deploy}").mode == mode


@pytest.mark.parametrize(
    ("lines", "policy"),
    [
        ("deploy: {restart_policy: {condition: on-failure, delay: 2s, max_attempts: 3, window: 1m}}",
         RestartPolicy(condition=RestartCondition.ON_FAILURE, delay=2 * SECOND, max_attempts=3, window=60 * SECOND)),
        ("restart: 'no'", RestartPolicy(condition=RestartCondition.NONE)),
        ("restart: always", RestartPolicy(condition=RestartCondition.ANY)),
        ("restart: unless-stopped", RestartPolicy(condition=RestartCondition.ANY)),
        ("restart: on-failure:3", RestartPolicy(condition=RestartCondition.ON_FAILURE, max_attempts=3)),
        ("restart: always\ndeploy: {restart_policy: {condition: none}}",
         RestartPolicy(condition=RestartCondition.NONE)),
        ("deploy: {replicas: 1}", None),
    ],
)  # fmt: skip
def test_restart_policies(lines: str, policy: RestartPolicy | None) -> None:
    assert planned_service(lines).task_template.restart_policy == policy


def test_the_rest_of_deploy() -> None:
    service = planned_service(
        """
deploy:
  labels: {team: a}
  endpoint_mode: DNSRR
  update_config: {parallelism: 0, delay: 1s, failure_action: rollback, monitor: 9s, max_failure_ratio: 0.5,
                  order: start-first}
  rollback_config: {}
  resources:
    limits: {cpus: "0.5", memory: 64m, pids: 10}
    reservations: {memory: 32m, generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]}
  placement: {constraints: [node.role==worker], preferences: [{spread: node.labels.rack}], max_replicas_per_node: 2}
logging: {driver: json-file, options: {max-size: 1m}}
"""
    )
    template = service.task_template
    assert service.labels == STACK | {"team": "a", "com.docker.stack.image": "x:1"}
    assert service.endpoint_spec == EndpointSpec(mode="dnsrr")
    assert service.update_config == UpdateConfig(
        parallelism=0,
        delay=SECOND,
        failure_action=FailureAction.ROLLBACK,
        monitor=9 * SECOND,
        max_failure_ratio=0.5,
        order=UpdateOrder.START_FIRST,
    )
    assert service.rollback_config == UpdateConfig(parallelism=1)
    assert template.resources == ResourceRequirements(
        limits=Limits(nano_cpus=SECOND // 2, memory_bytes=64 << 20, pids=10),
        reservations=Resources(
            memory_bytes=32 << 20,
            generic_resources=(GenericResource(discrete_resource_spec=DiscreteResource(kind="gpu", value=2)),),
        ),
    )
    assert template.placement == Placement(
        constraints=("node.role==worker",),
        preferences=(PlacementPreference(spread=SpreadOver(spread_descriptor="node.labels.rack")),),
        max_replicas=2,
    )
    assert template.log_driver == Driver(name="json-file", options={"max-size": "1m"})


def test_ports_in_host_mode_are_carried_out_whatever_their_order() -> None:
    one = "{mode: host, target: 80, published: 8080}"
    two = "{mode: host, target: 53, protocol: udp}"
    wished = EndpointSpec(
        ports=(
            PortConfig(protocol=Protocol.UDP, target_port=53, publish_mode=PublishMode.HOST),
            PortConfig(protocol=Protocol.TCP, target_port=80, published_port=8080, publish_mode=PublishMode.HOST),
        )
    )
    assert planned_service(f"ports: [{one}, {two}]").endpoint_spec == wished
    assert planned_service(f"ports: [{two}, {one}]").endpoint_spec == wished


def test_networks_that_are_used_are_made_and_external_ones_are_not() -> None:
    plan = planned(
        service_lines("networks: {own: {aliases: [w]}, theirs: , named: , default: }")
        + "networks:\n  own: {internal: true, labels: [a=b], ipam: {config: [{subnet: 10.9.0.0/16}]}}\n"
        "  theirs: {external: true, name: their-net}\n  named: {name: fixed}\n  unused: {}\n"
    )
    assert [network["Name"] for network in plan.networks] == ["shop_default", "fixed", "shop_own"]
    assert plan.networks[2] == {
        "Name": "shop_own",
        "Driver": "overlay",
        "Scope": "swarm",
        "Internal": True,
        "IPAM": {"Config": [{"Subnet": "10.9.0.0/16"}]},
        "Labels": STACK | {"a": "b"},
    }
    assert plan.external == ("their-net",)
    assert plan.services[0]["TaskTemplate"]["Networks"] == [
        {"Target": "fixed", "Aliases": ["web"]},
        {"Target": "shop_default", "Aliases": ["web"]},
        {"Target": "shop_own", "Aliases": ["w", "web"]},
        {"Target": "their-net", "Aliases": ["web"]},
    ]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("pull_policy: always", "services.web.pull_policy: 'always' is not carried out"),
        ("network_mode: host", "services.web.network_mode: not carried out yet"),
        ("ports: [{mode: host, published: 1}]", "services.web.ports[0]: target, the port in the container, is missing"),
        ("ports: [{mode: host, target: 70000}]", "services.web.ports[0].target: 70000 is no port"),
        ("ports: [{mode: host, target: 7, protocol: icmp}]", "'icmp' is none of tcp, udp, sctp"),
        ("networks: [n]", "s.yaml:4: services.web.networks.n: the network n is not in the section `networks`"),
        ("volumes: ['v:/x']", "services.web.volumes[0]: the volume v is not in the section `volumes`"),
        ("volumes: [{type: npipe, source: a, target: /b}]", "mounts are of type bind, volume, tmpfs"),
        ("volumes: [{type: bind, target: /b}]", "services.web.volumes[0].source: a bind mount needs the path"),
        ("volumes: [{type: tmpfs, source: a, target: /b}]", "a tmpfs has no source"),
        ("volumes: ['/a:b']", "services.web.volumes[0].target: 'b' is no absolute path"),
        ("volumes: [{type: volume, target: /b, bind: {propagation: slave}}]", "bind: goes with mounts of type bind"),
        ("volumes: [{type: bind, source: /a, target: /b, bind: {selinux: z}}]", "bind.selinux: relabelling is"),
        ("tmpfs: x", "services.web.tmpfs[0]: 'x' is no absolute path"),
        ("deploy: {mode: sometimes}", "services.web.deploy.mode: 'sometimes' is none of replicated, global"),
        ("deploy: {mode: global, replicas: 2}", "services.web.deploy.replicas: does not go together with mode: global"),
        ("deploy: {endpoint_mode: x}", "services.web.deploy.endpoint_mode: 'x' is none of vip, dnsrr"),
        ("deploy: {update_config: {failure_action: cry}}", "failure_action: 'cry' is none of pause, continue"),
        ("deploy: {update_config: {max_failure_ratio: 2}}", "max_failure_ratio: 2 is not between 0 and 1"),
        ("deploy: {restart_policy: {condition: never}}", "condition: 'never' is none of none, on-failure, any"),
        ("restart: sometimes", "services.web.restart: 'sometimes' is none of no, always"),
        ("restart: always:3", "services.web.restart: 'always:3': a number of attempts goes with on-failure only"),
        ("healthcheck: {test: [curl, x]}", "healthcheck.test: begins with 'curl'; a list begins with CMD"),
        ("healthcheck: {test: a, disable: true}", "healthcheck.test: does not go together with disable"),
    ],
)  # fmt: skip
def test_a_wish_that_is_not_carried_out_is_refused_by_name(lines: str, sentence: str) -> None:
    assert sentence in refused(lines)


@pytest.mark.parametrize(
    ("rest", "sentence"),
    [
        ("networks: {default: {driver: bridge}}\n", "networks.default.driver: the only driver is overlay"),
        ("networks: {default: {ipam: {config: [{subnet: 10.0.0.1/8}]}}}\n", "'10.0.0.1/8' is no subnet"),
        ("networks: {unused: {ipam: {config: [{subnet: foo}]}}}\n", "networks.unused.ipam.config[0].subnet: 'foo' is"),
    ],
)
def test_a_section_that_is_not_carried_out_is_refused_by_name(rest: str, sentence: str) -> None:
    assert sentence in refused("user: me", rest)


def test_everything_is_refused_at_once_in_the_order_of_the_lines() -> None:
    found = refusals(
        "services:\n  web:\n    volumes_from: [a]\n    restart: maybe\n    networks: [n]\n  'bad.name':\n    image: x\n"
    )
    assert [line.split(": ")[:2] for line in found] == [
        ["s.yaml:2", "services.web.image"],
        ["s.yaml:3", "services.web.volumes_from"],
        ["s.yaml:4", "services.web.restart"],
        ["s.yaml:5", "services.web.networks.n"],
        ["s.yaml:6", "services.bad.name"],
    ]


def test_a_stack_has_a_name_and_a_service() -> None:
    assert refusals("services: {a: {image: x}}", "my shop")[0].startswith(
        "STACK, as the command is given it: 'my shop' is no part of a DNS name"
    )
    assert "no services: a stack has at least one" in refusals("version: '3'")[0]
    assert "a name has 63 at most" in refusals("services: {a: {image: x}}", "s" * 70)[0]


def test_what_asks_for_nothing_is_not_refused() -> None:
    planned_service("privileged: false\nsecrets: []\ndevices: []\npid:\n")


def test_what_is_passed_over_is_named() -> None:
    warnings = planned(service_lines("container_name: a\nexpose: [80]\nvolumes: ['/a:/b:z']\nlinks: [db]")).warnings
    assert [warning.split(": ")[1:3] for warning in warnings] == [
        ["services.web.container_name", "ignored"],
        ["services.web.expose", "ignored"],
        ["services.web.volumes[0]", "ignored"],
        ["services.web.links", "ignored"],
    ]
