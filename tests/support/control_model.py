"""A cluster in miniature: the deciders over a State, with agents that step, crash, fall silent and come back.

It knows what containers really exist, which the deciders do not. After every pass `laws` are checked, which must
always hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from support.builders import T0, a_cluster, a_revision

from manager.control.dirty import DirtySet
from manager.dispatcher.reports import merged
from manager.objects import AnyObject, Node, Service, ServiceRevision, Task
from manager.orchestrator.decision import Decision, NewTask
from manager.orchestrator.liveness import reconcile_nodes
from manager.orchestrator.plan import Surroundings, reconcile_service
from manager.orchestrator.reaper import reap_specs
from manager.orchestrator.reasons import no_node, not_placed_yet, waiting_reason
from manager.orchestrator.slots import is_pinned, update_order
from manager.state import State
from manager.store.codec import encode
from manager.store.keys import key_for, key_of
from manager.store.port import Batch, Change, Entry
from swarmpy.idgen import CountingIds
from swarmpy.models.service import ServiceSpec, UpdateOrder
from swarmpy.models.task import TaskSpec, TaskStatus
from swarmpy.states import Availability, NodeState, TaskState
from swarmpy.wire import TaskReport

GRACE = timedelta(seconds=5)
ROUNDS = 30

# Where an agent takes a task from here, left alone.
_NEXT = {
    TaskState.ASSIGNED: TaskState.ACCEPTED,
    TaskState.ACCEPTED: TaskState.PREPARING,
    TaskState.PREPARING: TaskState.READY,
    TaskState.READY: TaskState.STARTING,
    TaskState.STARTING: TaskState.RUNNING,
}


@dataclass
class Container:
    """A task as its agent holds it. `told_to_stop` is when it was first asked to; `may_overlap`: it was started when
    its service's order was start-first."""

    task: Task
    state: TaskState = TaskState.ASSIGNED
    told_to_stop: datetime | None = None
    may_overlap: bool = False

    @property
    def is_up(self) -> bool:
        return TaskState.STARTING <= self.state <= TaskState.RUNNING

    @property
    def is_at_rest(self) -> bool:
        return self.state is TaskState.RUNNING or (
            self.state is TaskState.READY and self.task.desired_state is TaskState.READY
        )


