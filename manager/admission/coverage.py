"""Which fields of Docker's documents swarmpy acts on, and what it says to those it does not. Pure.

Every field of every document that a client may send stands in `COVERAGE`; a test walks the models, so that none is
forgotten. A field that is not acted on is refused by its name when it is set, and never dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from swarmpy.errors import Unsupported
from swarmpy.models import config, container, mount, network, node, port, resources, secret, service, task
from swarmpy.models.base import DockerModel, Driver, docker_name
from swarmpy.models.network import ENCRYPTED_OPTION, MTU_OPTION, VNI_OPTION


@dataclass(frozen=True, slots=True)
class Acts:
    """Carried out; a nested document is looked into."""


@dataclass(frozen=True, slots=True)
class Only:
    """Carried out for these values; others are refused in the words of `because`."""

    values: tuple[object, ...]
    because: str


@dataclass(frozen=True, slots=True)
class OnlyKeys:
    """A mapping of which these keys are carried out; another key is refused in the words of `because`."""

    keys: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Not carried out: anything but an empty value is refused in the words of `because`."""

    because: str


Rule = Acts | Only | OnlyKeys | Refused


def _acts(*names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, Acts())


COVERAGE: dict[type[DockerModel], dict[str, Rule]] = {
    service.ServiceSpec: _acts(
        "name", "labels", "task_template", "mode", "update_config", "rollback_config", "networks", "endpoint_spec"
    ),
    service.ServiceMode: _acts("replicated", "global_", "replicated_job", "global_job"),
    service.Replicated: _acts("replicas"),
    service.Global: {},
    service.ReplicatedJob: _acts("max_concurrent", "total_completions"),
    service.GlobalJob: {},
    service.UpdateConfig: _acts("parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order"),
    port.EndpointSpec: {**_acts("ports"), "mode": Only(("", "vip", "dnsrr"), "the modes are vip and dnsrr")},
    port.PortConfig: {
        **_acts("name", "protocol", "target_port", "published_port", "publish_mode"),
    },
    task.TaskSpec: {
        **_acts("container_spec", "resources", "restart_policy", "placement", "force_update", "networks", "log_driver"),
        "plugin_spec": Refused("plugins as services are not carried out"),
        "network_attachment_spec": Refused("attaching single containers to networks is not carried out"),
        "runtime": Only(("", "container"), "the only runtime is container"),
    },
    task.RestartPolicy: _acts("condition", "delay", "max_attempts", "window"),
    task.Placement: _acts("constraints", "preferences", "max_replicas", "platforms"),
    task.PlacementPreference: _acts("spread"),
    task.SpreadOver: _acts("spread_descriptor"),
    task.NetworkAttachmentConfig: {
        **_acts("target", "aliases"),
        "driver_opts": Refused("driver options of a network attachment are not carried out"),
    },
    node.Platform: _acts("architecture", "os"),
    resources.ResourceRequirements: _acts("limits", "reservations"),
    resources.Limits: _acts("nano_cpus", "memory_bytes", "pids"),
    resources.Resources: _acts("nano_cpus", "memory_bytes", "generic_resources"),
    resources.GenericResource: _acts("named_resource_spec", "discrete_resource_spec"),
    resources.NamedResource: _acts("kind", "value"),
    resources.DiscreteResource: _acts("kind", "value"),
    container.ContainerSpec: {
        **_acts(
            "image",
            "labels",
            "command",
            "args",
            "hostname",
            "env",
            "dir",
            "user",
            "groups",
            "privileges",
            "tty",
            "open_stdin",
            "read_only",
            "mounts",
            "stop_signal",
            "stop_grace_period",
            "health_check",
            "hosts",
            "dns_config",
            "init",
            "sysctls",
            "capability_add",
            "capability_drop",
            "ulimits",
            "secrets",
            "configs",
        ),
        "isolation": Only(("", "default"), "isolation is of Windows; leave it out or use default"),
    },
    container.Privileges: {
        **_acts("selinux_context", "seccomp", "apparmor", "no_new_privileges"),
        "credential_spec": Refused("credential specs are of Windows and not carried out"),
    },
    container.SELinuxContext: _acts("disable", "user", "role", "type", "level"),
    container.SeccompOptions: _acts("mode", "profile"),
    container.AppArmorOptions: _acts("mode"),
    container.HealthConfig: _acts("test", "interval", "timeout", "retries", "start_period", "start_interval"),
    container.DNSConfig: _acts("nameservers", "search", "options"),
    container.Ulimit: _acts("name", "soft", "hard"),
    container.SecretReference: _acts("file", "secret_id", "secret_name"),
    container.ConfigReference: {
        **_acts("file", "config_id", "config_name"),
        "runtime": Refused("configs for credential specs are of Windows and not carried out"),
    },
    container.ReferenceFile: _acts("name", "uid", "gid", "mode"),
    secret.SecretSpec: {
        **_acts("name", "labels", "data", "templating"),
        "driver": Refused("drivers of secrets are not carried out; give the secret's data"),
    },
    config.ConfigSpec: _acts("name", "labels", "data", "templating"),
    mount.Mount: {
        **_acts("source", "target", "read_only", "bind_options", "volume_options", "tmpfs_options"),
        "type": Only(
            (mount.MountType.BIND, mount.MountType.VOLUME, mount.MountType.TMPFS),
            "mounts are of type bind, volume or tmpfs",
        ),
        "consistency": Only(("", "default", "consistent", "cached", "delegated"), "no such consistency"),
        "cluster_options": Refused("cluster volumes are not carried out"),
    },
    mount.BindOptions: _acts(
        "propagation", "non_recursive", "create_mountpoint", "read_only_non_recursive", "read_only_force_recursive"
    ),
    mount.VolumeOptions: _acts("no_copy", "labels", "driver_config", "subpath"),
    mount.TmpfsOptions: _acts("size_bytes", "mode", "options"),
    Driver: _acts("name", "options"),
    network.NetworkCreate: {
        **_acts("name", "internal", "attachable", "ingress", "ipam", "labels"),
        # Names are always unique here, so both answers to the question are kept.
        "check_duplicate": Acts(),
        "driver": Only(("", "overlay"), "the only driver is overlay"),
        "scope": Only(("", "swarm"), "networks here span the cluster: the only scope is swarm"),
        "config_only": Refused("config-only networks are not carried out"),
        "config_from": Refused("config-only networks are not carried out"),
        "enable_ipv6": Refused("IPv6 in overlay networks is not carried out"),
        "options": OnlyKeys((MTU_OPTION, VNI_OPTION, ENCRYPTED_OPTION), "this driver option is not carried out"),
    },
    network.IPAM: {
        **_acts("config"),
        "driver": Only(("", "default"), "the only address driver is default"),
        "options": Refused("options of the address driver are not carried out"),
    },
    network.IPAMConfig: {
        **_acts("subnet", "gateway", "ip_range"),
        "auxiliary_addresses": Refused("auxiliary addresses are not carried out"),
    },
    node.NodeSpec: _acts("name", "labels", "availability", "role"),
}


