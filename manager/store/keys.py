"""Names of keys under the store's prefix."""

from manager.objects import (
    AnyObject,
    Cluster,
    Config,
    Network,
    Node,
    Secret,
    Service,
    ServiceRevision,
    SpecRevision,
    StackRevision,
    Task,
)

LEADER = "leader"
CLUSTER = "cluster"

KINDS: dict[str, type[AnyObject]] = {
    "cluster": Cluster,
    "nodes": Node,
    "services": Service,
    "specs": SpecRevision,
    "revisions": ServiceRevision,
    "tasks": Task,
    "networks": Network,
    "secrets": Secret,
    "configs": Config,
    "stacks": StackRevision,
}
_FOLDERS = {model: folder for folder, model in KINDS.items()}


def key_of(value: AnyObject) -> str:
    """`tasks/ID`; the cluster object stands alone at `cluster`."""
    return CLUSTER if isinstance(value, Cluster) else f"{_FOLDERS[type(value)]}/{value.id}"


def key_for(model: type[AnyObject], object_id: str) -> str:
    return CLUSTER if model is Cluster else f"{_FOLDERS[model]}/{object_id}"


def model_of(key: str) -> type[AnyObject] | None:
    """The kind of object at a key; None for keys that hold none (`leader`, `names/...`)."""
    return KINDS.get(key.split("/", 1)[0])


def name_key(kind: str, name: str) -> str:
    """Uniqueness of names: created if absent together with its object; the value is the object's id."""
    return f"names/{kind}/{name}"