@dataclass
class Agent:
    is_silent: bool = False
    containers: dict[str, Container] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Some container is on its way to another state."""
        return any(
            not container.state.is_finished
            and (container.told_to_stop or container.task.job_iteration is not None or not container.is_at_rest)
            for container in self.containers.values()
        )


class ControlModel:
    def __init__(self, random: Random, laws: Callable[["ControlModel"], None]) -> None:
        self.laws = laws
        self.random = random
        self.now = T0
        self.state = State()
        self.agents: dict[str, Agent] = {}
        self.story: list[str] = []
        self.mint = CountingIds()
        self.leading_since = T0
        self.heard: dict[str, datetime] = {}
        # Tasks that had a container when their node went down, and were replaced elsewhere.
        self.lost: set[str] = set()
        self.dirty = DirtySet()
        self.completed: set[tuple[str, int | None, int, str]] = set()
        self.history_limit = random.choice([0, 1, 3])
        self.put(a_cluster(history_limit=self.history_limit))

    # the world

    def put(self, value: AnyObject) -> None:
        known = self.state.tasks.get(value.id) if isinstance(value, Task) else None
        if known is not None and isinstance(value, Task):
            assert value.state >= known.state, f"{value.id} goes back from {known.state.label} to {value.state.label}"
            assert value.desired_state >= known.desired_state, f"{value.id} is desired back to {value.desired_state}"
            assert not known.state.is_finished or value.state in (known.state, TaskState.ORPHANED)
        revision = self.state.revision + 1
        change = Change(key_of(value), Entry(key_of(value), encode(value), value.birth or revision, revision))
        self._fold(Batch(revision, (change,)))

    def delete(self, model: type[AnyObject], object_id: str) -> None:
        revision = self.state.revision + 1
        self._fold(Batch(revision, (Change(key_for(model, object_id), None),)))

    def _fold(self, batch: Batch) -> None:
        self.dirty.mark(self.state.apply(batch), self.state)

    def add_node(self, node: Node) -> None:
        self.put(node)
        self.agents[node.id] = Agent()

    def deploy(self, service: Service) -> None:
        self.put(a_revision(service))
        self.put(service)

    def change(self, service: Service, spec: ServiceSpec) -> None:
        """As the API does it: a new template gets a new number, and an update forgets the status of the last one."""
        number = service.spec_version
        if spec.task_template != service.spec.task_template:
            used = [revision.number for revision in self.state.specs.values() if revision.service_id == service.id]
            number = max(*used, service.previous_spec_version or 0) + 1
        bumped = service.job_iteration is not None and number != service.spec_version
        after = service.model_copy(
            update={
                "spec": spec,
                "spec_version": number,
                "previous_spec": service.spec,
                "previous_spec_version": service.spec_version,
                "update": None,
                "job_iteration": (service.job_iteration or 0) + 1 if bumped else service.job_iteration,
            }
        )
        self.put(a_revision(after))
        self.put(after)

    def tell(self, text: str) -> None:
        self.story.append(f"{(self.now - T0).total_seconds():7.1f} {text}")

    # the leader

    def new_leader(self) -> None:
        """Knows nothing but the state."""
        self.tell("a new leader takes over")
        self.heard.clear()
        self.leading_since = self.now
        self.dirty = DirtySet()
        self.dirty.mark_all(self.state)
        self.settle()

    def settle(self) -> None:
        """Pass after pass until there is nothing to look at, then look whether all is as it must be."""
        self._hear()
        self.dirty.mark_due(self.now)
        for _ in range(ROUNDS):
            self._commit(reconcile_nodes(self.state, self.heard, self.leading_since, self.now, GRACE))
            services = self.dirty.take(self.state, len(self.state.services))
            for service_id in services:
                decision = reconcile_service(self.state, self.state.services[service_id], self.now, self.around)
                self.dirty.look_again(service_id, decision.again_at)
                self._commit(decision)
            self._place()
            if not self.dirty:
                break
            self.dirty.take_networks()
            self.dirty.take_addresses()
        else:
            raise AssertionError(f"the deciders do not come to rest: {decision}")
        self._commit(reap_specs(self.state))
        self.laws(self)

    def next_look(self) -> datetime | None:
        """When time alone gives cause to decide again."""
        return self.dirty.next_due

    @property
    def around(self) -> Surroundings:
        return Surroundings(eligible=self._eligible, removal_order=self._removal_order, unfit=self._unfit)

    def _hear(self) -> None:
        self.heard |= {
            node_id: self.now
            for node_id, agent in self.agents.items()
            if not agent.is_silent and node_id in self.state.nodes
        }

    def _eligible(self, service: Service) -> frozenset[str]:
        return self._nodes_for(service.spec.task_template)

    def _nodes_for(self, template: TaskSpec) -> frozenset[str]:
        return frozenset(
            node.id
            for node in self.state.nodes.values()
            if node.state is NodeState.READY
            and node.spec.availability is Availability.ACTIVE
            and _fits(node, template.placement.constraints if template.placement else None)
        )

    def _removal_order(self, tasks: Sequence[Task]) -> Sequence[Task]:
        return sorted(tasks, key=lambda task: (-len(list(self.state.tasks_of_node(task.node_id))), task.id))

    def _unfit(self, task: Task) -> str | None:
        placement = self.state.spec_of(task).template.placement
        fits = _fits(self.state.nodes[task.node_id], placement.constraints if placement else None)
        return None if fits else "a constraint does not hold"

    def _place(self) -> None:
        for task in list(self.state.tasks.values()):
            if task.state >= TaskState.ASSIGNED or not task.is_wanted:
                continue
            nodes = self._nodes_for(self.state.spec_of(task).template)
            fitting = sorted(nodes & ({task.node_id} if task.node_id else self.state.nodes.keys()))
            if fitting:
                node_id = min(fitting, key=lambda node_id: len(list(self.state.tasks_of_node(node_id))))
                placed = task.model_copy(
                    update={"node_id": node_id, "status": TaskStatus(state=TaskState.ASSIGNED, timestamp=self.now)}
                )
                self.put(placed.model_copy(update={"reason": waiting_reason(self.state, placed, self.now)}))
            else:
                lacking = no_node("no node is eligible", {}, self.now, task.reason)
                refused = task.model_copy(update={"reason": lacking})
                reason = waiting_reason(self.state, refused, self.now)
                if reason != task.reason:
                    self.put(task.model_copy(update={"reason": reason}))

    def _commit(self, decision: Decision) -> None:
        for desire in decision.desire:
            task = self.state.tasks[desire.task_id]
            assert desire.desired_state > task.desired_state, f"{desire} says nothing new"
            self.tell(f"{task.id[-3:]} desired {desire.desired_state.label}: {desire.reason and desire.reason.text}")
            self.put(task.model_copy(update={"desired_state": desire.desired_state, "reason": desire.reason}))
        for word in decision.states:
            task = self.state.tasks[word.task_id]
            status = task.status.model_copy(update={"state": word.state, "message": word.message})
            self.put(task.model_copy(update={"status": status, "finished_at": self.now}))
        for waits in decision.reasons:
            self.put(self.state.tasks[waits.task_id].model_copy(update={"reason": waits.reason}))
        for adopted in decision.adopt:
            self.tell(f"{adopted.task_id[-3:]} adopted by v{adopted.spec_version}")
            task = self.state.tasks[adopted.task_id]
            self.put(task.model_copy(update={"spec_version": adopted.spec_version}))
        for new in decision.create:
            self._create(new)
        for value in decision.replace:
            self.tell(f"{value.id} {value.state.label if isinstance(value, Task) else ''}{_status_of(value)}")
            self.put(value)
            if isinstance(value, Node) and value.state is NodeState.DOWN:
                self.lost |= {id for id, held in self.agents[value.id].containers.items() if not is_pinned(held.task)}
        for dropped in decision.drop:
            self.tell(f"{dropped.task_id[-3:]} dropped")
            self.delete(Task, dropped.task_id)
        for service_id in decision.drop_services:
            self.delete(Service, service_id)
        for spec_id in decision.drop_specs:
            self.delete(type(self.state.specs[spec_id]), spec_id)
        for revision_id in decision.drop_revisions:
            self.delete(ServiceRevision, revision_id)

    def _create(self, new: NewTask) -> None:
        assert new.spec_version and f"{new.service_id}/{new.spec_version}" in self.state.specs, f"no wish for {new}"
        task = Task(
            id=self.mint(),
            created_at=self.now,
            updated_at=self.now,
            service_id=new.service_id,
            service_name=new.service_id,
            spec_version=new.spec_version,
            slot=new.slot,
            node_id=new.node_id,
            desired_state=new.desired_state,
            reason=new.reason or not_placed_yet(self.now),
            start_after=new.start_after,
            job_iteration=new.job_iteration,
        )
        self.tell(f"{task.id[-3:]} created: {new.service_id}.{new.slot or new.node_id} v{new.spec_version}")
        self.put(task)

    # agents

    def step_agents(self, *, crashes: float = 0.0) -> None:
        for node_id in sorted(self.agents):
            agent = self.agents[node_id]
            if not agent.is_silent:
                self._assign(node_id, agent)
            for container in list(agent.containers.values()):
                self._step(container, crashes)
            if not agent.is_silent:
                self._report(agent)

    def _assign(self, node_id: str, agent: Agent) -> None:
        told = {task.id: task for task in self.state.tasks_of_node(node_id) if task.state >= TaskState.ASSIGNED}
        for gone in agent.containers.keys() - told.keys():
            del agent.containers[gone]
        for task in told.values():
            if task.is_live or task.id in agent.containers:
                container = agent.containers.setdefault(task.id, Container(task))
                container.task = task
                if task.desired_state > TaskState.RUNNING and container.told_to_stop is None:
                    container.told_to_stop = self.now

    def _step(self, container: Container, crashes: float) -> None:
        if container.state.is_finished:
            return
        is_job = container.task.job_iteration is not None
        if container.task.desired_state > TaskState.RUNNING:
            if self.random.random() < 0.3:
                container.state = TaskState.SHUTDOWN
        elif self.random.random() < crashes:
            container.state = TaskState.FAILED if container.is_up else TaskState.REJECTED
        elif container.state is TaskState.RUNNING:
            if is_job and self.random.random() < 0.3:
                container.state = TaskState.COMPLETE
        elif container.state is not TaskState.READY or container.task.desired_state is TaskState.RUNNING:
            container.state = _NEXT[container.state]
            service = self.state.services.get(container.task.service_id)
            if container.state is TaskState.STARTING and service is not None:
                container.may_overlap = update_order(service) is UpdateOrder.START_FIRST

    def _note_completion(self, task: Task) -> None:
        """A job's run happens once, unless its node was lost and nobody could know."""
        run = (task.service_id, task.job_iteration, task.slot, "" if task.slot else task.node_id)
        assert run not in self.completed or task.id in self.lost, f"{run} is complete for a second time"
        if task.id not in self.lost:
            self.completed.add(run)

    def _report(self, agent: Agent) -> None:
        for container in agent.containers.values():
            task = self.state.tasks[container.task.id]
            if container.state == task.state:
                continue
            status = TaskStatus(timestamp=self.now, state=container.state, message=container.state.label)
            after = merged(task, TaskReport(task_id=task.id, status=status), self.now)
            if container.state is TaskState.COMPLETE and task.job_iteration is not None:
                self._note_completion(task)
            if after is not None:
                if after.state != task.state:
                    self.tell(f"{task.id[-3:]} {after.state.label} on {task.node_id}")
                self.put(after)


def _fits(node: Node, constraints: Sequence[str] | None) -> bool:
    """`zone==a` is all the language this model has."""
    return all(
        (node.spec.labels or {}).get(key) == value
        for key, value in (constraint.split("==") for constraint in constraints or ())
    )


def _status_of(value: AnyObject) -> str:
    if isinstance(value, Service):
        return f"{value.update and value.update.state}: {value.update and value.update.message}"
    return value.state.value if isinstance(value, Node) else ""
