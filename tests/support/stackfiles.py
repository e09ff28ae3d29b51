"""Stack files given as text, taken as far as a test wants."""

from collections.abc import Mapping
from typing import Any

from swarmpy.models.service import ServiceSpec
from swarmpy.stack.canonical import Config, Surroundings, canonical_file
from swarmpy.stack.interpolate import Filler, interpolate_file
from swarmpy.stack.objects import Contents
from swarmpy.stack.parse import parse_stack
from swarmpy.stack.plan import NO_CONTENTS, StackPlan, plan_stack
from swarmpy.stack.tree import Map

HOME = {"HOME": "/users/me"}


def tree_of(text: str, environment: Mapping[str, str] = HOME) -> Map:
    return interpolate_file(parse_stack(text, "s.yaml"), Filler(environment))[0]


def canonical(text: str, environment: Mapping[str, str] = HOME, env_files: Mapping[str, str] | None = None) -> Config:
    return canonical_file(tree_of(text, environment), Surroundings(environment, "/here", env_files or {}))


def service_lines(lines: str, image: str = "x:1") -> str:
    """A file with one service, `web`, of these lines."""
    below = "\n".join(f"    {line}" for line in lines.strip("\n").splitlines())
    return f"services:\n  web:\n    image: {image}\n{below}\n"


def canonical_service(lines: str, **given: Any) -> Config:
    service: Config = canonical(service_lines(lines), **given)["services"]["web"]
    return service


def planned(text: str, name: str = "shop", contents: Contents = NO_CONTENTS) -> StackPlan:
    return plan_stack(name, canonical(text), [tree_of(text)], contents)


def planned_service(lines: str, rest: str = "") -> ServiceSpec:
    """As the manager reads what the command sends."""
    services = planned(service_lines(lines) + rest).services
    return ServiceSpec.model_validate(next(spec for spec in services if spec["Name"] == "shop_web"))
