"""A task's wish becomes the engine's request: every field of it, or a refusal by name."""

import base64
from ipaddress import IPv4Address
from typing import Any

import pytest
from support.assignments import NODE_ID, a_network, an_assignment

from agent.task.container import CreateRequest, NetworkToJoin, create_request
from agent.task.names import network_id_of, network_name
from agent.task.templates import NodeFacts
from swarmpy.errors import BadRequest, Unsupported
from swarmpy.ids import id_from_number
from swarmpy.models.base import Driver
from swarmpy.models.container import (
    AppArmorOptions,
    ConfigReference,
    CredentialSpec,
    DNSConfig,
    HealthConfig,
    Privileges,
    SeccompOptions,
    SecretReference,
    SELinuxContext,
    Ulimit,
)
from swarmpy.models.mount import BindOptions, Mount, MountType, TmpfsOptions, VolumeOptions
from swarmpy.models.port import PortConfig, Protocol, PublishMode
from swarmpy.models.resources import Limits, ResourceRequirements, Resources
from swarmpy.models.task import NetworkAttachmentConfig
from swarmpy.wire import NetworkAssignment

NODE = NodeFacts(hostname="host-a", os="linux", architecture="x86_64")
SECOND = 1_000_000_000


def request(*networks: NetworkAssignment, node: NodeFacts = NODE, **fields: Any) -> CreateRequest:
    fields.setdefault("networks", tuple(network.id for network in networks))
    return create_request(an_assignment(2, **fields), node, {network.id: network for network in networks})


def host_config(**fields: Any) -> dict[str, Any]:
    host: dict[str, Any] = request(**fields).config["HostConfig"]
    return host


def test_a_plain_task_asks_for_little() -> None:
    made = request()

    assert made.name == f"web.2.{id_from_number(2)}"
    assert made.config["Image"] == "app:1"
    assert "Entrypoint" not in made.config
    assert made.config["HostConfig"]["RestartPolicy"] == {"Name": "no"}
    assert made.networks == ()


def test_a_container_of_a_global_service_is_named_after_its_node() -> None:
    assert request(slot=0).name == f"web.{NODE_ID}.{id_from_number(2)}"


def test_labels_are_the_users_and_dockers_and_ours() -> None:
    labels = request(labels={"team": "a", "swarmpy.task": "forged"}).config["Labels"]

    assert labels["team"] == "a"
    assert labels["com.docker.swarm.service.name"] == "web"
    assert labels["com.docker.swarm.task.name"] == f"web.2.{id_from_number(2)}"
    assert labels["swarmpy.task"] == id_from_number(2)
    assert labels["swarmpy.node"] == NODE_ID


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"command": ("sh", "-c")}, "Entrypoint", ["sh", "-c"]),
        ({"args": ("ls", "-l")}, "Cmd", ["ls", "-l"]),
        ({"env": ("A=1", "B")}, "Env", ["A=1", "B"]),
        ({"dir": "/srv"}, "WorkingDir", "/srv"),
        ({"user": "1000:1000"}, "User", "1000:1000"),
        ({"hostname": "web-{{.Task.Slot}}"}, "Hostname", "web-2"),
        ({"tty": True}, "Tty", True),
        ({"open_stdin": True}, "OpenStdin", True),
        ({"stop_signal": "SIGUSR1"}, "StopSignal", "SIGUSR1"),
        ({"stop_grace_period": 30 * SECOND}, "StopTimeout", 30),
        (
            {"health_check": HealthConfig(test=("CMD", "true"), interval=SECOND, retries=2)},
            "Healthcheck",
            {"Test": ["CMD", "true"], "Interval": SECOND, "Retries": 2},
        ),
    ],
)
def test_what_a_container_runs_is_carried_over(fields: dict[str, Any], name: str, value: object) -> None:
    assert request(**fields).config[name] == value


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"read_only": True}, "ReadonlyRootfs", True),
        ({"groups": ("video",)}, "GroupAdd", ["video"]),
        ({"hosts": ("10.0.0.1 db db.local",)}, "ExtraHosts", ["db:10.0.0.1", "db.local:10.0.0.1"]),
        ({"dns_config": DNSConfig(nameservers=("10.0.0.2",))}, "Dns", ["10.0.0.2"]),
        ({"dns_config": DNSConfig(search=("local",))}, "DnsSearch", ["local"]),
        ({"dns_config": DNSConfig(options=("ndots:1",))}, "DnsOptions", ["ndots:1"]),
        ({"capability_add": ("CAP_NET_ADMIN",)}, "CapAdd", ["CAP_NET_ADMIN"]),
        ({"capability_drop": ("ALL",)}, "CapDrop", ["ALL"]),
        ({"sysctls": {"net.core.somaxconn": "99"}}, "Sysctls", {"net.core.somaxconn": "99"}),
        ({"init": True}, "Init", True),
        ({"init": False}, "Init", False),
        ({"isolation": "default"}, "Isolation", "default"),
        ({"ulimits": (Ulimit(name="nproc", soft=1, hard=2),)}, "Ulimits", [{"Name": "nproc", "Soft": 1, "Hard": 2}]),
        ({"privileges": Privileges(no_new_privileges=True)}, "SecurityOpt", ["no-new-privileges=true"]),
    ],
)  # fmt: skip
def test_what_a_container_may_do_is_carried_over(fields: dict[str, Any], name: str, value: object) -> None:
    assert host_config(**fields)[name] == value


