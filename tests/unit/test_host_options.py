"""Options of the host: read from their label, checked, let in by the cluster's policy, told to the engine."""

import json
from typing import Any

import pytest
from support.assignments import an_assignment
from support.builders import T0, a_cluster, a_revision, a_service, a_state, a_template, at

from agent.task.container import create_request
from agent.task.templates import NodeFacts
from manager.admission.cluster import admit_cluster_update, services_beyond
from manager.admission.defaults import with_stored_defaults
from manager.admission.host import WORDS, allowed_words, check_host, words_needed
from manager.admission.service import admit_rollback, admit_service, admit_update
from manager.objects import Service
from manager.state import State
from scheduler.requirements import requirements
from swarmpy.errors import BadRequest, Forbidden, SwarmpyError, Unsupported
from swarmpy.labels import ALLOW, HOST
from swarmpy.models.cluster import ClusterSpec
from swarmpy.models.container import ContainerSpec
from swarmpy.models.host import LARGEST, NO_HOST_OPTIONS, HostOptions, host_options
from swarmpy.models.port import PortConfig, PublishMode
from swarmpy.models.resources import Limits, ResourceRequirements
from swarmpy.models.service import Replicated, ReplicatedJob, ServiceMode, ServiceSpec, UpdateConfig
from swarmpy.models.task import TaskSpec

EVERYTHING = frozenset(WORDS)
ZERO = {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/nothing", "CgroupPermissions": "r"}
# Everything that the label may say, in the engine's names.
WHOLE: dict[str, Any] = {
    "Privileged": True, "Devices": [ZERO], "DeviceCgroupRules": ["c 10:200 rwm"], "SecurityOpt": ["label=disable"],
    "DeviceRequests": [{"Driver": "nvidia", "Count": -1, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {}}],
    "ShmSize": 1 << 20, "PidMode": "host", "IpcMode": "shareable", "UTSMode": "host", "UsernsMode": "host",
    "CgroupnsMode": "private", "CgroupParent": "/apps", "Runtime": "runsc", "OomScoreAdj": -5, "OomKillDisable": True,
    "MemorySwap": -1, "MemorySwappiness": 10, "CpuShares": 512, "CpuPeriod": 100000, "CpuQuota": 50000,
    "CpuRealtimePeriod": 1000, "CpuRealtimeRuntime": 500, "CpusetCpus": "0-1,3", "CpuCount": 1, "CpuPercent": 50,
    "BlkioWeight": 300, "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 200}],
    "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1}], "BlkioDeviceWriteBps": [{"Path": "/dev/sda", "Rate": 2}],
    "BlkioDeviceReadIOps": [{"Path": "/dev/sda", "Rate": 3}], "BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 4}],
    "StorageOpt": {"size": "1G"}, "Annotations": {"a": "b"}, "Domainname": "example.org",
    "MacAddress": "02:42:ac:11:00:02", "HostIps": {"8080:80/tcp": "127.0.0.1"},
}  # fmt: skip


def labelled(**options: Any) -> dict[str, str]:
    return {HOST: json.dumps(options, sort_keys=True, separators=(",", ":"))}


def a_wish(*, limits: Limits | None = None, privileges: dict[str, Any] | None = None, **options: Any) -> TaskSpec:
    container = {"Image": "web:1", "Labels": labelled(**options), "Privileges": privileges}
    resources = ResourceRequirements(limits=limits) if limits else None
    return TaskSpec(container_spec=ContainerSpec.model_validate(container), resources=resources)


def refusal(template: TaskSpec, allowed: frozenset[str] = EVERYTHING) -> tuple[type[SwarmpyError], str]:
    with pytest.raises(SwarmpyError) as refused:
        check_host(template, allowed)
    return type(refused.value), str(refused.value)


# Reading the label


def test_every_option_is_read_and_written_by_the_engines_names() -> None:
    assert host_options(labelled(**WHOLE)).to_docker() == WHOLE
    assert {field.alias for field in HostOptions.model_fields.values()} == set(WHOLE)


def test_a_container_without_the_label_asks_for_nothing() -> None:
    assert host_options(None) is host_options({"team": "a"}) is NO_HOST_OPTIONS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "ContainerSpec.Labels[swarmpy.host] is no valid JSON"),
        ("[" * 100_000, "ContainerSpec.Labels[swarmpy.host] is no valid JSON"),
        ("[]", "ContainerSpec.Labels[swarmpy.host] must be a JSON object"),
        ('{"Privilegd": true}', "Privilegd is not a known option of the host"),
        ('{"VolumesFrom": ["a"]}', "VolumesFrom is not a known option of the host"),
        ('{"Devices": [{"PathInContainer": "/dev/x"}]}', "Devices[0].PathOnHost"),
        ('{"ShmSize": "much"}', "ShmSize must be a valid integer"),
        (f'{{"ShmSize": {2**70}}}', "does not fit in 64 bits: ShmSize"),
        (" " * (LARGEST + 1), "is longer than 256 KiB"),
    ],
)
def test_a_label_that_cannot_be_read_is_refused_and_the_field_named(text: str, says: str) -> None:
    with pytest.raises(BadRequest) as refused:
        host_options({HOST: text})
    assert says in str(refused.value)
    assert len(str(refused.value)) < 300