def refuse_unsupported(document: DockerModel, path: str = "") -> None:
    """Raise `Unsupported`, naming the field, for the first one set that swarmpy does not act on."""
    for name, rule in COVERAGE[type(document)].items():
        value = getattr(document, name)
        where = f"{path}{alias_of(type(document), name)}"
        match rule:
            case Refused(because) if not is_empty(value):
                raise Unsupported(f"{where}: {because}")
            case Only(values, because) if value is not None and value not in values:
                raise Unsupported(f"{where} {value}: {because}")
            case OnlyKeys(keys, because):
                for key in value or ():
                    if key not in keys:
                        raise Unsupported(f"{where} {key}: {because}")
            case Acts():
                for inner, suffix in _documents_in(value):
                    refuse_unsupported(inner, f"{where}{suffix}.")


def alias_of(model: type[DockerModel], name: str) -> str:
    """The field's name in Docker's JSON."""
    return model.model_fields[name].alias or docker_name(name)


def is_empty(value: object) -> bool:
    """Docker's zero values, also of a document all of whose fields are zero."""
    if isinstance(value, DockerModel):
        return all(is_empty(getattr(value, name)) for name in type(value).model_fields)
    return value in (None, "", 0, False, (), {})


def _documents_in(value: Any) -> Iterator[tuple[DockerModel, str]]:
    if isinstance(value, DockerModel):
        yield value, ""
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            if isinstance(item, DockerModel):
                yield item, f"[{index}]"
