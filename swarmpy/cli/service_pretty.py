"""A service as people read it: from its document to lines. Pure; asks nobody for anything."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from shlex import join
from typing import Any

from swarmpy.cli.render import ago, memory, parse_time, plural
from swarmpy.cli.views import mode_of
from swarmpy.stack.units import show_duration

Object = Mapping[str, Any]


def pretty_lines(service: Object, networks: Mapping[str, str], now: datetime) -> list[str]:
    """`networks` are names by id. What nothing was said of is left out."""
    spec = service["Spec"]
    template = spec["TaskTemplate"]
    placement = template.get("Placement") or {}
    joined = template.get("Networks") or spec.get("Networks") or ()
    attached = [networks.get(one["Target"], one["Target"]) for one in joined]
    mode = (spec.get("EndpointSpec") or {}).get("Mode") or "vip"
    ports = (service.get("Endpoint") or {}).get("Ports") or (spec.get("EndpointSpec") or {}).get("Ports") or ()
    return [
        *_facts(("ID", service["ID"]), ("Name", spec["Name"])),
        *_below("Labels", _assigned(spec.get("Labels"))),
        *_facts(("Service Mode", _mode(spec))),
        *_below("UpdateStatus", _update_status(service.get("UpdateStatus") or {}, now)),
        *_below("Placement", _placement(placement)),
        *_below("UpdateConfig", _update_config(spec.get("UpdateConfig") or {})),
        *_below("RollbackConfig", _update_config(spec.get("RollbackConfig") or {})),
        *_below("ContainerSpec", _container(template.get("ContainerSpec") or {})),
        *_below("Log Driver", _driver(template.get("LogDriver") or {})),
        *_below("RestartPolicy", _restart(template.get("RestartPolicy") or {})),
        *_below("Resources", _resources(template.get("Resources") or {})),
        *_facts(("Networks", ", ".join(attached)), ("Endpoint Mode", mode)),
        *_below("Ports", map(_port, ports)),
    ]


def _facts(*pairs: tuple[str, object]) -> list[str]:
    """Those that have a value; 0 and false are values."""
    told = [(title, str(value).lower() if isinstance(value, bool) else value) for title, value in pairs]
    return [f"{title}: {value}" for title, value in told if value is not None and value != ""]


def _below(title: str, lines: Iterable[str]) -> list[str]:
    indented = [f"  {line}" for line in lines]
    return [f"{title}:", *indented] if indented else []


def _assigned(values: Mapping[str, str] | None) -> list[str]:
    return [f"{key}={value}" for key, value in sorted((values or {}).items())]


def _time(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else show_duration(nanoseconds)


def _mode(spec: Object) -> str:
    name = mode_of(spec)
    mode = spec.get("Mode") or {}
    if name == "replicated":
        return f"{name}, {plural((mode.get('Replicated') or {}).get('Replicas', 1), 'replica')}"
    if name == "replicated job":
        job = mode["ReplicatedJob"] or {}
        total = job.get("TotalCompletions", 1)
        return f"{name}, {plural(total, 'completion')}, {job.get('MaxConcurrent') or total} at once"
    return name


def _update_status(status: Object, now: datetime) -> list[str]:
    times = [
        (title, ago(parse_time(status[key]), now) if status.get(key) else None)
        for title, key in (("Started", "StartedAt"), ("Completed", "CompletedAt"))
    ]
    return _facts(("State", status.get("State")), *times, ("Message", status.get("Message")))


def _placement(placement: Object) -> list[str]:
    preferences = [one["Spread"]["SpreadDescriptor"] for one in placement.get("Preferences") or () if one.get("Spread")]
    return [
        *_below("Constraints", placement.get("Constraints") or ()),
        *_facts(
            ("Spread over", ", ".join(preferences)), ("Max replicas per node", placement.get("MaxReplicas") or None)
        ),
    ]


def _update_config(config: Object) -> list[str]:
    width = config.get("Parallelism")
    return _facts(
        ("Parallelism", "all at once" if width == 0 else width),
        ("Delay", _time(config.get("Delay"))),
        ("On failure", config.get("FailureAction")),
        ("Monitoring period", _time(config.get("Monitor"))),
        ("Max failure ratio", config.get("MaxFailureRatio")),
        ("Order", config.get("Order")),
    )


def _restart(policy: Object) -> list[str]:
    return _facts(
        ("Condition", policy.get("Condition")),
        ("Delay", _time(policy.get("Delay"))),
        ("Max attempts", policy.get("MaxAttempts") or None),
        ("Window", _time(policy.get("Window") or None)),
    )


def _container(container: Object) -> list[str]:
    dns = container.get("DNSConfig") or {}
    limits = [f"{one['Name']}={one.get('Soft')}:{one.get('Hard')}" for one in container.get("Ulimits") or ()]
    return [
        *_facts(
            ("Image", container.get("Image")),
            ("Command", _words(container.get("Command"))),
            ("Args", _words(container.get("Args"))),
            ("Hostname", container.get("Hostname")),
            ("Dir", container.get("Dir")),
            ("User", container.get("User")),
            ("Groups", _listed(container.get("Groups"))),
            ("TTY", container.get("TTY")),
            ("Open stdin", container.get("OpenStdin")),
            ("Read only", container.get("ReadOnly")),
            ("Init", container.get("Init")),
            ("Isolation", container.get("Isolation")),
            ("Stop signal", container.get("StopSignal")),
            ("Stop grace period", _time(container.get("StopGracePeriod"))),
            ("Capabilities added", _listed(container.get("CapabilityAdd"))),
            ("Capabilities dropped", _listed(container.get("CapabilityDrop"))),
            ("Ulimits", ", ".join(limits)),
            ("Nameservers", _listed(dns.get("Nameservers"))),
            ("Search domains", _listed(dns.get("Search"))),
            ("DNS options", _listed(dns.get("Options"))),
            ("Privileges", _listed(_privileges(container.get("Privileges") or {}))),
        ),
        *_below("Labels", _assigned(container.get("Labels"))),
        *_below("Env", container.get("Env") or ()),
        *_below("Hosts", container.get("Hosts") or ()),
        *_below("Sysctls", _assigned(container.get("Sysctls"))),
        *_below("Mounts", map(_mount, container.get("Mounts") or ())),
        *_below("Secrets", [_reference(one, "SecretName") for one in container.get("Secrets") or ()]),
        *_below("Configs", [_reference(one, "ConfigName") for one in container.get("Configs") or ()]),
        *_below("Healthcheck", _health(container.get("Healthcheck") or {})),
    ]


def _words(words: Sequence[str] | None) -> str:
    return join(words or ())


def _listed(items: Iterable[str] | None) -> str:
    return ", ".join(items or ())


def _privileges(privileges: Object) -> list[str]:
    """The names of those that are set; whole they are in the JSON."""
    return sorted(name for name, value in privileges.items() if value)


def _mount(mount: Object) -> str:
    """`volume data -> /data (read only)`."""
    source = f" {mount['Source']}" if mount.get("Source") else ""
    suffix = " (read only)" if mount.get("ReadOnly") else ""
    return f"{mount.get('Type') or 'volume'}{source} -> {mount.get('Target', '')}{suffix}"


def _reference(reference: Object, key: str) -> str:
    target = (reference.get("File") or {}).get("Name")
    return f"{reference.get(key)} -> {target}" if target else f"{reference.get(key)}"


def _health(check: Object) -> list[str]:
    return _facts(
        ("Test", _words(check.get("Test"))),
        ("Interval", _time(check.get("Interval"))),
        ("Timeout", _time(check.get("Timeout"))),
        ("Retries", check.get("Retries")),
        ("Start period", _time(check.get("StartPeriod"))),
        ("Start interval", _time(check.get("StartInterval"))),
    )


def _driver(driver: Object) -> list[str]:
    return [*_facts(("Name", driver.get("Name"))), *_below("Options", _assigned(driver.get("Options")))]


def _resources(resources: Object) -> list[str]:
    return [
        *_below("Reservations", _amounts(resources.get("Reservations") or {})),
        *_below("Limits", _amounts(resources.get("Limits") or {})),
    ]


def _amounts(amounts: Object) -> list[str]:
    cpus, size = amounts.get("NanoCPUs"), amounts.get("MemoryBytes")
    generic = [_generic(one) for one in amounts.get("GenericResources") or ()]
    return _facts(
        ("CPU", f"{cpus / 1e9:g}" if cpus else None),
        ("Memory", memory(size) if size else None),
        ("Processes", amounts.get("Pids") or None),
        ("Generic", ", ".join(generic)),
    )


def _generic(resource: Object) -> str:
    given = resource.get("NamedResourceSpec") or resource.get("DiscreteResourceSpec") or {}
    return f"{given.get('Kind')}={given.get('Value')}"


def _port(port: Object) -> str:
    """`8080 -> 80/tcp (ingress)`; without a published port it is on one that the cluster or engine chooses."""
    published = f"{port['PublishedPort']} -> " if port.get("PublishedPort") else ""
    target = f"{port.get('TargetPort')}/{port.get('Protocol') or 'tcp'}"
    return f"{published}{target} ({port.get('PublishMode') or 'ingress'})"