# What makes sense


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"Devices": [{"PathOnHost": "dev/kvm"}]}, BadRequest, "Devices[0].PathOnHost must be an absolute path"),
        ({"Devices": [ZERO | {"PathInContainer": "x"}]}, BadRequest, "Devices[0].PathInContainer must be"),
        ({"Devices": [ZERO | {"CgroupPermissions": "rx"}]}, BadRequest, "letters of rwm"),
        ({"Devices": [ZERO | {"CgroupPermissions": "rr"}]}, BadRequest, "letters of rwm"),
        ({"DeviceCgroupRules": ["all"]}, BadRequest, "not of the form `c 10:200 rwm`"),
        ({"DeviceRequests": [{"Count": 1, "DeviceIDs": ["0"]}]}, BadRequest, "both Count and DeviceIDs"),
        ({"DeviceRequests": [{"Count": -2}]}, BadRequest, "DeviceRequests[0].Count"),
        ({"PidMode": "hots"}, BadRequest, "PidMode must be one of host"),
        ({"PidMode": "container:x"}, Unsupported, "PidMode 'container:x' is not carried out"),
        ({"IpcMode": "service:db"}, Unsupported, "IpcMode 'service:db' is not carried out"),
        ({"IpcMode": "open"}, BadRequest, "none, private, shareable, host"),
        ({"UTSMode": "private"}, BadRequest, "UTSMode must be one of host"),
        ({"UsernsMode": "x"}, BadRequest, "UsernsMode must be one of host"),
        ({"CgroupnsMode": "x"}, BadRequest, "CgroupnsMode must be one of host, private"),
        ({"OomScoreAdj": -1001}, BadRequest, "OomScoreAdj must be between -1000 and 1000"),
        ({"ShmSize": 0}, BadRequest, "ShmSize must be at least 1"),
        ({"ShmSize": -1}, BadRequest, "ShmSize must be at least 1"),
        ({"MemorySwappiness": 101}, BadRequest, "MemorySwappiness must be between 0 and 100"),
        ({"CpuPeriod": 1}, BadRequest, "CpuPeriod must be between 1000 and 1000000"),
        ({"CpusetCpus": "all"}, BadRequest, "CpusetCpus must look like 0-2,4"),
        ({"CpuCount": 2}, Unsupported, "CpuCount is of Windows"),
        ({"CpuPercent": 2}, Unsupported, "CpuPercent is of Windows"),
        ({"BlkioWeight": 5}, BadRequest, "between 10 and 1000"),
        ({"BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 2000}]}, BadRequest, "between 10 and 1000"),
        ({"BlkioWeightDevice": [{"Path": "sda", "Weight": 200}]}, BadRequest, "'sda', a device with limits, must"),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": -1}]}, BadRequest, "rate of /dev/sda"),
        ({"Runtime": "/usr/bin/anything"}, BadRequest, "Runtime must look like runsc"),
        ({"MacAddress": "02:42"}, BadRequest, "MacAddress must look like"),
        ({"SecurityOpt": ["credentialspec=file://x"]}, BadRequest, "'credentialspec' is not known"),
        ({"SecurityOpt": ["disable"]}, BadRequest, "'disable' is not known"),
        ({"SecurityOpt": ["no-new-privileges=maybe"]}, BadRequest, "no-new-privileges cannot be 'maybe'"),
        ({"SecurityOpt": ["label=colour:red"]}, BadRequest, "label cannot be 'colour:red'"),
        ({"SecurityOpt": ["seccomp=/etc/profile.json"]}, BadRequest, "the profile itself as JSON, not a path"),
        ({"SecurityOpt": ["apparmor="]}, BadRequest, "apparmor cannot be ''"),
        ({"SecurityOpt": ["systempaths=all"]}, BadRequest, "systempaths cannot be 'all'"),
        ({"UTSMode": "host", "Domainname": "a.org"}, BadRequest, "give no Hostname and no Domainname"),
        ({"MemorySwap": 1 << 30}, BadRequest, "give Resources.Limits.MemoryBytes, too"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: dict[str, Any], kind: type[SwarmpyError], says: str) -> None:
    told, sentence = refusal(a_wish(**options))
    assert told is kind
    assert says in sentence


def test_limits_that_speak_of_the_same_thing_must_agree() -> None:
    memory = Limits(memory_bytes=64 << 20)
    check_host(a_wish(limits=memory, MemorySwap=128 << 20), EVERYTHING)
    assert "less than the memory limit" in refusal(a_wish(limits=memory, MemorySwap=32 << 20))[1]
    assert "give one of them" in refusal(a_wish(limits=Limits(nano_cpus=10**9), CpuQuota=50000))[1]


# The policy

ASKS = [
    ({"Privileged": True}, "privileged"),
    ({"Devices": [ZERO]}, "devices"),
    ({"DeviceCgroupRules": ["a *:* rwm"]}, "devices"),
    ({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["vendor.org/class=one"]}]}, "devices"),
    ({"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}, "gpus"),
    ({"SecurityOpt": ["seccomp=unconfined"]}, "security_opt"),
    ({"SecurityOpt": ["seccomp:unconfined"]}, "security_opt"),
    ({"SecurityOpt": ['seccomp={"defaultAction": "SCMP_ACT_ALLOW"}']}, "security_opt"),
    ({"SecurityOpt": ["apparmor=unconfined"]}, "security_opt"),
    ({"SecurityOpt": ["apparmor=mine"]}, "security_opt"),
    ({"SecurityOpt": ["label=disable"]}, "security_opt"),
    ({"SecurityOpt": ["label:disable"]}, "security_opt"),
    ({"SecurityOpt": ["label=type:spc_t"]}, "security_opt"),
    ({"SecurityOpt": ["label=type:container_runtime_t"]}, "security_opt"),
    ({"SecurityOpt": ["label:user:unconfined_u"]}, "security_opt"),
    ({"SecurityOpt": ["label=role:unconfined_r"]}, "security_opt"),
    ({"SecurityOpt": ["systempaths=unconfined"]}, "security_opt"),
    ({"SecurityOpt": ["no-new-privileges=false"]}, "security_opt"),
    ({"PidMode": "host"}, "pid"),
    ({"IpcMode": "host"}, "ipc"),
    ({"UTSMode": "host"}, "uts"),
    ({"UsernsMode": "host"}, "userns_mode"),
    ({"CgroupnsMode": "host"}, "cgroup"),
    ({"CgroupParent": "/apps"}, "cgroup_parent"),
    ({"Runtime": "runsc"}, "runtime"),
    ({"Runtime": "runc"}, "runtime"),
    ({"OomScoreAdj": -1}, "oom_score_adj"),
    ({"OomKillDisable": True}, "oom_kill_disable"),
    ({"privileges": {"Seccomp": {"Mode": "unconfined"}}}, "security_opt"),
    ({"privileges": {"Seccomp": {"Mode": "custom", "Profile": "e30="}}}, "security_opt"),
    ({"privileges": {"AppArmor": {"Mode": "disabled"}}}, "security_opt"),
    ({"privileges": {"SELinuxContext": {"Disable": True}}}, "security_opt"),
    ({"privileges": {"SELinuxContext": {"Type": "spc_t"}}}, "security_opt"),
    ({"privileges": {"SELinuxContext": {"Type": "container_runtime_t"}}}, "security_opt"),
    ({"privileges": {"SELinuxContext": {"User": "unconfined_u"}}}, "security_opt"),
    ({"privileges": {"SELinuxContext": {"Role": "unconfined_r"}}}, "security_opt"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "word"), ASKS)
def test_an_option_that_touches_the_host_needs_its_word(options: dict[str, Any], word: str) -> None:
    check_host(a_wish(**options), frozenset({word}))
    kind, sentence = refusal(a_wish(**options), EVERYTHING - {word})
    assert kind is Forbidden
    assert sentence.startswith(f"{word}: touches the machine")


def test_every_word_lets_something_in() -> None:
    assert {word for _, word in ASKS} == EVERYTHING


@pytest.mark.parametrize(
    "options",
    [
        {"ShmSize": 1 << 20, "CpuShares": 512, "CpusetCpus": "0", "BlkioWeight": 100, "Domainname": "example.org"},
        {"Annotations": {"a": "b"}, "StorageOpt": {"size": "1G"}, "MemorySwappiness": 0, "OomScoreAdj": 500},
        {"SecurityOpt": ["no-new-privileges", "no-new-privileges:true", "seccomp=builtin", "apparmor=docker-default"]},
        {"SecurityOpt": ["label=type:container_t", "label=level:s0:c100", "label:type:container_init_t"]},
        {"IpcMode": "private", "CgroupnsMode": "private", "PidMode": "", "MacAddress": "02:42:ac:11:00:02"},
        {"Privileged": False, "Devices": [], "OomKillDisable": False, "Runtime": ""},
        {"privileges": {"Seccomp": {"Mode": "default"}, "NoNewPrivileges": True}},
        {"privileges": {"SELinuxContext": {"Type": "container_t", "Level": "s0:c100"}}},
    ],
)
def test_what_touches_only_the_container_needs_no_leave(options: dict[str, Any]) -> None:
    check_host(a_wish(**options), frozenset())


def test_a_refusal_names_all_words_and_keeps_those_that_are_allowed_already() -> None:
    _, sentence = refusal(a_wish(Privileged=True, PidMode="host"), frozenset({"devices"}))
    assert sentence.startswith("pid, privileged: ")
    assert "`swarmpy cluster update --allow devices,pid,privileged`" in sentence


# In the life of a service


def a_spec(template: TaskSpec) -> ServiceSpec:
    return ServiceSpec(name="web", task_template=template)


def allowing(words: str) -> Any:
    cluster = a_cluster()
    return cluster.model_copy(update={"spec": cluster.spec.model_copy(update={"labels": {ALLOW: words}})})


def test_a_service_is_let_in_when_the_cluster_says_so() -> None:
    spec = a_spec(a_wish(Privileged=True))
    with pytest.raises(Forbidden, match="privileged: touches the machine"):
        admit_service(a_state(a_cluster()), spec, service_id="s", now=T0, sealed_auth=None)
    with pytest.raises(Forbidden):
        admit_service(a_state(), spec, service_id="s", now=T0, sealed_auth=None)
    admit_service(a_state(allowing("pid, privileged")), spec, service_id="s", now=T0, sealed_auth=None)


def test_an_update_and_a_rollback_to_what_is_allowed_no_more_are_refused() -> None:
    bare = a_service(template=a_wish(Privileged=True))
    with pytest.raises(Forbidden):
        admit_update(a_state(bare, a_cluster()), bare, bare.spec, version=0, now=at(1), sealed_auth=None)
    tame = a_service(previous_spec=bare.spec, previous_spec_version=1, spec_version=2)
    with pytest.raises(Forbidden):
        admit_rollback(a_state(tame, a_cluster()), tame, version=0, now=at(1))
    admit_rollback(a_state(tame, allowing("privileged")), tame, version=0, now=at(1))
    admit_update(a_state(bare, a_cluster()), bare, tame.spec, version=0, now=at(1), sealed_auth=None)


def bare_service(spec: dict[str, Any], **fields: Any) -> tuple[State, Service]:
    """With a word that the cluster does not allow any more."""
    service = a_service(template=a_wish(Privileged=True), **fields)
    stored = with_stored_defaults(service.spec.model_copy(update=spec))
    service = service.model_copy(update={"spec": stored})
    return a_state(service, a_revision(service), a_cluster()), service


@pytest.mark.parametrize(
    "change",
    [
        {"mode": ServiceMode(replicated=Replicated(replicas=0))},
        {"labels": {"team": "shop"}},
        {"update_config": UpdateConfig(parallelism=2)},
    ],
)
def test_what_asks_for_no_further_task_needs_no_leave_any_more(change: dict[str, Any]) -> None:
    state, service = bare_service({}, replicas=2)
    wish = service.spec.model_copy(update=change)
    assert admit_update(state, service, wish, version=0, now=at(1), sealed_auth=None).value.spec != service.spec


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        (ServiceMode(replicated=Replicated(replicas=2)), ServiceMode(replicated=Replicated(replicas=3))),
        (
            ServiceMode(replicated_job=ReplicatedJob(total_completions=2)),
            ServiceMode(replicated_job=ReplicatedJob(total_completions=3)),
        ),
        (
            ServiceMode(replicated_job=ReplicatedJob(total_completions=9, max_concurrent=2)),
            ServiceMode(replicated_job=ReplicatedJob(total_completions=9, max_concurrent=3)),
        ),
    ],
)
def test_what_asks_for_further_tasks_needs_it(mode: ServiceMode, more: ServiceMode) -> None:
    state, service = bare_service({"mode": mode})
    wish = service.spec.model_copy(update={"mode": more})
    with pytest.raises(Forbidden, match="privileged: touches the machine"):
        admit_update(state, service, wish, version=0, now=at(1), sealed_auth=None)


