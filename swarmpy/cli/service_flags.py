"""docker's flags for services as one table: the names for `service update` and `service create`, and what each does to
a service's spec. Pure: plain dicts in, plain dicts out; no ids, no files, no environment.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swarmpy.cli import service_flag_values as values
from swarmpy.cli.service_flag_edits import (
    CONTAINER,
    Edit,
    Key,
    Parse,
    add_driver_options,
    add_items,
    add_pairs,
    force,
    health_command,
    move_capabilities,
    no_health,
    part,
    remove_hosts,
    remove_items,
    remove_keys,
    remove_ports,
    set_concurrent,
    set_driver,
    set_field,
    set_health,
    set_host_option,
    set_mode,
    set_replicas,
    words,
)
from swarmpy.cli.service_flag_mounts import mount
from swarmpy.container_values import check_signal, check_working_dir
from swarmpy.errors import BadRequest
from swarmpy.image_reference import check_image_reference
from swarmpy.stack.docker_json import Object

Given = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Flag:
    """`update` and `create` are its names in the two commands, without dashes; empty where it is no flag. The edit gets
    a text, or a list of texts when the flag may be repeated. A truth is the text true or false."""

    update: str
    create: str
    edit: Edit
    help: str
    metavar: str = "TEXT"
    many: bool = False
    is_truth: bool = False
    short: str = ""

    def name_in(self, *, creating: bool) -> str:
        return self.create if creating else self.update


def _one(name: str, edit: Edit, help: str, metavar: str = "TEXT", short: str = "") -> Flag:
    return Flag(name, name, edit, help, metavar, short=short)


def _truth(name: str, edit: Edit, help: str, short: str = "") -> Flag:
    return Flag(name, name, edit, help, "[=BOOL]", is_truth=True, short=short)


def _pair(name: str, remove: Edit, add: Edit, what: str, metavar: str, short: str = "") -> tuple[Flag, Flag]:
    """`NAME-rm` before `NAME-add`, so that both together exchange something; to create, `NAME` adds."""
    return (
        Flag(f"{name}-rm", "", remove, f"Remove {what}.", "KEY", many=True),
        Flag(f"{name}-add", name, add, f"Add {what}, or replace one.", metavar, many=True, short=short),
    )


def _items(
    name: str, path: str, parse: Parse, what: str, metavar: str, *,
    key: Key = lambda item: item, order: Key | None = None, by: Parse = str, short: str = "",
) -> tuple[Flag, Flag]:  # fmt: skip
    return _pair(name, remove_items(path, by, key), add_items(path, parse, key, order), what, metavar, short)


def _mapping(name: str, path: str, what: str, short: str = "", parse: Parse = values.pair) -> tuple[Flag, Flag]:
    return _pair(name, remove_keys(path), add_pairs(path, parse), what, "KEY=VALUE", short)


def _rollout(name: str, actions: tuple[str, ...]) -> tuple[Flag, ...]:
    path = f"{name.capitalize()}Config"
    orders = ("start-first", "stop-first")
    return (
        _one(f"{name}-parallelism", set_field(f"{path}.Parallelism", values.count, zero=True),
             "How many tasks at a time; 0 is all at once.", "NUMBER"),
        _one(f"{name}-delay", set_field(f"{path}.Delay", values.duration), "Time between them.", "TIME"),
        _one(f"{name}-monitor", set_field(f"{path}.Monitor", values.duration),
             "How long a new task is watched.", "TIME"),
        _one(f"{name}-failure-action", set_field(f"{path}.FailureAction", values.one_of(*actions)),
             f"What follows a failure: {', '.join(actions)}.", "WORD"),
        _one(f"{name}-max-failure-ratio", set_field(f"{path}.MaxFailureRatio", values.ratio, zero=True),
             "Part of the tasks that may fail.", "NUMBER"),
        _one(f"{name}-order", set_field(f"{path}.Order", values.one_of(*orders)), f"{' or '.join(orders)}.", "WORD"),
    )  # fmt: skip


def _resources(name: str, place: str) -> tuple[Flag, ...]:
    path = f"TaskTemplate.Resources.{place}"
    return (
        _one(f"{name}-cpu", set_field(f"{path}.NanoCPUs", values.cpus), "CPUs, such as 0.5.", "NUMBER"),
        _one(f"{name}-memory", set_field(f"{path}.MemoryBytes", values.size), "Memory, such as 64m.", "SIZE"),
    )


def _name_before(sign: str) -> Key:
    return lambda item: str(item).partition(sign)[0]


def _kind(item: Any) -> str:
    (given,) = item.values()
    return str(given["Kind"])


def _whole_port(port: Object) -> tuple[Any, ...]:
    fields = {"PublishedPort": 0, "TargetPort": 0, "Protocol": "tcp", "PublishMode": "ingress"}
    return tuple(port.get(field, default) for field, default in fields.items())


def _field(name: str) -> Key:
    return lambda item: item.get(name)


def _reference(name_field: str) -> Key:
    return lambda item: (item.get(name_field), (item.get("File") or {}).get("Name"))


def _references(name: str, field: str, name_field: str) -> tuple[Flag, ...]:
    """Removed by name; one may be there several times, as several files."""
    path = f"{CONTAINER}.{field}"
    return _pair(
        name,
        remove_items(path, str, _field(name_field)),
        add_items(path, values.reference(name_field), _reference(name_field)),
        f"a {name}",
        f"NAME|source={name.upper()},target=FILE,...",
    )


_HEALTH = (
    _one("health-cmd", set_health("Test", health_command), "Command that checks the health.", "COMMAND"),
    _one("health-interval", set_health("Interval", values.duration), "Time between checks.", "TIME"),
    _one("health-timeout", set_health("Timeout", values.duration), "Time that one check may take.", "TIME"),
    _one("health-retries", set_health("Retries", values.count), "Failures in a row that count.", "NUMBER"),
    _one("health-start-period", set_health("StartPeriod", values.duration), "Time to start in.", "TIME"),
    _one("health-start-interval", set_health("StartInterval", values.duration),
         "Time between checks while it starts.", "TIME"),
)  # fmt: skip
_PLACEMENT = "TaskTemplate.Placement"
_RESTART = "TaskTemplate.RestartPolicy"
_DNS = f"{CONTAINER}.DNSConfig"
_CONDITIONS = ("none", "on-failure", "any")

FLAGS: tuple[Flag, ...] = (
    Flag("", "name", set_field("Name", str), "Name of the service."),
    Flag("", "mode", set_mode, "replicated, global, replicated-job or global-job.", "WORD"),
    Flag("image", "", set_field(f"{CONTAINER}.Image", values.checked(check_image_reference)), "The image.", "IMAGE"),
    Flag("args", "", words(f"{CONTAINER}.Args"), "What the command is given, as one text.", "WORDS"),
    _one("entrypoint", words(f"{CONTAINER}.Command"), "What replaces the image's entrypoint.", "WORDS"),
    _one("replicas", set_replicas, "How many tasks.", "NUMBER"),
    _one("max-concurrent", set_concurrent, "How many tasks of a job at a time.", "NUMBER"),
    *_mapping("label", "Labels", "a label of the service", "l"),
    *_mapping("container-label", f"{CONTAINER}.Labels", "a label of the containers"),
    *_items("env", f"{CONTAINER}.Env", values.variable, "an environment variable", "NAME=VALUE",
            key=_name_before("="), short="e"),
    *_items("constraint", f"{_PLACEMENT}.Constraints", str, "a placement constraint", "TEXT"),
    *_pair("placement-pref",
           remove_items(f"{_PLACEMENT}.Preferences", lambda text: str(values.preference(text)), str),
           add_items(f"{_PLACEMENT}.Preferences", values.preference, str),
           "a placement preference", "spread=LABEL"),
    _one("replicas-max-per-node", set_field(f"{_PLACEMENT}.MaxReplicas", values.count),
         "How many tasks a node may have; 0 is any.", "NUMBER"),
    *_resources("limit", "Limits"),
    _one("limit-pids", set_field("TaskTemplate.Resources.Limits.Pids", values.count), "Processes; 0 is any.", "NUMBER"),
    *_resources("reserve", "Reservations"),
    *_items("generic-resource", "TaskTemplate.Resources.Reservations.GenericResources", values.generic_resource,
            "a resource of your own", "KIND=VALUE", key=_kind),
    *_items("mount", f"{CONTAINER}.Mounts", mount, "a mount, by its target", "type=...,target=...",
            key=_field("Target"), order=lambda item: (item.get("Source") or "", item["Target"])),
    *_pair("publish", remove_ports(values.target_port),
           add_items("EndpointSpec.Ports", values.ports, _whole_port, _whole_port),
           "a published port, by its target", "PORT", "p"),
    *_items("network", "TaskTemplate.Networks", values.network, "a network", "NAME", key=_field("Target")),
    *_references("secret", "Secrets", "SecretName"),
    *_references("config", "Configs", "ConfigName"),
    *_rollout("update", ("pause", "continue", "rollback")),
    *_rollout("rollback", ("pause", "continue")),
    _one("restart-condition", set_field(f"{_RESTART}.Condition", values.one_of(*_CONDITIONS)),
         f"{', '.join(_CONDITIONS)}.", "WORD"),
    _one("restart-delay", set_field(f"{_RESTART}.Delay", values.duration, zero=True), "Time between attempts.", "TIME"),
    _one("restart-max-attempts", set_field(f"{_RESTART}.MaxAttempts", values.count, zero=True),
         "Attempts; 0 is any.", "NUMBER"),
    _one("restart-window", set_field(f"{_RESTART}.Window", values.duration, zero=True),
         "Time over which attempts count.", "TIME"),
    *_HEALTH,
    _truth("no-healthcheck", no_health, "Check no health, whatever the image says."),
    _one("user", set_field(f"{CONTAINER}.User", str), "User, or USER:GROUP.", "USER", "u"),
    *_items("group", f"{CONTAINER}.Groups", str, "a further group", "GROUP", order=str),
    _one("workdir", set_field(f"{CONTAINER}.Dir", values.checked(check_working_dir)),
         "Working directory in the container.", "PATH", "w"),
    _one("hostname", set_field(f"{CONTAINER}.Hostname", str), "Host name of the containers.", "NAME"),
    *_pair("host", remove_hosts, add_items(f"{CONTAINER}.Hosts", values.host),
           "a name with an address", "NAME:ADDRESS"),
    *_items("dns", f"{_DNS}.Nameservers", values.address, "a name server", "ADDRESS", order=str),
    *_items("dns-option", f"{_DNS}.Options", str, "an option of name look-ups", "TEXT", order=str),
    *_items("dns-search", f"{_DNS}.Search", str, "a search domain", "DOMAIN", order=str),
    Flag("cap-drop", "cap-drop", move_capabilities(values.capability, adding=False), "Drop a capability.", many=True),
    Flag("cap-add", "cap-add", move_capabilities(values.capability, adding=True), "Add a capability.", many=True),
    *_mapping("sysctl", f"{CONTAINER}.Sysctls", "a kernel parameter", parse=values.sysctl),
    *_items("ulimit", f"{CONTAINER}.Ulimits", values.ulimit, "a ulimit", "NAME=SOFT[:HARD]",
            key=_field("Name"), order=_field("Name")),
    _one("oom-score-adj", set_host_option("OomScoreAdj", values.score), "Who goes first without memory.", "NUMBER"),
    _one("stop-signal", set_field(f"{CONTAINER}.StopSignal", values.checked(check_signal)),
         "Signal that stops a container.", "SIGNAL"),
    _one("stop-grace-period", set_field(f"{CONTAINER}.StopGracePeriod", values.duration, zero=True),
         "Time before it is killed.", "TIME"),
    _truth("init", set_field(f"{CONTAINER}.Init", values.truth, zero=True), "Run an init in each container."),
    _truth("read-only", set_field(f"{CONTAINER}.ReadOnly", values.truth), "The root file system cannot be written."),
    _truth("tty", set_field(f"{CONTAINER}.TTY", values.truth), "Give it a terminal.", "t"),
    _one("isolation", set_field(f"{CONTAINER}.Isolation", str), "default, for there is no other.", "WORD"),
    _one("log-driver", set_driver, "Driver of the logs.", "NAME"),
    Flag("log-opt", "log-opt", add_driver_options, "Option of that driver.", "KEY=VALUE", many=True),
    _one("endpoint-mode", set_field("EndpointSpec.Mode", values.one_of("vip", "dnsrr")), "vip or dnsrr.", "WORD"),
    Flag("force", "", force, "Renew the tasks even if nothing changes.", "[=BOOL]", is_truth=True),
)  # fmt: skip


def flags_of(*, creating: bool) -> Iterator[tuple[str, Flag]]:
    for flag in FLAGS:
        if name := flag.name_in(creating=creating):
            yield name, flag


def edited(spec: Object, given: Given, *, creating: bool = False) -> Object:
    """The spec as the flags want it, in the order of the table. Raises `BadRequest` that names the flag at fault."""
    _check_together(given)
    copied = copy.deepcopy(spec)
    part(copied, CONTAINER)
    for name, flag in flags_of(creating=creating):
        if name in given:
            try:
                flag.edit(copied, given[name])
            except (ValueError, BadRequest) as error:
                raise BadRequest(f"--{name}: {error}") from error
    return copied


def first_spec(image: str, arguments: Sequence[str], given: Given) -> Object:
    """What `service create` sends."""
    try:
        check_image_reference(image)
    except BadRequest as error:
        raise BadRequest(f"IMAGE: {error}") from None
    container: Object = {"Image": image} | ({"Args": list(arguments)} if arguments else {})
    spec = {"Name": "", "Labels": {}, "TaskTemplate": {"ContainerSpec": container}, "Mode": {"Replicated": {}}}
    return edited(spec, given, creating=True)


def _check_together(given: Given) -> None:
    checks = [flag.update for flag in _HEALTH if flag.update in given]
    if checks and given.get("no-healthcheck") == "true":
        raise BadRequest(f"--no-healthcheck and --{checks[0]} exclude each other")
