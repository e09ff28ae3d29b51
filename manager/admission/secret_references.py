"""A service's references to secrets and configs: found, sound, and held against a removal at the same time. Pure."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TypeVar

from manager.admission.secret import CONFIG, SECRET, Kept, Kind, referred_ids
from manager.objects import Config, Secret
from manager.state import State
from manager.store.keys import key_of, name_key
from manager.store.port import Check, Put, Write
from swarmpy.container_values import CONFIG_FOLDER, HIGHEST_ID, SECRET_FOLDER, clean_target, is_number_within
from swarmpy.errors import BadRequest, NotFound
from swarmpy.models.container import ConfigReference, ContainerSpec, ReferenceFile, SecretReference
from swarmpy.shown import shown

Reference = TypeVar("Reference", SecretReference, ConfigReference)


def with_found_files(state: State, container: ContainerSpec) -> ContainerSpec:
    """The container with each reference whole, id and name. Raises `BadRequest` or `NotFound`, naming the reference."""
    secrets = container.secrets and tuple(
        reference.model_copy(update=_found(state, SECRET, reference.secret_id, reference.secret_name))
        for reference in container.secrets
    )
    configs = container.configs and tuple(
        reference.model_copy(update=_found(state, CONFIG, reference.config_id, reference.config_name))
        for reference in container.configs
    )
    whole = container.model_copy(update={"secrets": secrets, "configs": configs})
    _check_targets(whole)
    return whole


def holding(state: State, container: ContainerSpec | None, before: ContainerSpec | None) -> tuple[Write, ...]:
    """Writes that let a removal of what `container` newly refers to, at the same time, either come first and be seen,
    or fail: its claim is written anew, and it must be there."""
    new = dict.fromkeys(id for id in referred_ids(container) if id not in referred_ids(before))
    writes: list[Write] = []
    for object_id in new:
        writes += (*_held(state, SECRET, object_id), *_held(state, CONFIG, object_id))
    return tuple(writes)


def check_still_there(state: State, container: ContainerSpec | None) -> None:
    """For a spec that was admitted once: what it refers to may be gone by now."""
    if container is not None:
        with_found_files(state, container)


def _held(state: State, kind: Kind[Kept], object_id: str) -> tuple[Write, ...]:
    known = kind.table(state).get(object_id)
    if known is None:
        return ()
    claim = name_key(kind.plural, known.spec.name or "")
    return Check(key_of(known), known.version), Put(claim, object_id.encode())


def _found(state: State, kind: Kind[Kept], object_id: str | None, name: str | None) -> dict[str, str]:
    if not object_id and not name:
        raise BadRequest(f"ContainerSpec.{kind.plural.title()}: a reference names no {kind.word}; give its id or name")
    wanted = object_id or state.named(kind.plural, name or "")
    known: Secret | Config | None = kind.table(state).get(wanted or "")
    if known is None:
        raise NotFound(f"{kind.word} {name or object_id} not found; create it first")
    if name and name != known.spec.name:
        raise BadRequest(f"ContainerSpec.{kind.plural.title()}: {object_id} is {known.spec.name}, and not {name}")
    return {f"{kind.word}_id": known.id, f"{kind.word}_name": known.spec.name or ""}


def _check_targets(container: ContainerSpec) -> None:
    targets = [
        *_targets("secret", SECRET_FOLDER, ((item.secret_name, item.file) for item in container.secrets or ())),
        *_targets("config", CONFIG_FOLDER, ((item.config_name, item.file) for item in container.configs or ())),
    ]
    taken = Counter(clean_target(mount.target or "") for mount in container.mounts or ())
    files = frozenset(target for _, target in targets)
    for what, target in targets:
        if above := next((str(folder) for folder in PurePosixPath(target).parents if str(folder) in files), ""):
            raise BadRequest(f"{what}: its target {target} lies in {above}, which is another secret or config, a file")
        if taken[target]:
            raise BadRequest(f"{what}: its target {target} is taken by another secret, config or mount")
        taken[target] += 1


def _targets(
    word: str, folder: str, references: Iterable[tuple[str | None, ReferenceFile | None]]
) -> Iterable[tuple[str, str]]:
    for name, file in references:
        what = f"{word} {name}"
        if file is None or not file.name:
            raise BadRequest(f"{what}: File.Name, the target in the container, is required")
        _check_file(what, file)
        yield what, str(PurePosixPath(folder, file.name))


def _check_file(what: str, file: ReferenceFile) -> None:
    name = file.name or ""
    if name.endswith("/") or "\0" in name or {"..", "."} & set(name.split("/")):
        raise BadRequest(f"{what}: its target {shown(name)} must be the path of a file, without . and ..")
    for field, text in (("UID", file.uid), ("GID", file.gid)):
        if text and not is_number_within(text, 0, HIGHEST_ID):
            raise BadRequest(f"{what}: File.{field} {shown(text)} must be a number, {HIGHEST_ID} at most")
    if file.mode is not None and not 0 <= file.mode <= 0o777:
        raise BadRequest(f"{what}: File.Mode must lie between 0 and 0777 (octal), and {file.mode:#o} does not")
