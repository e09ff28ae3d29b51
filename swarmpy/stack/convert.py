"""One service of a canonical configuration as Docker's service spec. Pure; what is wrong goes to `Faults`."""

from typing import Any

from swarmpy.image_reference import check_image_reference
from swarmpy.stack.canonical import DEFAULT_NETWORK, Config
from swarmpy.stack.depends import depends_label
from swarmpy.stack.docker_json import Object, listed, stated
from swarmpy.stack.extent import mode_of, placement_of, resources_of
from swarmpy.stack.faults import Faults
from swarmpy.stack.host import bound_address, host_label
from swarmpy.stack.mounts import mounts_of
from swarmpy.stack.names import IMAGE_LABEL, fault_of_name, scoped, with_stack_label
from swarmpy.stack.objects import references_of
from swarmpy.stack.shortforms import PROTOCOLS
from swarmpy.stack.tree import Path
from swarmpy.stack.units import parse_duration
from swarmpy.stack.values import check_container
from swarmpy.stack.wishes import deadline_label

_CONDITIONS = ("none", "on-failure", "any")
_FAILURE_ACTIONS = ("pause", "continue", "rollback")
_RESTARTS = ("no", "always", "unless-stopped", "on-failure")


def service_of(stack: str, name: str, service: Config, config: Config, faults: Faults) -> Object:
    path: Path = ("services", name)
    deploy: Config = service.get("deploy") or {}
    if (fault := fault_of_name(scoped(stack, name))) is not None:
        faults.add(path, fault)
    _check_image(service, path, faults)
    labels = with_stack_label(stack, deploy.get("labels")) | {IMAGE_LABEL: service.get("image") or ""}
    labels |= depends_label(stack, service, config) | deadline_label(service, path, faults)
    template = {
        "ContainerSpec": _container(stack, service, config, path, faults),
        "Resources": resources_of(service, path, faults),
        "RestartPolicy": _restart(service, deploy, path, faults),
        "Placement": placement_of(service, path, faults),
        "Networks": _networks(stack, name, service, config, path, faults),
        "LogDriver": _log_driver(service.get("logging")),
    }
    return stated(
        {
            "Name": scoped(stack, name),
            "Labels": labels,
            "TaskTemplate": stated(template),
            "Mode": mode_of(service, path, faults),
            "UpdateConfig": _update(deploy.get("update_config"), (*path, "deploy", "update_config"), faults),
            "RollbackConfig": _update(deploy.get("rollback_config"), (*path, "deploy", "rollback_config"), faults),
            "EndpointSpec": _endpoint(service, deploy, path, faults),
        }
    )


def _container(stack: str, service: Config, config: Config, path: Path, faults: Faults) -> Object:
    check_container(service, path, faults)
    return stated(
        {
            "Image": service.get("image"),
            "Labels": with_stack_label(stack, service.get("labels")) | host_label(service, path, faults),
            "Command": listed(service.get("entrypoint")),
            "Args": listed(service.get("command")),
            "Hostname": service.get("hostname"),
            "Env": _env(service.get("environment") or {}),
            "Dir": service.get("working_dir"),
            "User": service.get("user"),
            "Groups": listed(map(str, service.get("group_add") or ())),
            "TTY": service.get("tty"),
            "OpenStdin": service.get("stdin_open"),
            "ReadOnly": service.get("read_only"),
            "Mounts": listed(mounts_of(stack, service, config.get("volumes") or {}, path, faults)),
            "StopSignal": service.get("stop_signal"),
            "StopGracePeriod": _nanoseconds(service.get("stop_grace_period")),
            "Healthcheck": _health(service.get("healthcheck"), (*path, "healthcheck"), faults),
            "Hosts": _hosts(service.get("extra_hosts") or ()),
            "DNSConfig": _dns(service),
            "Secrets": references_of("secrets", stack, service, config, path, faults),
            "Configs": references_of("configs", stack, service, config, path, faults),
            "Init": service.get("init"),
            "Sysctls": service.get("sysctls"),
            "CapabilityAdd": _capabilities(service.get("cap_add")),
            "CapabilityDrop": _capabilities(service.get("cap_drop")),
            "Ulimits": _ulimits(service.get("ulimits") or {}),
        }
    )


def _check_image(service: Config, path: Path, faults: Faults) -> None:
    image = service.get("image")
    if image:
        faults.check((*path, "image"), image, check_image_reference)
    elif service.get("build"):
        faults.add(path, "image is missing: stacks are not built; build and push it, then name it with image")
    else:
        faults.add((*path, "image"), "is missing or empty; name the image that the tasks run")


def _env(variables: Config) -> list[str] | None:
    """Sorted, so that another order in the file changes nothing. A name alone takes the variable out of the image's."""
    return listed(sorted(name if value is None else f"{name}={value}" for name, value in variables.items()))


def _hosts(entries: Any) -> list[str] | None:
    return listed(f"{address} {name}" for name, _, address in (entry.partition(":") for entry in entries))


def _dns(service: Config) -> Object | None:
    given = {
        "Nameservers": listed(service.get("dns")),
        "Search": listed(service.get("dns_search")),
        "Options": listed(service.get("dns_opt")),
    }
    return stated(given) or None


def _capabilities(names: Any) -> list[str] | None:
    upper = {name.upper() for name in names or ()}
    return listed(sorted(name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in upper))


def _ulimits(limits: Config) -> list[Object] | None:
    pairs = {
        name: limit if isinstance(limit, dict) else {"soft": limit, "hard": limit} for name, limit in limits.items()
    }
    return listed({"Name": name, "Soft": pair["soft"], "Hard": pair["hard"]} for name, pair in sorted(pairs.items()))


