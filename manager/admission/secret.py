"""A wish about a secret or a config, checked and turned into writes: create, change its labels, remove. Pure.

Both are the same thing under two names: bytes that are written once, encrypted, and that services refer to. What a
service's references must be, `admission.secret_references` says.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from manager.admission.admitted import Admitted, unchanged, written
from manager.admission.coverage import is_empty, refuse_unsupported
from manager.admission.faults import at
from manager.admission.in_use import specs_in_use
from manager.admission.naming import naming
from manager.admission.texts import check_texts
from manager.objects import Config, Secret, Service
from manager.state import State
from manager.store.codec import put
from manager.store.keys import key_of, name_key
from manager.store.port import Delete, Put, Unit
from swarmpy.errors import BadRequest, Conflict, InUse, OutOfSequence, Unsupported
from swarmpy.models.base import Driver
from swarmpy.models.config import ConfigSpec
from swarmpy.models.container import ContainerSpec
from swarmpy.models.secret import SecretSpec
from swarmpy.shown import shown
from swarmpy.templating import DRIVER, check_driver, check_template

Kept = TypeVar("Kept", Secret, Config)

_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9])?")
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Kind(Generic[Kept]):
    """What differs between the two. `largest` in bytes: encrypted and in base64 it still fits one write of etcd."""

    word: str
    model: type[Kept]
    largest: int

    @property
    def plural(self) -> str:
        """As keys, names and paths have it."""
        return f"{self.word}s"

    def table(self, state: State) -> Mapping[str, Kept]:
        found: Mapping[str, Kept] = getattr(state, self.plural)
        return found


SECRET = Kind("secret", Secret, 500 << 10)
CONFIG = Kind("config", Config, 1000 << 10)


def read_data(kind: Kind[Kept], wish: SecretSpec | ConfigSpec) -> bytes:
    """The bytes that a wish carries; a template is one that a node can fill in. Raises `BadRequest`, which never quotes
    them."""
    with naming(kind.word, wish.name):
        try:
            data = base64.b64decode(wish.data or "", validate=True)
        except (binascii.Error, ValueError):
            # Without its cause, which would hold the text.
            raise BadRequest("Data must be base64 (RFC 4648, with padding)") from None
        check_size(kind, len(data))
        if wish.templating is not None and wish.templating.name == DRIVER:
            _check_filling(kind, data)
        return data


def check_size(kind: Kind[Kept], size: int) -> None:
    if not 1 <= size <= kind.largest:
        raise BadRequest(f"Data of a {kind.word} must be 1 to {kind.largest} bytes, and this one has {size}")


def admit_creation(
    state: State, kind: Kind[Kept], wish: SecretSpec | ConfigSpec, *, sealed: str, object_id: str, now: datetime
) -> Admitted[Kept]:
    """`sealed` are the wish's data, encrypted."""
    name = _checked_name(wish.name)
    with naming(kind.word, name):
        refuse_unsupported(wish)
        check_texts(wish)
        _check_templating(wish.templating)
    if state.named(kind.plural, name) is not None:
        raise Conflict(f"{kind.word} {name} already exists")
    spec = wish.model_copy(update={"data": None, "labels": wish.labels or {}})
    made = kind.model.model_validate(
        {"id": object_id, "created_at": now, "updated_at": now, "spec": spec, "sealed": sealed}
    )
    claim = Put(name_key(kind.plural, name), object_id.encode(), modified=0)
    return written(kind.word, name, made, put(made, create=True), claim)


def admit_labels(
    known: Kept, wish: SecretSpec | ConfigSpec, *, same_data: bool, version: int, now: datetime
) -> Admitted[Kept]:
    """`same_data`: the wish carries none, or those that are kept. Nothing but labels ever changes."""
    if version != known.version:
        raise OutOfSequence()
    word, name = _word_of(known), known.spec.name
    with naming(word, name):
        refuse_unsupported(wish)
        check_texts(wish)
        same_templating = is_empty(wish.templating) or wish.templating == known.spec.templating
        if not same_data or not same_templating or (wish.name or "") != name:
            raise BadRequest("only updates to Labels are allowed; for other data make a new one under another name")
    if (wish.labels or {}) == (known.spec.labels or {}):
        return unchanged(known)
    spec = known.spec.model_copy(update={"labels": wish.labels or {}})
    after = known.model_copy(update={"spec": spec, "updated_at": now})
    return written(word, name, after, put(after))


def admit_removal(state: State, kind: Kind[Kept], known: Kept) -> Admitted[Kept]:
    """Refused while a service that is to stay refers to it; tasks keep what they were given."""
    users = sorted(service.spec.name or service.id for service in state.services.values() if _uses(service, known.id))
    if users:
        services = "service" if len(users) == 1 else "services"
        raise InUse(f"{kind.word} '{known.spec.name}' is in use by the following {services}: {', '.join(users)}")
    claim = name_key(kind.plural, known.spec.name or "")
    writes = (Delete(key_of(known), modified=known.version), Delete(claim, modified=state.version_of(claim)))
    return Admitted(known, (Unit(writes),))


def referred_ids(container: ContainerSpec | None) -> tuple[str, ...]:
    """The ids of all secrets and configs that a container is given."""
    if container is None:
        return ()
    secrets = (reference.secret_id or "" for reference in container.secrets or ())
    configs = (reference.config_id or "" for reference in container.configs or ())
    return (*secrets, *configs)


def _word_of(known: Secret | Config) -> str:
    return SECRET.word if isinstance(known, Secret) else CONFIG.word


def _uses(service: Service, object_id: str) -> bool:
    return any(object_id in referred_ids(spec.task_template.container_spec) for spec in specs_in_use(service))


def _checked_name(name: str | None) -> str:
    if not name or len(name) > _LONGEST_NAME or _NAME.fullmatch(name) is None:
        raise BadRequest(
            f"invalid name {shown(name or '')}: only {_LONGEST_NAME} [a-zA-Z0-9-_.] characters allowed, "
            "and the start and end character must be [a-zA-Z0-9]"
        )
    return name


def _check_templating(templating: Driver | None) -> None:
    if templating is None or is_empty(templating):
        return
    with at("Templating.Name"):
        check_driver(templating.name or "")
    if templating.options:
        raise Unsupported(f"Templating.Options: the template driver {DRIVER} has none")


def _check_filling(kind: Kind[Kept], data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"Data of a {kind.word} with Templating must be UTF-8 text, and these are not") from None
    with at(f"Data of a {kind.word} with Templating"):
        check_template(text)
