"""What only swarmpy carries out: the keys below `x-swarmpy`, which docker and compose pass over. Pure."""

from collections.abc import Mapping
from typing import Any

from swarmpy.labels import PROGRESS_DEADLINE, VOLUME_AFFINITY
from swarmpy.stack.faults import Faults
from swarmpy.stack.tree import Path
from swarmpy.stack.units import parse_duration

WISHES = "x-swarmpy"
DEADLINE = "progress-deadline"
AFFINITY = "volume-affinity"


def deadline_label(service: Mapping[str, Any], path: Path, faults: Faults) -> dict[str, str]:
    """Of the service as a whole or of its `update_config`."""
    update = (service.get("deploy") or {}).get("update_config") or {}
    inner, outer = ((part.get(WISHES) or {}).get(DEADLINE) for part in (update, service))
    if inner and outer and inner != outer:
        faults.add((*path, WISHES, DEADLINE), "says something else than deploy.update_config; keep one of the two")
    text = inner or outer
    if not text:
        return {}
    if parse_duration(text) <= 0:
        faults.add((*path, WISHES, DEADLINE), f"{text!r} is no time to wait; write one like 10m")
    return {PROGRESS_DEADLINE: text}


def affinity_label(volume: Mapping[str, Any]) -> dict[str, str]:
    return {VOLUME_AFFINITY: "true"} if (volume.get(WISHES) or {}).get(AFFINITY) else {}