def _nanoseconds(text: str | None) -> int | None:
    return None if text is None else parse_duration(text)


def _health(given: Config | None, path: Path, faults: Faults) -> Object | None:
    if given is None:
        return None
    test = given.get("test")
    if given.get("disable"):
        if test:
            faults.add((*path, "test"), "does not go together with disable: true")
        return {"Test": ["NONE"]}
    if test and test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        faults.add((*path, "test"), f"begins with {test[0]!r}; a list begins with CMD, CMD-SHELL or NONE")
    return stated(
        {
            "Test": listed(test),
            "Interval": _nanoseconds(given.get("interval")),
            "Timeout": _nanoseconds(given.get("timeout")),
            "Retries": given.get("retries"),
            "StartPeriod": _nanoseconds(given.get("start_period")),
            "StartInterval": _nanoseconds(given.get("start_interval")),
        }
    )


def _restart(service: Config, deploy: Config, path: Path, faults: Faults) -> Object | None:
    """`deploy.restart_policy`, else the older key `restart`."""
    given = deploy.get("restart_policy")
    if given is None:
        return _old_restart(service.get("restart"), (*path, "restart"), faults)
    condition = faults.choose((*path, "deploy", "restart_policy", "condition"), given.get("condition"), _CONDITIONS)
    return stated(
        {
            "Condition": condition,
            "Delay": _nanoseconds(given.get("delay")),
            "MaxAttempts": given.get("max_attempts"),
            "Window": _nanoseconds(given.get("window")),
        }
    )


def _old_restart(text: str | None, path: Path, faults: Faults) -> Object | None:
    if text is None:
        return None
    word, colon, count = text.partition(":")
    if faults.choose(path, word, _RESTARTS) is None:
        return None
    if colon and (word != "on-failure" or not count.isdecimal()):
        faults.add(path, f"{text!r}: a number of attempts goes with on-failure only, as in on-failure:3")
        return None
    condition = {"no": "none", "on-failure": "on-failure"}.get(word, "any")
    return stated({"Condition": condition, "MaxAttempts": int(count) if count else None})


def _networks(stack: str, name: str, service: Config, config: Config, path: Path, faults: Faults) -> list[Object]:
    """Sorted by name. The service's own name is an alias on each."""
    known: Config = config.get("networks") or {}
    attachments = []
    for network, use in (service.get("networks") or {DEFAULT_NETWORK: None}).items():
        if network not in known and network != DEFAULT_NETWORK:
            faults.add((*path, "networks", network), f"the network {network} is not in the section `networks`")
        target = network_name(stack, network, known)
        aliases = dict.fromkeys([*((use or {}).get("aliases") or ()), name])
        options = (use or {}).get("driver_opts") or None
        attachments.append(stated({"Target": target, "Aliases": list(aliases), "DriverOpts": options}))
    return sorted(attachments, key=lambda attachment: str(attachment["Target"]))


def network_name(stack: str, network: str, known: Config) -> str:
    name: str | None = (known.get(network) or {}).get("name")
    return name or scoped(stack, network)


def _log_driver(given: Config | None) -> Object | None:
    return stated({"Name": given.get("driver"), "Options": given.get("options")}) if given else None


def _update(given: Config | None, path: Path, faults: Faults) -> Object | None:
    if given is None:
        return None
    action = faults.choose((*path, "failure_action"), given.get("failure_action"), _FAILURE_ACTIONS)
    ratio = given.get("max_failure_ratio")
    if ratio is not None and not 0 <= ratio <= 1:
        faults.add((*path, "max_failure_ratio"), f"{ratio} is not between 0 and 1")
    return stated(
        {
            "Parallelism": 1 if given.get("parallelism") is None else given["parallelism"],
            "Delay": _nanoseconds(given.get("delay")),
            "FailureAction": action,
            "Monitor": _nanoseconds(given.get("monitor")),
            "MaxFailureRatio": None if ratio is None else float(ratio),
            "Order": given.get("order") or None,
        }
    )


def _endpoint(service: Config, deploy: Config, path: Path, faults: Faults) -> Object | None:
    mode = faults.choose(
        (*path, "deploy", "endpoint_mode"), (deploy.get("endpoint_mode") or "").lower() or None, ("vip", "dnsrr")
    )
    ports = [_port(port, (*path, "ports", index), faults) for index, port in enumerate(service.get("ports") or ())]
    # Sorted, so that another order in the file changes nothing.
    ports.sort(key=lambda port: (port.get("TargetPort") or 0, port.get("PublishedPort") or 0, port["Protocol"]))
    return stated({"Mode": mode, "Ports": ports or None}) or None


def _port(given: Config, path: Path, faults: Faults) -> Object:
    protocol = faults.choose((*path, "protocol"), given.get("protocol"), PROTOCOLS) or "tcp"
    mode = faults.choose((*path, "mode"), given.get("mode"), ("host", "ingress")) or "ingress"
    for key, least in (("target", 1), ("published", 0)):
        if given.get(key) is not None and not least <= given[key] <= 65535:
            faults.add((*path, key), f"{given[key]} is no port; ports go from {least} to 65535")
    if mode == "ingress" and (address := bound_address(given)):
        text = f"every node takes a port in ingress mode, on all its addresses, and not on {address} alone"
        faults.add(path, f"{text}; leave the address out, or write {{mode: host, host_ip: {address}, ...}}")
    if given.get("target") is None:
        faults.add(path, "target, the port in the container, is missing")
    return stated(
        {
            "Name": given.get("name"),
            "Protocol": protocol,
            "TargetPort": given.get("target"),
            "PublishedPort": given.get("published"),
            "PublishMode": mode,
        }
    )
