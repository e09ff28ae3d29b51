"""One service of a canonical configuration as a `ServiceSpec`. Pure; what is wrong goes to `Faults`."""

from typing import Any

from swarmpy.models.base import Driver
from swarmpy.models.container import ContainerSpec, DNSConfig, HealthConfig, Ulimit
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
    NetworkAttachmentConfig,
    Placement,
    PlacementPreference,
    RestartCondition,
    RestartPolicy,
    SpreadOver,
    TaskSpec,
)
from swarmpy.stack.canonical import DEFAULT_NETWORK, Config
from swarmpy.stack.faults import Faults
from swarmpy.stack.mounts import mounts_of
from swarmpy.stack.names import IMAGE_LABEL, fault_of_name, scoped, with_stack_label
from swarmpy.stack.shortforms import PROTOCOLS
from swarmpy.stack.tree import Path
from swarmpy.stack.units import parse_cpus, parse_duration

_MODES = ("replicated", "global", "replicated-job", "global-job")
_CONDITIONS = tuple(condition.value for condition in RestartCondition)
_RESTARTS = ("no", "always", "unless-stopped", "on-failure")


def service_of(stack: str, name: str, service: Config, config: Config, faults: Faults) -> ServiceSpec:
    path: Path = ("services", name)
    deploy: Config = service.get("deploy") or {}
    if (fault := fault_of_name(scoped(stack, name))) is not None:
        faults.add(path, fault)
    if not service.get("image"):
        faults.add(path, "image is missing")
    labels = with_stack_label(stack, deploy.get("labels")) | {IMAGE_LABEL: service.get("image") or ""}
    return ServiceSpec(
        name=scoped(stack, name),
        labels=labels,
        task_template=TaskSpec(
            container_spec=_container(stack, service, config, path, faults),
            resources=_resources(deploy.get("resources") or {}),
            restart_policy=_restart(service, deploy, path, faults),
            placement=_placement(deploy.get("placement") or {}),
            networks=_networks(stack, name, service, config, path, faults),
            log_driver=_log_driver(service.get("logging")),
        ),
        mode=_mode(deploy, (*path, "deploy"), faults),
        update_config=_update(deploy.get("update_config"), (*path, "deploy", "update_config"), faults),
        rollback_config=_update(deploy.get("rollback_config"), (*path, "deploy", "rollback_config"), faults),
        endpoint_spec=_endpoint(service, deploy, path, faults),
    )


def _container(stack: str, service: Config, config: Config, path: Path, faults: Faults) -> ContainerSpec:
    dns, search = service.get("dns"), service.get("dns_search")
    return ContainerSpec(
        image=service.get("image"),
        labels=with_stack_label(stack, service.get("labels")),
        command=_many(service.get("entrypoint")),
        args=_many(service.get("command")),
        hostname=service.get("hostname"),
        env=_env(service.get("environment") or {}),
        dir=service.get("working_dir"),
        user=service.get("user"),
        tty=service.get("tty"),
        open_stdin=service.get("stdin_open"),
        read_only=service.get("read_only"),
        mounts=mounts_of(stack, service, config.get("volumes") or {}, path, faults) or None,
        stop_signal=service.get("stop_signal"),
        stop_grace_period=_nanoseconds(service.get("stop_grace_period")),
        health_check=_health(service.get("healthcheck"), (*path, "healthcheck"), faults),
        hosts=_hosts(service.get("extra_hosts") or ()),
        dns_config=DNSConfig(nameservers=_many(dns), search=_many(search)) if dns or search else None,
        init=service.get("init"),
        sysctls=service.get("sysctls"),
        capability_add=_capabilities(service.get("cap_add")),
        capability_drop=_capabilities(service.get("cap_drop")),
        ulimits=_ulimits(service.get("ulimits") or {}),
    )


def _many(values: Any) -> tuple[Any, ...] | None:
    return tuple(values or ()) or None


def _env(variables: Config) -> tuple[str, ...] | None:
    """Sorted, so that another order in the file changes nothing. A name alone takes the variable out of the image's."""
    return _many(sorted(name if value is None else f"{name}={value}" for name, value in variables.items()))


