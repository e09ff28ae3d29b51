"""Where in the files each thing of a plan was wished for, so that the cluster's refusals can be told with it. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from swarmpy.labels import DEPENDS_ON, HOST
from swarmpy.stack.canonical import DEFAULT_NETWORK, Config
from swarmpy.stack.names import scoped
from swarmpy.stack.objects import object_name
from swarmpy.stack.tree import Map, Path, Problem, marked

# How the manager's sentence about a service begins -> the key of the service that it is about.
_KEYS: tuple[tuple[str, Path], ...] = (
    ("ContainerSpec: ", ("image",)),
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
    ("Mode.", ("deploy", "replicas")),
    ("UpdateConfig", ("deploy", "update_config")),
    ("RollbackConfig", ("deploy", "rollback_config")),
    ("RestartPolicy", ("deploy", "restart_policy")),
    ("constraint ", ("deploy", "placement", "constraints")),
    ("placement preference", ("deploy", "placement", "preferences")),
    ("Placement.Preferences", ("deploy", "placement", "preferences")),
    ("Resources.Limits", ("deploy", "resources", "limits")),
    ("Resources.Reservations", ("deploy", "resources", "reservations")),
    ("Resources", ("deploy", "resources")),
    ("generic resource ", ("deploy", "resources", "reservations")),
    ("EndpointSpec", ("ports",)),
    ("published port ", ("ports",)),
    (f"label {DEPENDS_ON}", ("depends_on",)),
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
        place = marked(self.trees, (*path, *_key(text)) if kind == "service" else path, "")
        return Problem(place.mark, (), told)


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


def _key(text: str) -> Path:
    """Where the field is not known here, its name or the policy's word may be a key: `privileged: touches the machine`,
    `SecurityOpt 'x' is not known`. One that is not in the file leads nowhere."""
    text = text.removeprefix("TaskTemplate.")
    for beginning, path in _KEYS:
        if text.startswith(beginning):
            return path
    word = re.match(r"[A-Za-z_]*", text.removeprefix(f"ContainerSpec.Labels[{HOST}]: "))
    return (re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word[0]).lower(),) if word else ()