def test_a_word_that_is_unknown_is_refused_with_the_words() -> None:
    spec = ClusterSpec(labels={ALLOW: "privileged,root"})
    with pytest.raises(BadRequest, match=r"'root' cannot be allowed; the words are cgroup, .*, uts$"):
        admit_cluster_update(a_cluster(), spec, version=0, now=T0)
    allowed = ClusterSpec(labels={ALLOW: " devices, ,pid"})
    assert allowed_words(admit_cluster_update(a_cluster(), allowed, version=0, now=T0).value.spec) == {"devices", "pid"}


def test_taking_a_word_away_names_the_services_that_use_it() -> None:
    services = [
        a_service("a", template=a_wish(Privileged=True, PidMode="host")),
        a_service("b", template=a_wish(PidMode="host")),
        a_service("c", template=a_wish(PidMode="host"), removed=True),
        a_service("d", template=a_wish(Devices=[ZERO])),
        a_service("e", template=TaskSpec(container_spec=ContainerSpec(labels={HOST: "of old"}))),
    ]
    before, after = (ClusterSpec(labels={ALLOW: words}) for words in ("devices,pid,privileged", "devices"))
    assert services_beyond(a_state(*services), before, after) == (
        "service a uses pid, privileged: it runs on, but updates that start tasks of it are refused",
        "service b uses pid: it runs on, but updates that start tasks of it are refused",
    )
    assert services_beyond(a_state(*services), after, before) == ()


