"""Which keys of a stack file swarmpy carries out, which it passes over and which it refuses. Pure.

Every key that the schema knows has its row here and in docs/stack-files.md; a test compares the three.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from swarmpy.container_values import check_host_address
from swarmpy.errors import BadRequest
from swarmpy.stack.scalars import text_of
from swarmpy.stack.shortforms import volume_options
from swarmpy.stack.spellings import split_host, unbracketed
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
    "models": Refused(f"models are {NEVER}; run one as a service"),
    "services.*.attach": Ignored("a deployment shows no logs; see swarmpy service logs"),
    "services.*.build": Ignored("stacks are not built; the image named is run"),
    "services.*.container_name": Ignored("tasks name their containers, as there may be several"),
    "services.*.credential_spec": Refused(f"it is for Windows and {NEVER}"),
    "services.*.depends_on.*.restart": Refused(f"{NEVER}: a change of one service restarts no other"),
    "services.*.develop": Ignored("it is for docker compose watch, on a machine where the image is built"),
    "services.*.expose": Ignored("services on one network reach each other on every port"),
    "services.*.external_links": Ignored("names come from the networks that services share"),
    "services.*.isolation": Refused(f"it is for Windows and {NEVER}"),
    "services.*.links": Ignored("names come from the networks that services share"),
    "services.*.models": Refused(f"models are {NEVER}; run one as a service"),
    "services.*.network_mode": Refused(f"{LATER}; tasks are on the networks of their service"),
    "services.*.networks.*.gw_priority": Ignored("the way out of the cluster is the same for every task"),
    "services.*.networks.*.interface_name": Refused(NEVER),
    "services.*.networks.*.ipv4_address": Refused("tasks get their addresses from the cluster"),
    "services.*.networks.*.ipv6_address": Refused("tasks get their addresses from the cluster"),
    "services.*.networks.*.link_local_ips": Refused("tasks get their addresses from the cluster"),
    "services.*.networks.*.mac_address": Refused("tasks get their addresses from the cluster"),
    "services.*.networks.*.priority": Ignored("the order in which networks are joined means nothing here"),
    "services.*.ports.*.app_protocol": Ignored("it tells people what they find behind the port"),
    "services.*.post_start": Refused(f"hooks are {NEVER}; let the image's command do it"),
    "services.*.pre_stop": Refused(f"hooks are {NEVER}; let the image's command do it when it gets the stop signal"),
    "services.*.provider": Refused(f"services from a provider are {NEVER}"),
    "services.*.pull_refresh_after": Refused("an image is pulled where it is missing, and not again"),
    "services.*.use_api_socket": Refused(f"{NEVER}; mount the socket with volumes"),
    "services.*.volumes.*.bind.selinux": Refused(f"relabelling is {NEVER}"),
    "services.*.volumes.*.cluster": Refused(f"cluster volumes are {NEVER}"),
    "services.*.volumes.*.image": Refused(f"image mounts are {LATER}"),
    "services.*.volumes_from": Refused("tasks of two services may be on two nodes; name a volume in both"),
    "volumes.*.x-cluster-spec": Refused(f"cluster volumes are {NEVER}"),
}

_PATTERNS = tuple((tuple(pattern.split(".")), standing) for pattern, standing in STANDINGS.items())
_PULL_POLICIES = ("missing", "if_not_present")
# Keys that say what a secret or a config holds.
_HOLDING = ("file", "environment", "content")
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
        case ("services", _, "pull_policy") if isinstance(node, Scalar) and node.value not in _PULL_POLICIES:
            text = f"{node.value!r} is {NEVER}: an image is pulled where it is missing ({', '.join(_PULL_POLICIES)})"
            yield Problem(mark, path, text)
        case ("services", _, "env_file", int(), "format") if isinstance(node, Scalar) and node.value != "raw":
            yield Problem(mark, path, f"{node.value!r} is {NEVER}: values are taken as they stand (raw)")
        case ("services", _, "extra_hosts", name) if isinstance(node, Scalar) and (text := _fault_of_host(name, node)):
            yield Problem(mark, path, text)
        case ("secrets" | "configs", _) if isinstance(node, Map) and (several := _contents(node)):
            text = f"says in {len(several)} ways what it holds: {', '.join(several)}; keep one"
            yield Problem(mark, path, text)
        case ("networks", _, "enable_ipv4") if isinstance(node, Scalar) and node.value in (False, "false"):
            yield Problem(mark, path, "networks of this cluster have IPv4 addresses")
        case ("networks", _, "driver") if isinstance(node, Scalar) and node.value not in ("overlay", "", None):
            yield Problem(mark, path, f"the only driver is overlay, and {node.value!r} is none")
        case ("networks", _, "ipam", "driver") if isinstance(node, Scalar) and node.value not in ("default", "", None):
            yield Problem(mark, path, f"the only driver is default, and {node.value!r} is none")


def _fault_of_host(name: str | int, node: Scalar) -> str:
    """Of one in a list, or by its name in a mapping."""
    said = text_of(node.value)
    host, address = split_host(said) if isinstance(name, int) else (name, said)
    if not address:
        return f"{host!r} has no address; write one like db:10.0.0.1"
    try:
        check_host_address(unbracketed(address))
    except BadRequest as error:
        return f"{error}; write one like db:10.0.0.1"
    return ""


def _contents(node: Map) -> list[str]:
    """The keys that say what it holds, where there are several. Of what is external one is passed over."""
    given = _said(node, *_HOLDING)
    return given + _said(node, "external") if len(given) > 1 else []


def _said(node: Map, *keys: str) -> list[str]:
    return [key for key in keys if (below := node.get(key)) is not None and _asks_for_something(below)]


def _passed_over(path: Path, mark: Mark, node: Node) -> Iterator[Problem]:
    match path, node:
        case ("services", _, "volumes", int()), Scalar(value=str() as text):
            for word in volume_options(text):
                if word not in _VOLUME_WORDS:
                    yield Problem(mark, path, f"ignored: the option {word!r}, as docker stack does")
        case ("secrets" | "configs", _), Map() if _said(node, "external"):
            for key in _said(node, *_HOLDING):
                yield Problem(mark, (*path, key), "ignored: it is external, and holds what it holds already")
