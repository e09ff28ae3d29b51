"""What would become of many wishes, were they written one after the other now. Nothing is written. Pure.

The very admissions are asked, about a sketch of the picture into which each wish that they let pass is folded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from manager.admission.admitted import Admitted
from manager.admission.naming import naming
from manager.admission.network import admit_network
from manager.admission.secret import CONFIG, SECRET, Kind, admit_creation, admit_labels, check_size, read_data
from manager.admission.service import admit_service, admit_update, current_auth
from manager.objects import AnyObject, Config, Network, Secret
from manager.state import State
from manager.store.codec import put
from manager.store.keys import name_key
from manager.store.port import Batch, Change, Delete, Entry, Put, Unit, Write
from swarmpy.errors import NotFound, SwarmpyError
from swarmpy.models.config import ConfigSpec
from swarmpy.models.network import NetworkCreate
from swarmpy.models.secret import SecretSpec
from swarmpy.models.service import ServiceSpec

Wish = NetworkCreate | SecretSpec | ConfigSpec | ServiceSpec

MODELS: dict[str, type[Wish]] = {
    "network": NetworkCreate,
    "secret": SecretSpec,
    "config": ConfigSpec,
    "service": ServiceSpec,
}
KEPT: dict[str, Kind[Any]] = {"secret": SECRET, "config": CONFIG}


@dataclass(frozen=True, slots=True)
class Intended:
    """`id` and `version` of what it would update, empty where it would create. Of a secret or config to be created
    `size` may stand for the data; of one to be updated `same_data` says whether the wish has those that are kept."""

    kind: str
    name: str
    wish: Wish
    id: str = ""
    version: int = 0
    size: int | None = None
    same_data: bool = True


class Rehearsal:
    """`refusal` takes the writes in the order in which they would be made."""

    def __init__(self, state: State, now: datetime) -> None:
        self._state = state.sketch()
        self._now = now
        self._count = 0

    def refusal(self, kind: str, name: str, read: Callable[[], Intended]) -> SwarmpyError | None:
        """Why the write would be refused, None when it would not. `read` may refuse it, too."""
        self._count += 1
        # As long as any id, for the size of what is written.
        new_id = f"intended{self._count:017}"
        try:
            admitted = self._admitted(read(), new_id)
        except SwarmpyError as error:
            self._stand_in(kind, name, new_id)
            return error
        self._fold(admitted.units)
        return None

    def _admitted(self, write: Intended, new_id: str) -> Admitted[Any]:
        match write.wish:
            case NetworkCreate() as wish:
                return admit_network(self._state, wish, network_id=new_id, now=self._now)
            case ServiceSpec() as wish:
                return self._service(write, wish, new_id)
            case SecretSpec() | ConfigSpec() as wish:
                return self._kept(write, wish, new_id)

    def _service(self, write: Intended, wish: ServiceSpec, new_id: str) -> Admitted[Any]:
        if not write.id:
            return admit_service(self._state, wish, service_id=new_id, now=self._now, sealed_auth=None)
        service = self._state.services.get(write.id)
        if service is None or service.removed:
            raise NotFound(f"service {write.id} not found")
        auth = current_auth(self._state, service)
        return admit_update(self._state, service, wish, version=write.version, now=self._now, sealed_auth=auth)

    def _kept(self, write: Intended, wish: SecretSpec | ConfigSpec, new_id: str) -> Admitted[Any]:
        kind = KEPT[write.kind]
        if write.id:
            known = kind.table(self._state).get(write.id)
            if known is None:
                raise NotFound(f"{kind.word} {write.id} not found")
            return admit_labels(known, wish, same_data=write.same_data, version=write.version, now=self._now)
        if write.size is not None:
            with naming(kind.word, wish.name):
                check_size(kind, write.size)
        elif not (isinstance(wish, SecretSpec) and wish.driver is not None):
            read_data(kind, wish)
        return admit_creation(self._state, kind, wish, sealed="", object_id=new_id, now=self._now)

    def _stand_in(self, kind: str, name: str, new_id: str) -> None:
        """For what was refused, so that nothing that refers to it is at fault, too."""
        if kind == "service" or not name or self._state.named(f"{kind}s", name) is not None:
            return
        made = partial(dict[str, Any], id=new_id, created_at=self._now, updated_at=self._now)
        stand_ins: dict[str, Callable[[], AnyObject]] = {
            "network": lambda: Network(**made(spec=NetworkCreate(name=name))),
            "secret": lambda: Secret(**made(spec=SecretSpec(name=name), sealed="")),
            "config": lambda: Config(**made(spec=ConfigSpec(name=name), sealed="")),
        }
        claim = Put(name_key(f"{kind}s", name), new_id.encode())
        self._fold((Unit((put(stand_ins[kind](), create=True), claim)),))

    def _fold(self, units: tuple[Unit, ...]) -> None:
        revision = self._state.revision + 1
        changes = (_change(write, revision) for unit in units for write in unit.writes)
        self._state.apply(Batch(revision, tuple(change for change in changes if change is not None)))


def _change(write: Write, revision: int) -> Change | None:
    """A condition changes nothing."""
    if isinstance(write, Put):
        return Change(write.key, Entry(write.key, write.value, revision, revision))
    return Change(write.key, None) if isinstance(write, Delete) else None