def test_a_runtime_is_asked_of_the_node() -> None:
    assert requirements(a_wish(Runtime="runsc")).plugins == (("Runtime", "runsc"),)
    gpus = a_wish(Runtime="nvidia", DeviceRequests=[{"Driver": "nvidia", "Count": 1}])
    assert requirements(gpus).plugins == (("Runtime", "nvidia"),)
    assert requirements(a_wish(DeviceRequests=[{"Count": 1}])).plugins == ()
    assert requirements(a_template()).plugins == ()


def test_words_of_a_container_without_options_are_none() -> None:
    assert words_needed(ContainerSpec(image="web:1")) == frozenset()


# The engine's request

NODE = NodeFacts(hostname="host-a", os="linux", architecture="x86_64", api_version=(1, 43))


def config(node: NodeFacts = NODE, *, task_spec: dict[str, Any] | None = None, **options: Any) -> Any:
    fields = {name: options.pop(name) for name in ("privileges", "read_only") if name in options}
    task = an_assignment(2, labels=labelled(**options), task_spec=task_spec, **fields)
    return create_request(task, node, {}).config


def test_every_option_reaches_the_engine() -> None:
    made = config(**WHOLE)
    host = made["HostConfig"]
    of_config = {name: made[name] for name in ("Domainname", "MacAddress")}
    told = {name: value for name, value in WHOLE.items() if name != "HostIps"}
    assert {**{name: host[name] for name in told if name not in of_config}, **of_config} == told
    assert made["Labels"][HOST] == labelled(**WHOLE)[HOST]


