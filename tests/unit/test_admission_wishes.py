"""What the manager refuses, as a table: a wish, and how the sentence begins; beside it what just passes."""

import base64
import json
from typing import Any

import pytest
from support.builders import T0, a_network, a_state

from manager.admission.network import admit_network
from manager.admission.secret import CONFIG, SECRET, admit_creation, read_data
from manager.admission.service import admit_service, admit_update
from manager.objects import Config, Secret
from manager.state import State
from swarmpy.errors import BadRequest
from swarmpy.labels import HOST
from swarmpy.models.config import ConfigSpec
from swarmpy.models.network import NetworkCreate
from swarmpy.models.secret import SecretSpec
from swarmpy.models.service import ServiceSpec

MIB = 1 << 20
CPU = 10**9
KEY = Secret(id="s1", created_at=T0, updated_at=T0, spec=SecretSpec(name="key"), sealed="x")
SITE = Config(id="c1", created_at=T0, updated_at=T0, spec=ConfigSpec(name="site"), sealed="x")
HEX = "0123456789abcdef"


def wish(fields: dict[str, Any]) -> ServiceSpec:
    """Fields of a container, `template:` ones of its template, and `spec:` ones of the service."""
    parts: dict[str, dict[str, Any]] = {"container": {"Image": "web:1"}, "template": {}, "spec": {"Name": "web"}}
    for name, value in fields.items():
        place, _, field = name.rpartition(":")
        parts[place or "container"][field] = value
    template = {"ContainerSpec": parts["container"]} | parts["template"]
    return ServiceSpec.model_validate({"TaskTemplate": template} | parts["spec"])


def a_cluster() -> State:
    return a_state(KEY, SITE, a_network("front"))


def admit(fields: dict[str, Any]) -> None:
    admit_service(a_cluster(), wish(fields), service_id="web", now=T0, sealed_auth=None)


def limits(**amounts: int) -> dict[str, Any]:
    return {"template:Resources": {"Limits": amounts}}


def reservations(**amounts: int) -> dict[str, Any]:
    return {"template:Resources": {"Reservations": amounts}}


def mount(**fields: Any) -> dict[str, Any]:
    return {"Mounts": [{"Type": "volume", "Source": "data", "Target": "/data"} | fields]}


def health(**fields: Any) -> dict[str, Any]:
    return {"Healthcheck": fields}


def ulimit(name: str, soft: int, hard: int) -> dict[str, Any]:
    return {"Ulimits": [{"Name": name, "Soft": soft, "Hard": hard}]}


def dns(**fields: list[str]) -> dict[str, Any]:
    return {"DNSConfig": fields}


def secret(**file: Any) -> dict[str, Any]:
    return {"Secrets": [{"SecretID": "s1", "SecretName": "key", "File": {"Name": "key"} | file}]}


def config(*names: str) -> list[dict[str, Any]]:
    return [{"ConfigID": "c1", "ConfigName": "site", "File": {"Name": name}} for name in names]


def host(**options: Any) -> dict[str, Any]:
    return {"Labels": {HOST: json.dumps(options)}}