def _hosts(entries: Any) -> tuple[str, ...] | None:
    return _many(f"{address} {name}" for name, _, address in (entry.partition(":") for entry in entries))


def _capabilities(names: Any) -> tuple[str, ...] | None:
    upper = {name.upper() for name in names or ()}
    return _many(sorted(name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in upper))


def _ulimits(limits: Config) -> tuple[Ulimit, ...] | None:
    pairs = {
        name: limit if isinstance(limit, dict) else {"soft": limit, "hard": limit} for name, limit in limits.items()
    }
    return _many(Ulimit(name=name, soft=pair["soft"], hard=pair["hard"]) for name, pair in sorted(pairs.items()))


def _nanoseconds(text: str | None) -> int | None:
    return None if text is None else parse_duration(text)


def _health(given: Config | None, path: Path, faults: Faults) -> HealthConfig | None:
    if given is None:
        return None
    test = given.get("test")
    if given.get("disable"):
        if test:
            faults.add((*path, "test"), "does not go together with disable: true")
        return HealthConfig(test=("NONE",))
    if test and test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        faults.add((*path, "test"), f"begins with {test[0]!r}; a list begins with CMD, CMD-SHELL or NONE")
    return HealthConfig(
        test=_many(test),
        interval=_nanoseconds(given.get("interval")),
        timeout=_nanoseconds(given.get("timeout")),
        retries=given.get("retries"),
        start_period=_nanoseconds(given.get("start_period")),
        start_interval=_nanoseconds(given.get("start_interval")),
    )


def _resources(given: Config) -> ResourceRequirements | None:
    limits, reserved = given.get("limits"), given.get("reservations")
    if not limits and not reserved:
        return None
    generic = (reserved or {}).get("generic_resources")
    return ResourceRequirements(
        limits=Limits(**_amounts(limits), pids=limits.get("pids")) if limits else None,
        reservations=Resources(**_amounts(reserved), generic_resources=_generic(generic)) if reserved else None,
    )


def _amounts(given: Config) -> dict[str, int | None]:
    return {
        "nano_cpus": parse_cpus(given["cpus"]) if given.get("cpus") else None,
        "memory_bytes": int(given["memory"]) if given.get("memory") else None,
    }


def _generic(given: Any) -> tuple[GenericResource, ...] | None:
    discrete = [item.get("discrete_resource_spec") or {} for item in given or ()]
    amounts = [DiscreteResource(kind=item.get("kind", ""), value=int(item.get("value", 0))) for item in discrete]
    return _many(GenericResource(discrete_resource_spec=amount) for amount in amounts)


def _placement(given: Config) -> Placement | None:
    spreads = [item["spread"] for item in given.get("preferences") or () if item.get("spread")]
    placement = Placement(
        constraints=_many(given.get("constraints")),
        preferences=_many(PlacementPreference(spread=SpreadOver(spread_descriptor=spread)) for spread in spreads),
        max_replicas=given.get("max_replicas_per_node") or None,
    )
    return None if placement == Placement() else placement


def _restart(service: Config, deploy: Config, path: Path, faults: Faults) -> RestartPolicy | None:
    """`deploy.restart_policy`, else the older key `restart`."""
    given = deploy.get("restart_policy")
    if given is None:
        return _old_restart(service.get("restart"), (*path, "restart"), faults)
    condition = faults.choose((*path, "deploy", "restart_policy", "condition"), given.get("condition"), _CONDITIONS)
    return RestartPolicy(
        condition=RestartCondition(condition) if condition else None,
        delay=_nanoseconds(given.get("delay")),
        max_attempts=given.get("max_attempts"),
        window=_nanoseconds(given.get("window")),
    )


def _old_restart(text: str | None, path: Path, faults: Faults) -> RestartPolicy | None:
    if text is None:
        return None
    word, colon, count = text.partition(":")
    if faults.choose(path, word, _RESTARTS) is None:
        return None
    if colon and (word != "on-failure" or not count.isdecimal()):
        faults.add(path, f"{text!r}: a number of attempts goes with on-failure only, as in on-failure:3")
        return None
    condition = {"no": RestartCondition.NONE, "on-failure": RestartCondition.ON_FAILURE}.get(word, RestartCondition.ANY)
    return RestartPolicy(condition=condition, max_attempts=int(count) if count else None)