def test_without_options_the_request_is_as_it_was() -> None:
    assert {**config(), "Labels": {}} == {**create_request(an_assignment(2), NODE, {}).config, "Labels": {}}


def test_what_a_device_does_not_say_is_filled_in() -> None:
    host = config(Devices=[{"PathOnHost": "/dev/kvm"}], DeviceRequests=[{"Count": 1}])["HostConfig"]
    assert host["Devices"] == [{"PathOnHost": "/dev/kvm", "PathInContainer": "/dev/kvm", "CgroupPermissions": "rwm"}]
    assert host["DeviceRequests"] == [{"Count": 1, "Capabilities": [["gpu"]]}]


def test_security_options_join_those_of_docker() -> None:
    wish = {"NoNewPrivileges": True}
    privileges = ContainerSpec.model_validate({"Privileges": wish}).privileges
    host = config(privileges=privileges, SecurityOpt=["no-new-privileges=true", "label=disable"])["HostConfig"]
    assert host["SecurityOpt"] == ["no-new-privileges=true", "label=disable"]


def test_open_system_paths_are_lists_of_nothing() -> None:
    host = config(SecurityOpt=["systempaths=unconfined"])["HostConfig"]
    assert (host["SecurityOpt"], host["MaskedPaths"], host["ReadonlyPaths"]) == ([], [], [])


