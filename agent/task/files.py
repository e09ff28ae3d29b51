"""The secrets and configs of a task: which files it is given, what is in them, where its container finds them. Pure."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from agent.task.templates import NodeFacts, fields_of
from swarmpy.container_values import CONFIG_FOLDER, SECRET_FOLDER
from swarmpy.errors import BadRequest, NotFound
from swarmpy.models.container import ConfigReference, ReferenceFile, SecretReference
from swarmpy.templating import expand
from swarmpy.wire import FileAssignment, TaskAssignment

Known = Mapping[str, FileAssignment]

_READABLE = 0o444


@dataclass(frozen=True, slots=True)
class WantedFile:
    """`what` names it for people; `given_target` is how the service has it, `target` where it is."""

    id: str
    what: str
    is_secret: bool
    given_target: str
    target: str
    uid: int
    gid: int
    mode: int


@dataclass(frozen=True, slots=True)
class FileContent:
    """`name` within the task's folder."""

    name: str
    data: bytes = field(repr=False)
    uid: int
    gid: int
    mode: int


def wanted_files(task: TaskAssignment) -> tuple[WantedFile, ...]:
    """Secrets first, in the service's order. Raises `BadRequest` for one without a target."""
    container = task.spec.container_spec
    if container is None:
        return ()
    return (
        *(_wanted(reference) for reference in container.secrets or ()),
        *(_wanted(reference) for reference in container.configs or ()),
    )


def file_mounts(task: TaskAssignment, folder: str) -> list[dict[str, Any]]:
    """In the engine's form: file by file, read-only, from the task's folder below `folder`."""
    return [
        {
            "Type": "bind",
            "Source": str(PurePosixPath(folder, task.id, str(number))),
            "Target": wanted.target,
            "ReadOnly": True,
        }
        for number, wanted in enumerate(wanted_files(task))
    ]


def contents(task: TaskAssignment, node: NodeFacts, known: Known) -> tuple[FileContent, ...]:
    """What is in the files, templates filled in. Raises `NotFound` for one that is not known here, and `BadRequest` for
    a template that cannot be filled in; neither ever quotes a secret."""
    return tuple(
        FileContent(str(number), _filled(wanted, task, node, known), wanted.uid, wanted.gid, wanted.mode)
        for number, wanted in enumerate(wanted_files(task))
    )


def _wanted(reference: SecretReference | ConfigReference) -> WantedFile:
    if isinstance(reference, SecretReference):
        is_secret, id, what = True, reference.secret_id, f"secret {reference.secret_name or reference.secret_id}"
    else:
        is_secret, id, what = False, reference.config_id, f"config {reference.config_name or reference.config_id}"
    file = reference.file or ReferenceFile()
    if not file.name:
        raise BadRequest(f"{what}: it has no target in the container")
    return WantedFile(
        id=id or "",
        what=what,
        is_secret=is_secret,
        given_target=file.name,
        target=str(PurePosixPath(SECRET_FOLDER if is_secret else CONFIG_FOLDER, file.name)),
        uid=int(file.uid or 0),
        gid=int(file.gid or 0),
        mode=_READABLE if file.mode is None else file.mode,
    )


def _filled(wanted: WantedFile, task: TaskAssignment, node: NodeFacts, known: Known) -> bytes:
    file, data = _known(wanted, known)
    if not file.is_template:
        return data
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"{wanted.what}: a template must be UTF-8 text") from None
    functions: dict[str, Callable[[str], str]] = {
        "env": partial(_env, task, node, wanted.what),
        "secret": partial(_other, task, known, wanted.what, True),
        "config": partial(_other, task, known, wanted.what, False),
    }
    try:
        return expand(text, fields_of(task, node), wanted.what, functions).encode()
    except NotFound as error:
        raise BadRequest(str(error)) from None
    except BadRequest:
        if not wanted.is_secret:
            raise
        raise BadRequest(
            f"{wanted.what}: its template holds something else than fields, an index of labels, env, secret and config"
        ) from None


def _known(wanted: WantedFile, known: Known) -> tuple[FileAssignment, bytes]:
    file = known.get(wanted.id)
    if file is None:
        raise NotFound(f"{wanted.what} is not there: it was removed, or the manager could not read it")
    return file, base64.b64decode(file.data)


def _env(task: TaskAssignment, node: NodeFacts, what: str, name: str) -> str:
    container = task.spec.container_spec
    for entry in (container.env if container else None) or ():
        key, _, value = entry.partition("=")
        if key == name:
            return expand(value, fields_of(task, node), f"env {name}")
    raise NotFound(f"{what}: its template asks for the variable {name}, which the service does not set")


def _other(task: TaskAssignment, known: Known, what: str, is_secret: bool, target: str) -> str:
    """Another file of the same task, by its target; as it was made, not filled in."""
    for wanted in wanted_files(task):
        if wanted.is_secret == is_secret and target in (wanted.given_target, wanted.target):
            try:
                return _known(wanted, known)[1].decode()
            except UnicodeDecodeError:
                raise NotFound(f"{what}: its template asks for {wanted.what}, which is no text") from None
    kind = "secret" if is_secret else "config"
    raise NotFound(f"{what}: its template asks for the {kind} at {target}, which the service is not given")