def test_limits_and_reservations_are_carried_over() -> None:
    resources = ResourceRequirements(
        limits=Limits(nano_cpus=500_000_000, memory_bytes=1 << 20, pids=40),
        reservations=Resources(nano_cpus=100_000_000, memory_bytes=1 << 19),
    )
    host = host_config(
        task_spec={"resources": resources, "log_driver": Driver(name="local", options={"max-size": "1m"})}
    )

    assert (host["NanoCpus"], host["Memory"], host["PidsLimit"]) == (500_000_000, 1 << 20, 40)
    assert host["MemoryReservation"] == 1 << 19
    assert host["LogConfig"] == {"Type": "local", "Config": {"max-size": "1m"}}


def test_an_unlimited_number_of_processes_is_left_to_the_engine() -> None:
    assert "PidsLimit" not in host_config(task_spec={"resources": ResourceRequirements(limits=Limits(pids=0))})


def test_privileges_become_security_options() -> None:
    profile = '{"defaultAction": "SCMP_ACT_ALLOW"}'
    privileges = Privileges(
        selinux_context=SELinuxContext(user="u", type="t"),
        seccomp=SeccompOptions(mode="custom", profile=base64.b64encode(profile.encode()).decode()),
        apparmor=AppArmorOptions(mode="disabled"),
    )

    assert host_config(privileges=privileges)["SecurityOpt"] == [
        "label=user:u", "label=type:t", f"seccomp={profile}", "apparmor=unconfined"
    ]  # fmt: skip
    off = Privileges(selinux_context=SELinuxContext(disable=True), seccomp=SeccompOptions(mode="unconfined"))
    assert host_config(privileges=off)["SecurityOpt"] == ["label=disable", "seccomp=unconfined"]
    default = Privileges(seccomp=SeccompOptions(mode="default"), apparmor=AppArmorOptions(mode="default"))
    assert host_config(privileges=default)["SecurityOpt"] == []


def test_mounts_are_carried_over_with_their_templates_filled_in() -> None:
    mounts = (
        Mount(type=MountType.BIND, source="/srv/{{.Node.Hostname}}", target="/data", read_only=True,
              bind_options=BindOptions(propagation="rslave")),
        Mount(source="vol-{{.Task.Slot}}", target="/vol",
              volume_options=VolumeOptions(no_copy=True, labels={"of": "{{.Service.Name}}"},
                                           driver_config=Driver(name="local", options={"o": "{{.Task.Slot}}"}))),
        Mount(type=MountType.TMPFS, target="/tmp", tmpfs_options=TmpfsOptions(size_bytes=4096, mode=0o1777)),
    )  # fmt: skip

    bind, volume, tmpfs = host_config(mounts=mounts)["Mounts"]

    assert bind == {
        "Type": "bind", "Source": "/srv/host-a", "Target": "/data", "ReadOnly": True,
        "BindOptions": {"Propagation": "rslave"},
    }  # fmt: skip
    assert (volume["Type"], volume["Source"]) == ("volume", "vol-2")
    assert volume["VolumeOptions"] == {
        "NoCopy": True, "Labels": {"of": "web"}, "DriverConfig": {"Name": "local", "Options": {"o": "2"}}
    }  # fmt: skip
    assert tmpfs["TmpfsOptions"] == {"SizeBytes": 4096, "Mode": 0o1777}


