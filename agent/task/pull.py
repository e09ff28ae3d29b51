"""Pulling: when to ask a registry, with which credentials, and how far it has come. Pure."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from swarmpy.errors import BadRequest

_DONE = frozenset({"Pull complete", "Already exists", "Download complete"})


def is_moving(reference: str) -> bool:
    """The tag is `latest`, or there is none: the same words may mean another image tomorrow."""
    if "@" in reference:
        return False
    _, _, last = reference.rpartition("/")
    _, colon, tag = last.partition(":")
    return not colon or tag == "latest"


def asks_registry_first(reference: str, has_credentials: bool) -> bool:
    """The rule: an image that is here is used, and one that is not is pulled. Only a moving reference that came with
    registry credentials is asked for each time, and the copy here serves when the registry does not answer."""
    return has_credentials and is_moving(reference)


def credentials(pull_auth: str | None) -> dict[str, str]:
    """What a client put in X-Registry-Auth. Never in an error's text."""
    if not pull_auth:
        return {}
    try:
        padded = pull_auth + "=" * (-len(pull_auth) % 4)
        # Clients write either alphabet.
        decoded = json.loads(base64.b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True))
    except (ValueError, RecursionError):
        raise BadRequest("the registry credentials of this service cannot be read; deploy it again") from None
    if not isinstance(decoded, dict):
        raise BadRequest("the registry credentials of this service are no JSON object; deploy it again")
    return {str(name): str(value) for name, value in decoded.items() if value is not None}


@dataclass(frozen=True, slots=True)
class PullProgress:
    """Folded from the engine's lines, one layer an entry."""

    reference: str
    layers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    complete: frozenset[str] = frozenset()

    def with_line(self, line: Mapping[str, Any]) -> "PullProgress":
        layer, status = line.get("id"), line.get("status", "")
        if not isinstance(layer, str) or status.startswith("Pulling from"):
            return self
        detail = line.get("progressDetail") or {}
        layers = {**self.layers}
        if status == "Downloading" and "total" in detail:
            layers[layer] = (int(detail.get("current", 0)), int(detail["total"]))
        else:
            layers.setdefault(layer, (0, 0))
        complete = self.complete | {layer} if status in _DONE else self.complete
        return PullProgress(self.reference, layers, complete)

    def text(self) -> str:
        if not self.layers:
            return f"pulling {self.reference}"
        done = sum(total if id in self.complete else current for id, (current, total) in self.layers.items())
        total = sum(total for _, total in self.layers.values())
        layers = f"{len(self.complete)} of {len(self.layers)} layers"
        return f"pulling {self.reference}: {layers}, {_megabytes(done)} of {_megabytes(total)} MB"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"
