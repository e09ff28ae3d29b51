"""Engine JSON to our values and back, for the Docker adapter. Pure: what the engine writes where, and no calls."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from agent.engine.port import EngineEvent, EngineInfo, LogLine, News
from agent.engine.ranges import EngineNetwork
from agent.network.picture import bridge_of, vtep_of
from agent.task.facts import ContainerFacts, Health, Life, ListedContainer
from agent.task.names import TASK_LABEL, network_id_of, network_labels, network_name
from swarmpy.models.network import MTU_OPTION
from swarmpy.models.node import RUNTIME
from swarmpy.models.port import PortConfig, Protocol, PublishMode
from swarmpy.wire import NetworkAssignment

LIVES = {
    "created": Life.CREATED,
    "running": Life.RUNNING,
    "paused": Life.RUNNING,
    "restarting": Life.RUNNING,
    "removing": Life.REMOVING,
    "exited": Life.EXITED,
    "dead": Life.EXITED,
}
_HEALTHS = {health.value: health for health in Health}
# The listing gives health only inside its text for people: "Up 3 seconds (health: starting)".
_LISTED_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)$")
# Engines cut the lines of their own logs here too.
LONGEST_LINE = 16 * 1024
_TRUSTED = "com.docker.network.bridge.trusted_host_interfaces"
_MODE, _UNPROTECTED = "com.docker.network.bridge.gateway_mode_ipv4", "nat-unprotected"
_PLUGIN_TYPES = ("Volume", "Network", "Log")
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


def engine_info(info: Mapping[str, Any], api_version: str) -> EngineInfo:
    plugins = info.get("Plugins") or {}
    major, minor = api_version.split(".")
    labels = dict(label.partition("=")[::2] for label in info.get("Labels") or ())
    architecture = info.get("Architecture", "")
    return EngineInfo(
        hostname=info.get("Name", ""),
        os=info.get("OSType", "linux"),
        architecture=_ARCHITECTURES.get(architecture, architecture),
        nano_cpus=int(info.get("NCPU", 0)) * 1_000_000_000,
        memory_bytes=int(info.get("MemTotal", 0)),
        version=info.get("ServerVersion", ""),
        api_version=(int(major), int(minor)),
        labels=labels,
        plugins=(
            *((kind, name) for kind in _PLUGIN_TYPES for name in plugins.get(kind) or ()),
            # No plugins to Docker, but as much a thing that one node has and another has not.
            *((RUNTIME, name) for name in sorted(info.get("Runtimes") or ())),
        ),
    )


def listed(container: Mapping[str, Any]) -> ListedContainer:
    found = _LISTED_HEALTH.search(container.get("Status", ""))
    life = LIVES.get(container.get("State", ""), Life.EXITED)
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return ListedContainer(
        id=container["Id"],
        task_id=container.get("Labels", {}).get(TASK_LABEL, ""),
        life=life,
        health=_HEALTHS[found.group(1)] if found else None,
        addresses=dict(_addresses(networks, may_start=life is Life.CREATED)),
    )


def container_facts(inspected: Mapping[str, Any]) -> ContainerFacts:
    state, config = inspected["State"], inspected["Config"]
    health = state.get("Health") or {}
    outputs = [entry.get("Output", "") for entry in health.get("Log") or ()]
    settings = inspected.get("NetworkSettings") or {}
    life = LIVES.get(state.get("Status", ""), Life.EXITED)
    return ContainerFacts(
        id=inspected["Id"],
        task_id=(config.get("Labels") or {}).get(TASK_LABEL, ""),
        life=life,
        exit_code=state.get("ExitCode", 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error", ""),
        pid=state.get("Pid", 0),
        health=_HEALTHS.get(health.get("Status", "")),
        health_output=outputs[-1].strip() if outputs else "",
        stop_signal=config.get("StopSignal") or "SIGTERM",
        addresses=dict(_addresses(settings.get("Networks") or {}, may_start=life is Life.CREATED)),
        ports=tuple(_ports(settings.get("Ports") or {})),
    )


def _addresses(networks: Mapping[str, Mapping[str, Any]], *, may_start: bool) -> Iterator[tuple[str, str]]:
    """A container that was not started has none yet, but no other can have what it was made with."""
    for name, endpoint in networks.items():
        id = network_id_of(name)
        if id and endpoint.get("IPAddress"):
            yield id, f"{endpoint['IPAddress']}/{endpoint['IPPrefixLen']}"
        elif id and may_start and (wished := (endpoint.get("IPAMConfig") or {}).get("IPv4Address")):
            yield id, f"{wished}/32"


def _ports(ports: Mapping[str, list[dict[str, str]] | None]) -> Iterator[PortConfig]:
    for key, bindings in sorted(ports.items()):
        target, _, protocol = key.partition("/")
        # One binding for IPv4 and one for IPv6 say the same.
        for published in sorted({int(binding["HostPort"]) for binding in bindings or () if binding.get("HostPort")}):
            yield PortConfig(
                protocol=Protocol(protocol),
                target_port=int(target),
                published_port=published,
                publish_mode=PublishMode.HOST,
            )


def engine_event(event: Mapping[str, Any]) -> EngineEvent | None:
    """None for what says nothing to us."""
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    action = str(event.get("Action", ""))
    news = {
        "die": News.DIED,
        "destroy": News.DESTROYED,
        "health_status: healthy": News.HEALTHY,
        "health_status: unhealthy": News.UNHEALTHY,
    }.get(action)
    if news is None:
        return None
    exit_code = int(attributes.get("exitCode") or 0)
    return EngineEvent(news, str(actor.get("ID", "")), attributes.get(TASK_LABEL, ""), exit_code)


def network_body(network: NetworkAssignment, node_id: str, version: str) -> dict[str, Any]:
    """`version` is the engine's."""
    options = bridge_options(network.id, version)
    if network.mtu:
        options[MTU_OPTION] = str(network.mtu)
    return {
        "name": network_name(network),
        "driver": "bridge",
        "ipam": {"Driver": "default", "Config": [{"Subnet": network.subnet, "Gateway": network.gateway}]},
        "internal": network.internal,
        "options": options,
        "labels": network_labels(network, node_id),
        "check_duplicate": True,
    }


