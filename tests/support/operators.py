"""Operators of a cluster that ask in the API's own words and remember what they were answered.

Owns which wishes may stand in the store: the one that was acknowledged last, and those that were never answered since.
What is asked runs in the background, so that trouble may come in the middle of it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from support.cluster import ManagerProcess

from manager.admission.admitted import Admitted
from manager.admission.node import admit_node_removal, admit_node_update
from manager.admission.service import admit_removal, admit_rollback, admit_service, admit_update
from manager.api.dependencies import carry_out
from manager.objects import Node, Service
from manager.orchestrator.slots import ROLLING_BACK
from manager.state import Changed, State
from manager.store.port import Check, Revision
from swarmpy.clock import Clock
from swarmpy.errors import Conflict, LeadershipLost, Unavailable
from swarmpy.idgen import CountingIds
from swarmpy.models.service import ServiceSpec
from swarmpy.states import Availability

# None: it is not there.
Wish = ServiceSpec | Availability | None
# No write is under way for longer, whatever became of its sender.
LATEST = timedelta(seconds=10)


@dataclass
class _Asked:
    """One request. `wishes` is what it would make true, by key."""

    process: ManagerProcess
    key: str
    carrying_out: asyncio.Task[Wish]
    wish: Wish = None
    was_sent: bool = False
    # Not so where nothing would have changed.
    is_write: bool = False


@dataclass
class _Known:
    """What may stand under one key."""

    acknowledged: Wish
    unanswered: list[tuple[Wish, datetime]] = field(default_factory=list)

    @property
    def possible(self) -> list[Wish]:
        return [self.acknowledged, *(wish for wish, _ in self.unanswered)]


class Operators:
    def __init__(self, state: State, clock: Clock, mint: CountingIds) -> None:
        self._state = state
        self._clock = clock
        self._mint = mint
        self._asked: dict[str, _Asked] = {}
        self._known: dict[str, _Known] = {}
        self.acknowledged = 0
        self.unanswered = 0

    # asking

    def is_waiting_for(self, key: str) -> bool:
        return key in self._asked

    def deploy(self, process: ManagerProcess, spec: ServiceSpec) -> None:
        service_id = self._mint()
        now = self._clock.now()

        def admit() -> Admitted[Service]:
            state = process.ledger.state
            return admit_service(state, spec, service_id=service_id, now=now, sealed_auth=None)

        self._ask(process, f"services/{spec.name}", admit, _wish_of)

    def update(self, process: ManagerProcess, name: str, change: Callable[[ServiceSpec], ServiceSpec]) -> None:
        """Changed from what that manager shows."""
        shown = _service(process, name)

        def admit() -> Admitted[Service]:
            state = process.ledger.state
            service = state.services.get(shown.id, shown)
            spec = change(shown.spec)
            return admit_update(state, service, spec, version=shown.version, now=self._clock.now(), sealed_auth=None)

        self._ask(process, f"services/{name}", admit, _wish_of)

    def roll_back(self, process: ManagerProcess, name: str) -> None:
        shown = _service(process, name)

        def admit() -> Admitted[Service]:
            state = process.ledger.state
            service = state.services.get(shown.id, shown)
            return admit_rollback(state, service, version=shown.version, now=self._clock.now())

        self._ask(process, f"services/{name}", admit, _wish_of)

    def remove(self, process: ManagerProcess, name: str) -> None:
        shown = _service(process, name)

        def admit() -> Admitted[Service]:
            state = process.ledger.state
            service = state.services.get(shown.id, shown)
            return admit_removal(state, service, now=self._clock.now())

        self._ask(process, f"services/{name}", admit, _wish_of)

    def set_availability(self, process: ManagerProcess, node_id: str, availability: Availability) -> None:
        shown = process.ledger.state.nodes[node_id]

        def admit() -> Admitted[Node]:
            node = process.ledger.state.nodes.get(node_id, shown)
            spec = node.spec.model_copy(update={"availability": availability})
            return admit_node_update(process.ledger.state, node, spec, version=node.version, now=self._clock.now())

        self._ask(process, f"nodes/{node_id}", admit, lambda node: node.spec.availability)

    def remove_node(self, process: ManagerProcess, node_id: str) -> None:
        shown = process.ledger.state.nodes[node_id]

        def admit() -> Admitted[Node]:
            return admit_node_removal(process.ledger.state.nodes.get(node_id, shown), force=True)

        # A node that joins again is there again, as one that nobody has set anything for.
        self._ask(process, f"nodes/{node_id}", admit, lambda node: Availability.ACTIVE)

    def _ask(
        self,
        process: ManagerProcess,
        key: str,
        admit: Callable[[], Admitted[Service]] | Callable[[], Admitted[Node]],
        wish_of: Callable[..., Wish],
    ) -> None:
        def admit_and_note() -> Admitted[Service] | Admitted[Node]:
            if not process.ledger.synced.is_set():
                # The API answers nothing before.
                raise Unavailable("this manager has not read the store yet")
            admitted = admit()
            asked.wish, asked.was_sent = wish_of(admitted.value), True
            asked.is_write = not all(isinstance(write, Check) for unit in admitted.units for write in unit.writes)
            return admitted

        async def carry_out_and_answer() -> Wish:
            return wish_of(await carry_out(process.manager.api_context(), admit_and_note))

        asked = self._asked[key] = _Asked(process, key, asyncio.create_task(carry_out_and_answer()))

    # being answered

    async def hang_up(self, process: ManagerProcess) -> None:
        """The process has died: it answers nothing any more."""
        for asked in [asked for asked in self._asked.values() if asked.process is process]:
            if not asked.carrying_out.done():
                asked.carrying_out.cancel()
                await asyncio.gather(asked.carrying_out, return_exceptions=True)
        self.hear()

    def hear(self) -> None:
        """Take in the answers that have come."""
        for asked in [asked for asked in self._asked.values() if asked.carrying_out.done()]:
            del self._asked[asked.key]
            self._take(asked)

    def _take(self, asked: _Asked) -> None:
        known = self._known.setdefault(asked.key, _Known(self._first(asked.key)))
        try:
            wish = asked.carrying_out.result()
        except (Conflict, LeadershipLost):
            return
        except (Unavailable, asyncio.CancelledError):
            if asked.was_sent:
                known.unanswered.append((asked.wish, self._clock.now()))
                self.unanswered += 1
            return
        if not asked.is_write:
            assert wish in known.possible, f"{asked.key} is said to stand at {_words(wish)}"
            return
        known.acknowledged = wish
        # A write of ours that is still under way names the version that this one replaced. What makes a service anew
        # names none.
        under_way = self._clock.now() - LATEST
        known.unanswered = [(other, at) for other, at in known.unanswered if wish is None and at > under_way]
        self.acknowledged += 1

    def note_rollbacks(self, changes: Sequence[Changed], revision: Revision) -> None:
        """The leader itself goes back to the former wish where an update fails and the operator wanted that."""
        for change in changes:
            before, after = change.before, change.after
            if not isinstance(before, Service) or not isinstance(after, Service) or before.spec == after.spec:
                continue
            rolling_back = after.update is not None and after.update.state in ROLLING_BACK
            if rolling_back and after.spec == before.previous_spec and not after.removed:
                known = self._known.setdefault(f"services/{after.spec.name}", _Known(before.spec))
                known.unanswered.append((after.spec, self._clock.now()))

    # the law

    def check(self) -> None:
        """Every acknowledged wish stands, unless a later one took its place."""
        self.hear()
        for key, known in self._known.items():
            stands = self._stands(key)
            pending = self._asked.get(key)
            if pending is not None and pending.was_sent and stands == pending.wish:
                continue
            assert stands in known.possible, f"{key} stands at {_words(stands)}, not at {_words(known.acknowledged)}"

    def _stands(self, key: str) -> Wish:
        kind, name = key.split("/", 1)
        if kind == "nodes":
            node = self._state.nodes.get(name)
            return node.spec.availability if node is not None else Availability.ACTIVE
        service = self._state.services.get(self._state.named("services", name) or "")
        return service.spec if service is not None else None

    def _first(self, key: str) -> Wish:
        return Availability.ACTIVE if key.startswith("nodes/") else None


def _service(process: ManagerProcess, name: str) -> Service:
    state = process.ledger.state
    return state.services[state.named("services", name) or ""]


def _wish_of(service: Service) -> ServiceSpec | None:
    return None if service.removed else service.spec


def _words(wish: Wish) -> str:
    return wish.model_dump_json(exclude_none=True) if isinstance(wish, ServiceSpec) else str(wish)
