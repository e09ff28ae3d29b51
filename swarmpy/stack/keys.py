"""Which keys of a stack file swarmpy carries out, which it passes over and which it refuses. Pure.

Every key that the schema knows has its row here and in docs/stack-files.md; a test compares the three.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from swarmpy.stack.shortforms import volume_options
from swarmpy.stack.tree import Map, Mark, Node, Path, Problem, Scalar, children

LATER = "not carried out yet by this version"
NEVER = "not carried out"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Passed over with a warning that says why nothing is lost."""

    because: str


@dataclass(frozen=True, slots=True)
class Refused:
    because: str


Standing = Ignored | Refused

# A star stands for a name that the file chooses, or a place in a list. What is not named is carried out.
STANDINGS: dict[str, Standing] = {
    "services.*.build": Refused("stacks are not built; build and push the image, then name it with image"),
    "services.*.container_name": Ignored("tasks name their containers, as there may be several"),
    "services.*.credential_spec": Refused(f"it is for Windows and {NEVER}"),
    "services.*.expose": Ignored("services on one network reach each other on every port"),
    "services.*.external_links": Ignored("names come from the networks that services share"),
    "services.*.isolation": Refused(f"it is for Windows and {NEVER}"),
    "services.*.links": Ignored("names come from the networks that services share"),
    "services.*.network_mode": Refused(LATER),
    "services.*.networks.*.ipv4_address": Refused("tasks get their addresses from the cluster"),
    "services.*.networks.*.ipv6_address": Refused("tasks get their addresses from the cluster"),
    "services.*.volumes.*.cluster": Refused(f"cluster volumes are {NEVER}"),
    "services.*.volumes.*.image": Refused(f"image mounts are {LATER}"),
    "volumes.*.x-cluster-spec": Refused(f"cluster volumes are {NEVER}"),
}

_PATTERNS = tuple((tuple(pattern.split(".")), standing) for pattern, standing in STANDINGS.items())
# Of a volume's short form: words that mean something here, and nothing that docker stack passes over.
_VOLUME_WORDS = frozenset(
    {"ro", "rw", "nocopy", "private", "rprivate", "shared", "rshared", "slave", "rslave", "consistent", "cached",
     "delegated", "default"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judgement:
    refusals: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def judge(tree: Map) -> Judgement:
    """Everything in the file that swarmpy does not carry out."""
    refusals: list[Problem] = []
    warnings: list[Problem] = []
    for path, mark, node in _walk(tree, ()):
        standing = standing_of(path)
        if standing is not None and _asks_for_something(node):
            problem = Problem(mark, path, _sentence(standing))
            (warnings if isinstance(standing, Ignored) else refusals).append(problem)
        refusals.extend(_refused_values(path, mark, node))
        warnings.extend(_passed_over(path, mark, node))
    return Judgement(tuple(refusals), tuple(warnings))


def standing_of(path: Path) -> Standing | None:
    """None: carried out."""
    return next((standing for pattern, standing in _PATTERNS if _matches(pattern, path)), None)


def _matches(pattern: tuple[str, ...], path: Path) -> bool:
    return len(pattern) == len(path) and all(wanted in ("*", part) for wanted, part in zip(pattern, path, strict=True))


def _walk(node: Node, path: Path) -> Iterator[tuple[Path, Mark, Node]]:
    for name, mark, below in children(node):
        here = (*path, name)
        if isinstance(name, str) and name.startswith("x-") and name != "x-cluster-spec":
            continue
        yield here, mark, below
        # What is refused as a whole is not looked into.
        if standing_of(here) is None:
            yield from _walk(below, here)


def _sentence(standing: Standing) -> str:
    return f"ignored: {standing.because}" if isinstance(standing, Ignored) else standing.because


def _asks_for_something(node: Node) -> bool:
    """`privileged: false` and an empty list ask for nothing."""
    if isinstance(node, Scalar):
        return node.value not in (None, False, "", "false")
    return any(True for _ in children(node)) or isinstance(node, Map)


def _refused_values(path: Path, mark: Mark, node: Node) -> Iterator[Problem]:
    """Keys that are carried out, but not with every value."""
    match path:
        case ("networks", _, "driver") if isinstance(node, Scalar) and node.value not in ("overlay", "", None):
            yield Problem(mark, path, f"the only driver is overlay, and {node.value!r} is none")
        case ("networks", _, "ipam", "driver") if isinstance(node, Scalar) and node.value not in ("default", "", None):
            yield Problem(mark, path, f"the only driver is default, and {node.value!r} is none")


def _passed_over(path: Path, mark: Mark, node: Node) -> Iterator[Problem]:
    match path, node:
        case ("services", _, "volumes", int()), Scalar(value=str() as text):
            for word in volume_options(text):
                if word not in _VOLUME_WORDS:
                    yield Problem(mark, path, f"ignored: the option {word!r}, as docker stack does")