def _networks(
    stack: str, name: str, service: Config, config: Config, path: Path, faults: Faults
) -> tuple[NetworkAttachmentConfig, ...]:
    """Sorted by name. The service's own name is an alias on each."""
    known: Config = config.get("networks") or {}
    attachments = []
    for network, use in (service.get("networks") or {DEFAULT_NETWORK: None}).items():
        if network not in known and network != DEFAULT_NETWORK:
            faults.add((*path, "networks", network), f"the network {network} is not in the section `networks`")
        target = network_name(stack, network, known)
        aliases = dict.fromkeys([*((use or {}).get("aliases") or ()), name])
        attachments.append(NetworkAttachmentConfig(target=target, aliases=tuple(aliases)))
    return tuple(sorted(attachments, key=lambda attachment: attachment.target or ""))


def network_name(stack: str, network: str, known: Config) -> str:
    name: str | None = (known.get(network) or {}).get("name")
    return name or scoped(stack, network)


def _log_driver(given: Config | None) -> Driver | None:
    return Driver(name=given.get("driver"), options=given.get("options")) if given else None


def _mode(deploy: Config, path: Path, faults: Faults) -> ServiceMode:
    replicas = deploy.get("replicas")
    mode = faults.choose((*path, "mode"), deploy.get("mode"), _MODES) or "replicated"
    if replicas is not None and mode.startswith("global"):
        faults.add((*path, "replicas"), f"does not go together with mode: {mode}, which runs one task on every node")
    match mode:
        case "global":
            return ServiceMode(global_=Global())
        case "global-job":
            return ServiceMode(global_job=GlobalJob())
        case "replicated-job":
            return ServiceMode(replicated_job=ReplicatedJob(max_concurrent=replicas, total_completions=replicas))
    return ServiceMode(replicated=Replicated(replicas=replicas))


def _update(given: Config | None, path: Path, faults: Faults) -> UpdateConfig | None:
    if given is None:
        return None
    actions = tuple(action.value for action in FailureAction)
    action = faults.choose((*path, "failure_action"), given.get("failure_action"), actions)
    ratio = given.get("max_failure_ratio")
    if ratio is not None and not 0 <= ratio <= 1:
        faults.add((*path, "max_failure_ratio"), f"{ratio} is not between 0 and 1")
    return UpdateConfig(
        parallelism=1 if given.get("parallelism") is None else given["parallelism"],
        delay=_nanoseconds(given.get("delay")),
        failure_action=FailureAction(action) if action else None,
        monitor=_nanoseconds(given.get("monitor")),
        max_failure_ratio=ratio,
        order=UpdateOrder(given["order"]) if given.get("order") else None,
    )


def _endpoint(service: Config, deploy: Config, path: Path, faults: Faults) -> EndpointSpec | None:
    mode = faults.choose(
        (*path, "deploy", "endpoint_mode"), (deploy.get("endpoint_mode") or "").lower() or None, ("vip", "dnsrr")
    )
    ports = [_port(port, (*path, "ports", index), faults) for index, port in enumerate(service.get("ports") or ())]
    # Sorted, so that another order in the file changes nothing.
    in_order = sorted(ports, key=lambda port: (port.target_port or 0, port.published_port or 0, port.protocol or ""))
    return EndpointSpec(mode=mode, ports=_many(in_order)) if mode or ports else None


def _port(given: Config, path: Path, faults: Faults) -> PortConfig:
    protocol = faults.choose((*path, "protocol"), given.get("protocol"), PROTOCOLS) or "tcp"
    mode = faults.choose((*path, "mode"), given.get("mode"), ("host", "ingress")) or "ingress"
    for key in ("target", "published"):
        if not 0 <= (given.get(key) or 0) <= 65535:
            faults.add((*path, key), f"{given[key]} is no port; ports go up to 65535")
    if not given.get("target"):
        faults.add(path, "target, the port in the container, is missing")
    return PortConfig(
        protocol=Protocol(protocol),
        target_port=given.get("target"),
        published_port=given.get("published"),
        publish_mode=PublishMode(mode),
    )