def bridge_options(network_id: str, version: str) -> dict[str, str]:
    """What keeps the engine's own packet rules out of the way of ours. Packets that come from another node by its VTEP
    are addressed to containers: engines from 28 on drop them, unless they are told to trust that device (28.2) or to
    protect no port (27.1)."""
    options = {
        "com.docker.network.bridge.name": bridge_of(network_id),
        "com.docker.network.bridge.enable_ip_masquerade": "false",
    }
    if version_of(version) >= (28, 2):
        options[_TRUSTED] = vtep_of(network_id)
    elif version_of(version) >= (27, 1):
        options[_MODE] = _UNPROTECTED
    return options


def limit_of(existing: EngineNetwork, network: NetworkAssignment, version: str) -> str:
    """What a network that an older engine made lacks under this one, in a sentence; empty when nothing. The engine
    changes no network in place."""
    wanted = bridge_options(network.id, version)
    if existing.options.get(_MODE) == _UNPROTECTED:
        # It serves where the other is asked for, too.
        wanted.pop(_TRUSTED, None)
    lacking = sorted(key for key, value in wanted.items() if existing.options.get(key) != value)
    if not lacking:
        return ""
    return (
        f"network {network.name} was made by another version of the engine, and its packets may be dropped: it lacks "
        f"{', '.join(lacking)}, and is made anew when a task joins it while none of its containers runs on this node"
    )


def version_of(text: str) -> tuple[int, ...]:
    """`20.10.24+dfsg1` is (20, 10, 24)."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found.group().split("."))) if found else ()


def engine_network(listed: Mapping[str, Any]) -> EngineNetwork:
    configs = (listed.get("IPAM") or {}).get("Config") or []
    subnets = frozenset(_subnets(config.get("Subnet") or "" for config in configs))
    return EngineNetwork(listed["Name"], subnets, bool(listed.get("Internal")), listed.get("Options") or {})


def _subnets(texts: Iterable[str]) -> Iterator[IPv4Network | IPv6Network]:
    """Other people's networks are among them: engines take host bits in a range, and drivers what they like."""
    for text in texts:
        with suppress(ValueError):
            yield ip_network(text, strict=False)


class LogFrames:
    """Cuts the engine's log stream into lines. Without a TTY the engine frames each line: one byte stream number,
    three of nothing, four of length. With one there are no frames, only bytes."""

    def __init__(self, *, tty: bool) -> None:
        self._tty = tty
        self._rest = b""

    def feed(self, data: bytes) -> list[LogLine]:
        self._rest += data
        return self._lines() if self._tty else self._frames()

    def end(self) -> list[LogLine]:
        rest, self._rest = self._rest, b""
        return [LogLine(1, rest)] if rest and self._tty else []

    def _lines(self) -> list[LogLine]:
        *lines, self._rest = self._rest.split(b"\n")
        whole = [line + b"\n" for line in lines]
        if len(self._rest) >= LONGEST_LINE:
            # A progress bar may never end its line.
            whole, self._rest = [*whole, self._rest], b""
        return [LogLine(1, line[at : at + LONGEST_LINE]) for line in whole for at in range(0, len(line), LONGEST_LINE)]

    def _frames(self) -> list[LogLine]:
        frames, at = [], 0
        while len(self._rest) - at >= 8:
            size = int.from_bytes(self._rest[at + 4 : at + 8], "big")
            if len(self._rest) - at - 8 < size:
                break
            stream = 2 if self._rest[at] == 2 else 1
            frames.append(LogLine(stream, self._rest[at + 8 : at + 8 + size]))
            at += 8 + size
        self._rest = self._rest[at:]
        return frames