def test_ports_in_host_mode_are_published_on_the_node() -> None:
    ports = (
        PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST),
        PortConfig(target_port=53, protocol=Protocol.UDP, publish_mode=PublishMode.HOST),
        PortConfig(target_port=443, published_port=8443, publish_mode=PublishMode.INGRESS),
    )

    config = request(ports=ports).config

    assert config["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert config["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostPort": "8080"}], "53/udp": [{"HostPort": ""}]}


def test_networks_are_joined_with_the_addresses_that_the_agent_picked() -> None:
    front, back = a_network(1, name="front"), a_network(2, name="back")
    task = an_assignment(2, networks=(front.id, back.id))
    address = IPv4Address("10.200.1.9")

    joined = create_request(task, NODE, {n.id: n for n in (front, back)}, addresses={front.id: address}).networks

    assert joined == (NetworkToJoin(network_name(front), address), NetworkToJoin(network_name(back)))
    assert network_id_of(network_name(front)) == front.id
    assert network_id_of("bridge") is None


def test_on_overlay_networks_the_gateways_are_asked_for_names() -> None:
    front, back = a_network(1, name="front"), a_network(2, name="back")
    wish = DNSConfig(nameservers=("9.9.9.9",))

    assert request(dns_config=wish).config["HostConfig"]["Dns"] == ["9.9.9.9"]
    assert request(front, back, dns_config=wish).config["HostConfig"]["Dns"] == [front.gateway, back.gateway]


def test_a_network_of_the_engine_is_joined_by_its_name_and_alone() -> None:
    on_host = {"networks": (NetworkAttachmentConfig(target="host"),)}
    assert host_config(task_spec=on_host)["NetworkMode"] == "host"

    with pytest.raises(BadRequest, match="cannot be joined together"):
        request(a_network(), task_spec=on_host)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("{{.Service.ID}}", id_from_number(1000)),
        ("{{ .Service.Name }}", "web"),
        ('{{index .Service.Labels "com.team"}}', "a"),
        ("{{index .Service.Labels `none`}}", ""),
        ("{{.Service.Labels.tier}}", "front"),
        ("{{.Service.Labels}}", "map[com.team:a tier:front]"),
        ("{{.Node.ID}}/{{.Node.Hostname}}", f"{NODE_ID}/host-a"),
        ("{{.Node.Platform.OS}}-{{.Node.Platform.Architecture}}", "linux-x86_64"),
        ("{{.Task.ID}}", id_from_number(2)),
        ("{{.Task.Name}}", f"web.2.{id_from_number(2)}"),
        ("{{.Task.Slot}}", "2"),
        ("no } template { here", "no } template { here"),
    ],
)
def test_templates_are_filled_in(text: str, becomes: str) -> None:
    made = request(env=(f"X={text}",), service_labels={"com.team": "a", "tier": "front"})

    assert made.config["Env"] == [f"X={becomes}"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{.Task.Nothing}}", r"env X: the template \{\{.Task.Nothing\}\} is unknown; there are .*\.Task\.Slot"),
        ("{{.Task.ID | upper}}", "more than a field"),
        ("s3cret{{.Task.ID", "env X: a template begins with {{ and does not end$"),
        ('{{index .Task.ID "a"}}', "no map of labels"),
    ],
)
def test_templates_that_cannot_be_filled_in_are_refused(text: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        request(env=(f"X={text}",))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"secrets": (SecretReference(secret_id="s"),)}, "secret s: it has no target"),
        ({"configs": (ConfigReference(config_id="c"),)}, "config c: it has no target"),
        ({"privileges": Privileges(credential_spec=CredentialSpec(file="x"))}, "CredentialSpec"),
        ({"privileges": Privileges(seccomp=SeccompOptions(mode="odd"))}, "Seccomp.Mode 'odd'"),
        ({"privileges": Privileges(seccomp=SeccompOptions(mode="custom", profile="%"))}, "not a profile in base 64"),
        ({"privileges": Privileges(apparmor=AppArmorOptions(mode="odd"))}, "AppArmor.Mode 'odd'"),
        ({"mounts": (Mount(type=MountType.NPIPE, source="x", target="/x"),)}, "type npipe are not carried out"),
        ({"mounts": (Mount(type=MountType.CLUSTER, source="x", target="/x"),)}, "type cluster are not carried out"),
        ({"mounts": (Mount(source="v", target="/x", volume_options=VolumeOptions(subpath="s")),)},
         r"VolumeOptions.Subpath needs engine API 1.45, and the engine of this node speaks 1.41"),
        ({"health_check": HealthConfig(start_interval=SECOND)}, "StartInterval needs engine API 1.44"),
        ({"hosts": ("10.0.0.1",)}, "not of the form"),
        ({"image": ""}, "Image is empty"),
        ({"networks": ("nowhere",)}, "network nowhere .* is not provided on this node"),
    ],
)  # fmt: skip
def test_what_is_not_carried_out_is_refused_by_name(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        request(**fields)


def test_a_newer_engine_is_given_what_an_older_one_would_ignore() -> None:
    newer = NodeFacts("host-a", "linux", "x86_64", api_version=(1, 45))
    mount = Mount(source="v", target="/x", volume_options=VolumeOptions(subpath="s"))

    (made,) = request(node=newer, mounts=(mount,)).config["HostConfig"]["Mounts"]

    assert made["VolumeOptions"] == {"Subpath": "s"}


def test_a_task_that_runs_no_container_is_refused() -> None:
    task = an_assignment()
    bare = task.model_copy(update={"spec": task.spec.model_copy(update={"container_spec": None})})

    with pytest.raises(Unsupported, match="only tasks that run a container"):
        create_request(bare, NODE, {})
