"""What one pass is about to write: new and changed tasks and objects, by and by, then as units for the store.

Translates a `Decision`, that names tasks by id, into whole records. A unit holds all that happens to one slot, so
that no replacement is ever torn apart: the old task's stop and the new task's start are written together or not at
all. Pure but for the ids, which come from the `mint` it is given.
"""

from collections.abc import Iterator
from datetime import datetime

from manager.allocator.ingress import ingress_network
from manager.allocator.networks import task_networks
from manager.allocator.port_claims import port_claims
from manager.allocator.ports import had_ports
from manager.allocator.vnis import vni_claims, vni_releases
from manager.objects import (
    AnyObject,
    Network,
    Reason,
    ReasonCode,
    Service,
    ServiceRevision,
    SpecRevision,
    StackRevision,
    Task,
)
from manager.orchestrator.decision import Decision, NewTask
from manager.published_ports import host_ports
from manager.state import State
from manager.store.codec import put
from manager.store.keys import key_for, name_key
from manager.store.port import Delete, Unit, Write
from swarmpy.idgen import Mint
from swarmpy.models.task import TaskStatus
from swarmpy.states import TaskState

_Slot = tuple[str, int, str]


class Draft:
    """`new` tasks are not in the state yet; `changed` are, and go over their former selves."""

    def __init__(self, state: State, mint: Mint, now: datetime) -> None:
        self.new: dict[str, Task] = {}
        self.changed: dict[str, Task] = {}
        self._state = state
        self._mint = mint
        self._now = now
        self._dropped: dict[str, Task] = {}
        self._replaced: dict[str, AnyObject] = {}
        self._claimed: dict[str, tuple[Write, ...]] = {}
        self._deletes: list[tuple[Write, ...]] = []

    def task(self, task_id: str) -> Task | None:
        """The task as it will be; None when it is gone."""
        if task_id in self._dropped:
            return None
        return self.new.get(task_id) or self.changed.get(task_id) or self._state.tasks.get(task_id)

    # taking in

    def add(self, decision: Decision) -> None:
        for part in decision.desire:
            if (task := self.task(part.task_id)) and part.desired_state > task.desired_state:
                is_let_go = part.desired_state is TaskState.RUNNING and _is_held(task)
                held = {"held_until": self._now} if is_let_go else {}
                reason = part.reason or _kept(task, part.desired_state)
                self._set(task, desired_state=part.desired_state, reason=reason, **held)
        for state in decision.states:
            if (task := self.task(state.task_id)) and state.state > task.state:
                self.set_state(task, state.state, state.message, state.reason or task.reason)
        for waiting in decision.reasons:
            if task := self.task(waiting.task_id):
                self.set_reason(task, waiting.reason)
        for adopted in decision.adopt:
            if task := self.task(adopted.task_id):
                self._set(task, spec_version=adopted.spec_version)
        for gone in decision.drop:
            if task := self._state.tasks.get(gone.task_id):
                self._dropped[task.id] = task
        for new in decision.create:
            self._create(new)
        for value in decision.replace:
            self.replace(value)
        self._deletes += [self._without_service(id) for id in decision.drop_services]
        self._deletes += [self._without_network(id) for id in decision.drop_networks]
        self._deletes += [self._without(SpecRevision, id) for id in decision.drop_specs]
        self._deletes += [self._without(ServiceRevision, id) for id in decision.drop_revisions]
        self._deletes += [self._without(StackRevision, id) for id in decision.drop_stacks]

    def set_state(self, task: Task, state: TaskState, message: str, reason: Reason | None) -> Task:
        """The manager's own word on a task."""
        status = task.status.model_copy(update={"state": state, "message": message, "timestamp": self._now})
        finished_at = task.finished_at or (self._now if state.is_finished else None)
        return self._set(task, status=status, reason=reason, finished_at=finished_at)

    def set_reason(self, task: Task, reason: Reason | None) -> Task:
        """Why it waits. `since` stays while the code does; words that say the same are not written again."""
        if reason is not None and task.reason is not None and task.reason.code == reason.code:
            reason = reason.model_copy(update={"since": task.reason.since})
        return task if reason == task.reason else self._set(task, reason=reason)

    def put_task(self, task: Task, *, reason: Reason | None) -> Task:
        """The task, changed by the caller, and why it does not run yet."""
        return self._set(task, reason=reason)

    def replace(self, value: AnyObject) -> None:
        """The ports that it is given are claimed as of now: when it is written, another may have them."""
        self._replaced[value.id] = value
        self._claimed[value.id] = self._claims(value)

    def amend_service(self, service_id: str, **fields: object) -> None:
        """The service as it will be, with these fields besides."""
        known = self._replaced.get(service_id, self._state.services[service_id])
        self.replace(known.model_copy(update=fields))

    def network(self, network_id: str) -> Network | None:
        """The network as it will be."""
        replaced = self._replaced.get(network_id)
        return replaced if isinstance(replaced, Network) else self._state.networks.get(network_id)

    def _set(self, task: Task, **fields: object) -> Task:
        after = task.model_copy(update={**fields, "updated_at": self._now})
        (self.new if task.id in self.new else self.changed)[task.id] = after
        return after

    def _create(self, new: NewTask) -> None:
        service = self._state.services[new.service_id]
        template = self._state.specs[f"{new.service_id}/{new.spec_version}"].template
        task = Task(
            id=self._mint(),
            created_at=self._now,
            updated_at=self._now,
            service_id=new.service_id,
            service_name=service.spec.name or service.id,
            spec_version=new.spec_version,
            slot=new.slot,
            node_id=new.node_id,
            desired_state=new.desired_state,
            status=TaskStatus(timestamp=self._now, state=TaskState.NEW, message="created"),
            reason=new.reason,
            start_after=new.start_after,
            networks=task_networks(service, template, ingress_network(self._state)),
            ports=host_ports(service.spec),
            job_iteration=new.job_iteration,
        )
        self.new[task.id] = task

    # giving out

    def units(self) -> Iterator[Unit]:
        """Objects first, since tasks refer to them, then one unit a slot, then what is no longer needed."""
        for value in self._replaced.values():
            yield Unit((put(value.model_copy(update={"updated_at": self._now})), *self._claimed[value.id]))
        for tasks in self._by_slot().values():
            yield Unit(tuple(self._write(task) for task in tasks))
        for deletes in self._deletes:
            yield Unit(deletes)

    def _claims(self, value: AnyObject) -> tuple[Write, ...]:
        """Of the ports that a service is given, and of the VNI that a network is."""
        if isinstance(value, Network):
            return vni_claims(self._state, value)
        before = self._state.services.get(value.id)
        if not isinstance(value, Service) or before is None or value.published_ports == before.published_ports:
            return ()
        return port_claims(self._state, value.id, had_ports(before), value.published_ports or ())

    def _by_slot(self) -> dict[_Slot, list[Task]]:
        slots: dict[_Slot, list[Task]] = {}
        changed = (task for task in self.changed.values() if task.id not in self._dropped)
        for task in (*self._dropped.values(), *changed, *self.new.values()):
            slots.setdefault(_slot_of(task), []).append(task)
        return slots

    def _write(self, task: Task) -> Write:
        if task.id in self._dropped:
            return Delete(key_for(Task, task.id), modified=task.version)
        return put(task, create=task.id in self.new)

    def _without_service(self, service_id: str) -> tuple[Write, ...]:
        service = self._state.services[service_id]
        return self._without_named("services", service, service.spec.name)

    def _without_network(self, network_id: str) -> tuple[Write, ...]:
        network = self._state.networks[network_id]
        named = self._without_named("networks", network, network.spec.name)
        return (*named, *vni_releases(self._state, network))

    def _without(self, model: type[AnyObject], object_id: str) -> tuple[Write, ...]:
        key = key_for(model, object_id)
        return (Delete(key, modified=self._state.version_of(key)),)

    def _without_named(self, kind: str, value: Service | Network, name: str | None) -> tuple[Write, ...]:
        """The record goes, and its name, unless another has taken that already."""
        record = Delete(key_for(type(value), value.id), modified=value.version)
        key = name_key(kind, name or "")
        if name is None or self._state.named(kind, name) != value.id:
            return (record,)
        return (record, Delete(key, modified=self._state.version_of(key)))


def _slot_of(task: Task) -> _Slot:
    """Global services have no slots: one place a node."""
    return task.service_id, task.slot, "" if task.slot else task.node_id


def _kept(task: Task, desired: TaskState) -> Reason | None:
    """A task that may start waits for nothing; one that is to stop keeps what was known of it."""
    return task.reason if desired > TaskState.RUNNING else None


def _is_held(task: Task) -> bool:
    """By services that it depends on."""
    return task.reason is not None and task.reason.code is ReasonCode.WAITING_DEPENDENCY