def aliases(*names: str) -> dict[str, Any]:
    return {"template:Networks": [{"Target": "front", "Aliases": list(names)}]}


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"StopSignal": "FOO"}, "ContainerSpec.StopSignal: 'FOO' is no signal"),
    ({"StopSignal": "SIGSIGTERM"}, "ContainerSpec.StopSignal: 'SIGSIGTERM' is no signal"),
    ({"StopSignal": "0"}, "ContainerSpec.StopSignal: 0 is no signal"),
    ({"Hosts": ["db"]}, "ContainerSpec.Hosts: 'db' is not of the form"),
    ({"Hosts": ["10.0.0.7"]}, "ContainerSpec.Hosts: '10.0.0.7' is not of the form"),
    ({"Hosts": ["db 10.0.0.7"]}, "ContainerSpec.Hosts: 'db' is no IP address"),
    ({"Sysctls": {"x": ""}}, "ContainerSpec.Sysctls: 'x' is no kernel setting"),
    ({"Sysctls": {"net..a": "1"}}, "ContainerSpec.Sysctls: 'net..a' is no kernel setting"),
    ({"Dir": "a/b"}, "ContainerSpec.Dir: 'a/b' is no absolute path"),
    ({"CapabilityAdd": ["FOO"]}, "ContainerSpec.CapabilityAdd: 'FOO' is no capability"),
    ({"CapabilityDrop": ["CAP_ALL"]}, "ContainerSpec.CapabilityDrop: 'CAP_ALL' is no capability"),
    ({"CapabilityAdd": [""]}, "ContainerSpec.CapabilityAdd: '' is no capability"),
    ({"Env": ["A=1", "=hush"]}, "ContainerSpec.Env[1] has no name before its ="),
    ({"Env": [""]}, "ContainerSpec.Env[0] has no name"),
    ({"Env": ["A=1", "NODE={{.Node.Hostname"]}, "ContainerSpec.Env NODE: the template's line 1 has a {{ that no }}"),
    ({"Env": ["A={{.Foo}}"]}, "ContainerSpec.Env A: the template's line 1 holds a {{...}} that cannot be filled in"),
    ({"Env": ['A={{secret "key"}}']}, "ContainerSpec.Env A: the template's line 1 holds a {{...}} that cannot"),
    ({"Hostname": "{{.Foo}}"}, "ContainerSpec.Hostname: the template's line 1 holds a {{...}} that cannot"),
    ({"Hostname": "a b"}, "ContainerSpec.Hostname: 'a b' is no host name"),
    ({"Hostname": "web..local"}, "ContainerSpec.Hostname: 'web..local' is no host name"),
    ({"Hostname": "-web"}, "ContainerSpec.Hostname: '-web' is no host name"),
    ({"Hostname": "a" * 40 + "." + "b" * 24}, "ContainerSpec.Hostname: a host name has 64 characters or fewer"),
    (host(Domainname="a b"), f"ContainerSpec.Labels[{HOST}]: Domainname: 'a b' is no host name"),
    (dns(Nameservers=["1.1.1"]), "ContainerSpec.DNSConfig.Nameservers: '1.1.1' is no IP address"),
    (dns(Search=["a b"]), "ContainerSpec.DNSConfig.Search: 'a b' is no host name"),
    (dns(Options=["a\nnameserver 6.6.6.6"]), "ContainerSpec.DNSConfig.Options: "),
    ({"User": "a\nb"}, "ContainerSpec.User: 'a\\nb' is no name of a user or group"),
    ({"User": "-1"}, "ContainerSpec.User: -1 is no id; they go from 0 to 2147483647"),
    ({"User": "0:99999999999"}, "ContainerSpec.User: 99999999999 is no id"),
    ({"User": "9" * 5000}, "ContainerSpec.User: " + "9" * 32 + " is no id"),
    ({"Groups": [""]}, "ContainerSpec.Groups: '' is no name of a user or group"),
    ({"Args": ["a", "b\0c"]}, "TaskTemplate.ContainerSpec.Args[1] has a NUL character"),
    ({"Env": ["A=\0"]}, "TaskTemplate.ContainerSpec.Env[0] has a NUL character"),
    ({"Labels": {"a": "\0"}}, "TaskTemplate.ContainerSpec.Labels[a] has a NUL character"),
    (host(CgroupParent="a\0b"), f"ContainerSpec.Labels[{HOST}].CgroupParent has a NUL character"),
    ({"Labels": {"": "x"}}, "TaskTemplate.ContainerSpec.Labels: a key is empty"),
    ({"spec:Labels": {"": "x"}}, "Labels: a key is empty"),
    ({"Image": "A B"}, "ContainerSpec: 'A B' is not a valid image reference"),
    ({"Image": "web@sha256:" + HEX * 2}, f"ContainerSpec: 'web@sha256:{HEX * 2}' is not a valid image reference: a"),
    ({"Image": "web@sha999:" + HEX * 4}, f"ContainerSpec: 'web@sha999:{HEX * 4}' is not a valid image reference: a"),
    ({"Image": "a" * 256}, "ContainerSpec: an image's name has 255 characters or fewer"),
    (health(Interval=1), "ContainerSpec.Healthcheck.Interval must be 0 or at least one millisecond"),
    (health(Timeout=-1), "ContainerSpec.Healthcheck.Timeout must be 0 or at least one millisecond"),
    (health(Retries=-1), "ContainerSpec.Healthcheck.Retries must not be negative"),
    ({"StopGracePeriod": -1}, "ContainerSpec.StopGracePeriod must not be negative"),
    (ulimit("nofile", 2, 1), "ContainerSpec.Ulimits: nofile has a soft limit 2 above its hard limit 1"),
    (ulimit("files", 1, 1), "ContainerSpec.Ulimits: there is no limit 'files'; there are as, core"),
    (ulimit("nofile", -2, -2), "ContainerSpec.Ulimits: nofile must be -1 (unlimited) or not negative"),
    (limits(MemoryBytes=6 * MIB - 1), "Resources.Limits: invalid memory value 6291455: must be at least 6 MiB"),
    (reservations(MemoryBytes=5 * MIB), "Resources.Reservations: invalid memory value 5242880: must be at least 6 MiB"),
    (limits(NanoCPUs=CPU // 100 - 1), "Resources.Limits: invalid cpu value 0.009999999: must be at least 0.01"),
    (limits(Pids=4194305), "Resources.Limits.Pids must be between 0 and 4194304, and 4194305 is not"),
    (limits(Pids=-1), "Resources.Limits.Pids must be between 0"),
    (
        {"template:Resources": {"Limits": {"MemoryBytes": 7 * MIB}, "Reservations": {"MemoryBytes": 8 * MIB}}},
        "Resources: the reservation of MemoryBytes (8388608) exceeds its limit",
    ),
    (host(CpuQuota=999), f"ContainerSpec.Labels[{HOST}]: CpuQuota must be at least 1000 microseconds"),
    (mount(Target="data"), "ContainerSpec.Mounts[0]: Target: 'data' is no absolute path"),
    (mount(Target="/data/.."), "ContainerSpec.Mounts[0]: Target: a mount cannot stand at /"),
    (mount(Target="/{{.Task"), "ContainerSpec.Mounts[0].Target: the template's line 1 has a {{ that no }} ends"),
    (mount(Source="{{.Foo}}"), "ContainerSpec.Mounts[0].Source: the template's line 1 holds a {{...}}"),
    (mount(VolumeOptions={"Labels": {"a": "{{"}}), "ContainerSpec.Mounts[0].VolumeOptions.Labels[a]: the template's"),
    (
        mount(VolumeOptions={"DriverConfig": {"Options": {"o": "{{.X}}"}}}),
        "ContainerSpec.Mounts[0].VolumeOptions.DriverConfig.Options[o]: the template's line 1",
    ),
    ({"Mounts": [mount()["Mounts"][0], mount(Target="/a/../data/")["Mounts"][0]]}, "ContainerSpec.Mounts: /data is"),
    (mount(Source="a"), "ContainerSpec.Mounts[0]: Source 'a' is no name of a volume"),
    (mount(Source="a b"), "ContainerSpec.Mounts[0]: Source 'a b' is no name of a volume"),
    (mount(Source="../data"), "ContainerSpec.Mounts[0]: Source '../data' is no name of a volume"),
    (mount(Source="a" * 256), "ContainerSpec.Mounts[0]: Source "),
    (mount(Source="", ReadOnly=True), "ContainerSpec.Mounts[0]: ReadOnly needs a volume with a name"),
    (mount(VolumeOptions={"Subpath": "../x"}), "ContainerSpec.Mounts[0]: VolumeOptions.Subpath '../x' must be"),
    (mount(VolumeOptions={"Subpath": "/x"}), "ContainerSpec.Mounts[0]: VolumeOptions.Subpath '/x' must be a relative"),
    (mount(Source="", VolumeOptions={"Subpath": "x"}), "ContainerSpec.Mounts[0]: VolumeOptions.Subpath needs a volume"),
    (
        mount(Type="bind", Source="/a", BindOptions={"Propagation": "loud"}),
        "ContainerSpec.Mounts[0]: BindOptions.Propagation 'loud' is none of private, rprivate",
    ),
    (
        mount(
            Type="bind", Source="/a", BindOptions={"ReadOnlyNonRecursive": True, "ReadOnlyForceRecursive": True}
        ),
        "ContainerSpec.Mounts[0]: BindOptions.ReadOnlyNonRecursive and ReadOnlyForceRecursive exclude each other",
    ),
    (secret(Name="../../etc/passwd"), "secret key: its target '../../etc/passwd' must be the path of a file"),
    (secret(Mode=0o10000), "secret key: File.Mode must lie between 0 and 0777"),
    (secret(UID="root"), "secret key: File.UID 'root' must be a number"),
    (secret(GID="-1"), "secret key: File.GID '-1' must be a number"),
    (secret(Name="/run/secrets/"), "secret key: its target '/run/secrets/' must be the path of a file"),
    ({"Configs": config("../a")}, "config site: its target '../a' must be the path of a file"),
    ({"Configs": config("/a", "a")}, "config site: its target /a is taken by another secret, config or mount"),
    ({"Configs": config("/a/b", "/a")}, "config site: its target /a/b lies in /a, which is another secret or config"),
    ({"Configs": config("data")} | mount(), "config site: its target /data is taken by another"),
    (aliases("a b"), "TaskTemplate.Networks.Aliases: 'a b' is no host name"),
    (aliases(""), "TaskTemplate.Networks.Aliases: '' is no host name"),
    ({"spec:Mode": {"Replicated": {"Replicas": 100_001}}}, "Mode.Replicated.Replicas must be between 0 and 100000"),
)  # fmt: skip

TAKEN: tuple[dict[str, Any], ...] = (
    {"StopSignal": "sigterm"}, {"StopSignal": "RTMIN+3"}, {"StopSignal": "64"}, {"StopSignal": ""},
    {"Hosts": ["10.0.0.7 db db.local", "::1 six", "host-gateway outside"]},
    {"Sysctls": {"net.ipv4.ip_forward": "1", "net/core/somaxconn": ""}},
    {"Dir": "/a/../b"}, {"Dir": ""},
    {"CapabilityAdd": ["net_admin", "CAP_KILL", "all"], "CapabilityDrop": ["ALL"]},
    {"Env": ["A", "A=", "B==x", "C={{.Node.Hostname}}-{{index .Service.Labels \"a\"}}"]},
    {"Hostname": "{{.Service.Name}}-{{.Task.Slot}}.local"}, {"Hostname": "web_1"}, {"Hostname": "a" * 62 + ".b"},
    host(Domainname="example.com"),
    dns(Nameservers=["1.1.1.1", "::1"], Search=[".", "example.com."], Options=["ndots:2 timeout:1"]),
    {"User": "2147483647:0"}, {"User": "app"}, {"User": ":5"}, {"Groups": ["users", "0"]},
    {"Image": "web:1@sha256:" + HEX * 4}, {"Image": "r.io/x@sha512:" + HEX * 8},
    health(Interval=0), health(Interval=10**6, Retries=0),
    ulimit("NOFILE", 5, 5), ulimit("memlock", -1, -1), ulimit("core", 0, -1),
    limits(MemoryBytes=6 * MIB), limits(MemoryBytes=0, NanoCPUs=0, Pids=0), limits(NanoCPUs=CPU // 100, Pids=4194304),
    reservations(NanoCPUs=CPU // 1000, MemoryBytes=6 * MIB),
    host(CpuQuota=1000), host(CpuQuota=-1),
    mount(Source="a" * 255), mount(Source="{{.Service.Name}}/x"), mount(Source=""), mount(Target="{{.Task.Name}}"),
    mount(Source="a/b", VolumeOptions={"DriverConfig": {"Name": "nfs"}}), mount(VolumeOptions={"Subpath": "a/../b"}),
    secret(Name="/etc/ssl/key", Mode=0o400, UID="1000", GID="0"), {"Configs": config("/a/b", "/a/c")},
    aliases("web", "db_1.local"),
    {"Command": [""], "Args": [""]},
)  # fmt: skip


@pytest.mark.parametrize(("fields", "sentence"), REFUSED, ids=[sentence[:60] for _, sentence in REFUSED])
def test_what_no_engine_takes_is_refused_in_a_sentence_that_names_the_field(
    fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadRequest) as refusal:
        admit(fields)
    assert str(refusal.value).startswith(f"service web: {sentence}")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("fields", TAKEN, ids=str)
def test_what_an_engine_takes_is_admitted(fields: dict[str, Any]) -> None:
    admit(fields)


def test_an_update_is_judged_as_a_new_service_is() -> None:
    state = a_cluster()
    service = admit_service(state, wish({}), service_id="web", now=T0, sealed_auth=None).value
    with pytest.raises(BadRequest, match=r"ContainerSpec\.StopSignal: 'FOO'"):
        admit_update(state, service, wish({"StopSignal": "FOO"}), version=0, now=T0, sealed_auth=None)


def test_a_refusal_does_not_repeat_the_value_of_a_variable() -> None:
    with pytest.raises(BadRequest) as refusal:
        admit({"Env": ["PASSWORD=hunter2{{"]})
    assert "hunter2" not in str(refusal.value)


def a_file(kind: type[SecretSpec] | type[ConfigSpec], text: bytes, driver: str = "golang") -> SecretSpec | ConfigSpec:
    data = base64.b64encode(text).decode()
    return kind.model_validate({"Name": "n", "Data": data, "Templating": {"Name": driver}})


def test_a_template_that_no_node_can_fill_in_is_refused_when_it_is_made() -> None:
    with pytest.raises(BadRequest, match=r"^config n: Data of .* with Templating: the template's line 2 has a \{\{"):
        read_data(CONFIG, a_file(ConfigSpec, b"a\n{{ .Foo"))
    with pytest.raises(BadRequest, match=r"^config n: Data of a config with Templating must be UTF-8"):
        read_data(CONFIG, a_file(ConfigSpec, b"\xff"))
    with pytest.raises(BadRequest) as refusal:
        read_data(SECRET, a_file(SecretSpec, b"hunter2 {{ .hunter2 }}"))
    assert str(refusal.value).startswith(
        "secret n: Data of a secret with Templating: the template's line 1 holds a {{...}}"
    )
    assert "hunter2" not in str(refusal.value)


def test_a_template_that_can_be_filled_in_and_data_that_are_none_are_taken() -> None:
    template = b'{{env "A"}} {{secret "key"}} {{.Node.Hostname}}'
    assert read_data(CONFIG, a_file(ConfigSpec, template)) == template
    assert read_data(CONFIG, a_file(ConfigSpec, b"{{ .Foo", driver="")) == b"{{ .Foo"


def test_labels_of_configs_and_networks_have_sound_texts() -> None:
    labelled = ConfigSpec(name="n", labels={"a": "\0"})
    with pytest.raises(BadRequest, match=r"^(config|network) n: Labels\[a\] has a NUL character"):
        admit_creation(a_state(), CONFIG, labelled, sealed="x", object_id="c", now=T0)
    with pytest.raises(BadRequest, match=r"^network n: Labels: a key is empty"):
        admit_network(a_state(), NetworkCreate(name="n", labels={"": "x"}), network_id="n", now=T0)
