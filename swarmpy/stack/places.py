"""Where in the files each thing of a plan was wished for, so that the cluster's refusals can be told with it. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from swarmpy.labels import DEPENDS_ON, HOST, PROGRESS_DEADLINE
from swarmpy.stack.canonical import DEFAULT_NETWORK, Config
from swarmpy.stack.names import scoped
from swarmpy.stack.objects import object_name
from swarmpy.stack.tree import Map, Path, Problem, locate, marked
from swarmpy.stack.wishes import DEADLINE, WISHES

_LIMITS: Path = ("deploy", "resources", "limits")
_RESERVATIONS: Path = ("deploy", "resources", "reservations")
_DEADLINE: Path = (WISHES, DEADLINE)
_HOST_LABEL = f"ContainerSpec.Labels[{HOST}]: "

# How the manager's sentence about a service begins -> the key of the service that it is about, or the several of which
# the file may have one.
_KEYS: tuple[tuple[str, *tuple[Path, ...]], ...] = (
    ("ContainerSpec: ", ("image",)),
    ("ContainerSpec.Args", ("command",)),
    ("ContainerSpec.Command", ("entrypoint",)),
    ("ContainerSpec.Dir", ("working_dir",)),
    ("ContainerSpec.User", ("user",)),
    ("ContainerSpec.Groups", ("group_add",)),
    ("ContainerSpec.Hostname", ("hostname",)),
    ("ContainerSpec.Sysctls", ("sysctls",)),
    ("ContainerSpec.CapabilityAdd", ("cap_add",)),
    ("ContainerSpec.CapabilityDrop", ("cap_drop",)),
    ("ContainerSpec.StopSignal", ("stop_signal",)),
    ("ContainerSpec.Labels", ("labels",)),
    ("ContainerSpec.Env", ("environment",)),
    ("ContainerSpec.StopGracePeriod", ("stop_grace_period",)),
    ("ContainerSpec.Hosts", ("extra_hosts",)),
    ("ContainerSpec.DNSConfig.Search", ("dns_search",)),
    ("ContainerSpec.DNSConfig.Options", ("dns_opt",)),
    ("ContainerSpec.DNSConfig", ("dns",)),
    ("ContainerSpec.Ulimits", ("ulimits",)),
    ("ContainerSpec.Healthcheck.Test", ("healthcheck", "test")),
    ("ContainerSpec.Healthcheck.Interval", ("healthcheck", "interval")),
    ("ContainerSpec.Healthcheck.Timeout", ("healthcheck", "timeout")),
    ("ContainerSpec.Healthcheck.StartPeriod", ("healthcheck", "start_period")),
    ("ContainerSpec.Healthcheck.StartInterval", ("healthcheck", "start_interval")),
    ("ContainerSpec.Healthcheck", ("healthcheck",)),
    ("ContainerSpec.Mounts", ("volumes",)),
    ("ContainerSpec.Secrets", ("secrets",)),
    ("ContainerSpec.Configs", ("configs",)),
    ("secret ", ("secrets",)),
    ("config ", ("configs",)),
    ("network ", ("networks",)),
    ("Networks", ("networks",)),
    ("Mode.", ("deploy", "replicas"), ("scale",)),
    ("UpdateConfig", ("deploy", "update_config")),
    ("RollbackConfig", ("deploy", "rollback_config")),
    ("RestartPolicy", ("deploy", "restart_policy"), ("restart",)),
    ("constraint ", ("deploy", "placement", "constraints")),
    ("placement preference", ("deploy", "placement", "preferences")),
    ("Placement.Preferences", ("deploy", "placement", "preferences")),
    ("Resources.Limits.Pids", (*_LIMITS, "pids"), ("pids_limit",)),
    ("Resources.Limits: invalid cpu", (*_LIMITS, "cpus"), ("cpus",)),
    ("Resources.Limits: invalid memory", (*_LIMITS, "memory"), ("mem_limit",)),
    ("Resources.Limits", _LIMITS),
    ("Resources.Reservations: invalid memory", (*_RESERVATIONS, "memory"), ("mem_reservation",)),
    ("Resources.Reservations", _RESERVATIONS),
    ("Resources", ("deploy", "resources"), ("mem_reservation",), ("mem_limit",)),
    ("generic resource ", _RESERVATIONS),
    ("EndpointSpec", ("ports",)),
    ("published port ", ("ports",)),
    ("Labels", ("deploy", "labels")),
    (f"label {DEPENDS_ON}", ("depends_on",)),
    (f"label {PROGRESS_DEADLINE}", _DEADLINE, ("deploy", "update_config", *_DEADLINE)),
)


@dataclass(frozen=True, slots=True)
class Places:
    """`paths` by kind and name, as the cluster has them. Empty for a plan that comes from no files."""

    trees: tuple[Map, ...] = ()
    paths: Mapping[tuple[str, str], Path] = field(default_factory=dict)

    def problem(self, kind: str, name: str, text: str) -> Problem:
        """`FILE:LINE: service web: ...`, with the name that the file has; without a place, that of the cluster. A
        sentence that names the thing already is not told that again."""
        text = text.removeprefix(f"{kind} {name}: ")
        path = self.paths.get((kind, name))
        told = text if text.startswith(f"{kind} {name} ") else f"{kind} {path[-1] if path else name}: {text}"
        if path is None:
            return Problem(None, (), told)
        paths = [(*path, *key) for key in _keys(text)] if kind == "service" else [path]
        there = (one for one in paths if any(locate(tree, one)[0] == len(one) for tree in self.trees))
        return Problem(marked(self.trees, next(there, paths[0]), "").mark, (), told)


def places_of(stack: str, config: Config, trees: Sequence[Map]) -> Places:
    networks: Config = {DEFAULT_NETWORK: {}, **(config.get("networks") or {})}
    paths: dict[tuple[str, str], Path] = {
        ("service", scoped(stack, key)): ("services", key) for key in config.get("services") or {}
    }
    named: tuple[tuple[str, Config], ...] = (
        ("network", networks),
        ("secret", config.get("secrets") or {}),
        ("config", config.get("configs") or {}),
    )
    for kind, things in named:
        for key, given in things.items():
            paths[kind, object_name(stack, key, given or {})] = (f"{kind}s", key)
    return Places(tuple(trees), paths)


def _keys(text: str) -> tuple[Path, ...]:
    """Where the field is not known here, its name or the policy's word may be a key: `privileged: touches the machine`,
    `SecurityOpt 'x' is not known`. One that is not in the file leads nowhere."""
    text = text.removeprefix("TaskTemplate.")
    if not text.startswith(_HOST_LABEL):
        for beginning, *paths in _KEYS:
            if text.startswith(beginning):
                return tuple(paths)
    word = re.match(r"[A-Za-z_]*", text.removeprefix(_HOST_LABEL))
    return ((re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word[0]).lower(),) if word else (),)