def test_an_engine_that_does_not_know_an_option_is_told_by_name() -> None:
    old = NodeFacts(hostname="host-a", os="linux", architecture="x86_64", api_version=(1, 41))
    with pytest.raises(Unsupported, match=r"Annotations needs engine API 1\.43"):
        config(old, Annotations={"a": "b"})


def test_other_options_leave_limits_alone() -> None:
    limits = ResourceRequirements(limits=Limits(memory_bytes=64 << 20))
    host = config(task_spec={"resources": limits}, MemorySwap=128 << 20)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 128 << 20)


def test_a_port_is_bound_to_the_address_that_is_asked_for() -> None:
    ports = (
        PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST),
        PortConfig(target_port=81, published_port=8081, publish_mode=PublishMode.HOST),
    )
    task = an_assignment(2, labels=labelled(HostIps={"8080:80/tcp": "127.0.0.1"})).model_copy(update={"ports": ports})
    bound = create_request(task, NODE, {}).config["HostConfig"]["PortBindings"]

    assert bound == {"80/tcp": [{"HostPort": "8080", "HostIp": "127.0.0.1"}], "81/tcp": [{"HostPort": "8081"}]}


@pytest.mark.parametrize(
    ("addresses", "sentence"),
    [({"80": "127.0.0.1"}, "must name ports like 8080:80/tcp"), ({"8080:80/tcp": "here"}, "is no address: 'here'")],
)
def test_an_address_for_a_port_must_be_one(addresses: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadRequest) as refused:
        check_host(
            TaskSpec(container_spec=ContainerSpec(image="web:1", labels=labelled(HostIps=addresses))), frozenset()
        )
    assert sentence in str(refused.value)
