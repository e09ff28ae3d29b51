"""Names and labels by which everything of a stack is known, docker's own. Pure."""

import re
from collections.abc import Mapping

STACK_LABEL = "com.docker.stack.namespace"
IMAGE_LABEL = "com.docker.stack.image"

_COMPONENT = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?")
_LONGEST = 63


def scoped(stack: str, name: str) -> str:
    return f"{stack}_{name}"


def with_stack_label(stack: str, labels: Mapping[str, str] | None) -> dict[str, str]:
    return {**(labels or {}), STACK_LABEL: stack}


def fault_of_name(name: str) -> str | None:
    """Why tasks could not find each other by this name; None when they can."""
    if _COMPONENT.fullmatch(name) is None:
        return f"{name!r} is no part of a DNS name: use letters, digits, - and _, with a letter or digit at both ends"
    if len(name) > _LONGEST:
        return f"{name!r} has {len(name)} characters; a name has {_LONGEST} at most"
    return None
