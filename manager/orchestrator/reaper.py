"""What is no longer needed: tasks past the history limit, removed services and networks, wishes nobody runs."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from manager.objects import Cluster, Config, Network, ReasonCode, Secret, Service, Task
from manager.orchestrator.decision import Decision, DropTask, SetDesired, combined
from manager.orchestrator.keep import DROPS_AT_ONCE, View, policy_of
from manager.orchestrator.reasons import reason
from manager.orchestrator.restart import crashes
from manager.orchestrator.slots import Place, Slot, by_age, is_job, is_out_of_reach, is_placed
from manager.orchestrator.update import needed_for_update
from manager.state import State
from swarmpy.stack.names import STACK_LABEL
from swarmpy.states import TaskState

HISTORY_LIMIT = 5
STACK_KEPT = timedelta(days=1)


def history_limit(cluster: Cluster | None) -> int | None:
    """Finished tasks to keep in each slot; None is all of them (a negative setting)."""
    orchestration = cluster.spec.orchestration if cluster else None
    limit = orchestration.task_history_retention_limit if orchestration else None
    if limit is None:
        return HISTORY_LIMIT
    return limit if limit >= 0 else None


def reap_tasks(view: View, tasks: Iterable[Task]) -> Decision:
    """Records that go now: of removed tasks that have stopped, and history past the limit. `tasks` are all those of
    some places of the service."""
    limit = history_limit(view.state.cluster)
    gone: list[Task] = []
    places: dict[Place, list[Task]] = {}
    for task in tasks:
        if task.desired_state is not TaskState.REMOVE:
            places.setdefault(_place_of(task), []).append(task)
        elif has_stopped(view.state, task):
            gone.append(task)
    if limit is not None:
        for (number, node_id), kept in places.items():
            if len(kept) > limit:
                slot = Slot(view.service.id, number, node_id, tuple(sorted(kept, key=by_age)))
                gone += _past(view, slot, limit)
    return _dropped(gone)


def has_stopped(state: State, task: Task) -> bool:
    """Nothing of the task is left that anyone could still confirm. An agent that comes back removes what its
    assignments no longer name."""
    return task.state.is_finished or not is_placed(task) or is_out_of_reach(state, task.node_id)


def reap_removed_service(state: State, service: Service, now: datetime) -> Decision:
    """Stop the tasks of a removed service; when the last has gone, the record and its wishes go too."""
    tasks = list(state.tasks_of_service(service.id))
    why = reason(ReasonCode.SERVICE_REMOVED, "the service was removed", now)
    if tasks:
        stopped = [task for task in tasks if has_stopped(state, task)]
        asked = tuple(
            SetDesired(task.id, TaskState.REMOVE, why if task.is_wanted else task.reason)
            for task in tasks
            if task.desired_state is not TaskState.REMOVE and not has_stopped(state, task)
        )
        return combined([Decision(desire=asked), _dropped(stopped)])
    specs = tuple(spec.id for spec in state.specs_of_service(service.id))
    revisions = tuple(kept.id for kept in state.revisions_of_service(service.id))
    return Decision(drop_services=(service.id,), drop_specs=specs, drop_revisions=revisions)


def reap_specs(state: State) -> Decision:
    """Wishes that no task was made from and no service would go back to, and revisions of services that are gone."""
    needed = {f"{task.service_id}/{task.spec_version}" for task in state.tasks.values()}
    for service in state.services.values():
        needed |= {f"{service.id}/{service.spec_version}", f"{service.id}/{service.previous_spec_version}"}
    kept = [revision for revision in state.revisions.values() if revision.service_id in state.services]
    needed |= {f"{revision.service_id}/{revision.spec_version}" for revision in kept}
    return Decision(
        drop_specs=tuple(spec_id for spec_id in state.specs if spec_id not in needed),
        drop_revisions=tuple(
            revision.id for revision in state.revisions.values() if revision.service_id not in state.services
        ),
    )


def reap_stacks(state: State, now: datetime) -> Decision:
    """Revisions of stacks of which nothing is there any more, as when Docker's own command removed them. One that was
    deployed not long ago may be about to come."""
    if not state.stacks:
        return Decision()
    kept: tuple[Iterable[Service | Network | Secret | Config], ...] = (
        state.services.values(), state.networks.values(), state.secrets.values(), state.configs.values(),
    )  # fmt: skip
    there = {(value.spec.labels or {}).get(STACK_LABEL) for values in kept for value in values}
    there |= {revision.stack for revision in state.stacks.values() if now - revision.created_at < STACK_KEPT}
    return Decision(drop_stacks=tuple(id for id, revision in state.stacks.items() if revision.stack not in there))


def reap_networks(state: State, network_ids: Iterable[str]) -> Decision:
    """Removed networks that no task is on any more."""
    removed = {n for n in network_ids if (network := state.networks.get(n)) is not None and network.removed}
    if not removed:
        return Decision()
    used = {attachment.network_id for task in state.tasks.values() if task.is_live for attachment in task.networks}
    return Decision(drop_networks=tuple(sorted(removed - used)))


def _dropped(tasks: Iterable[Task]) -> Decision:
    """So many of each place at once as one write can take; the rest goes when these are gone."""
    places: Counter[Place] = Counter()
    drop = []
    for task in tasks:
        places[_place_of(task)] += 1
        if places[_place_of(task)] <= DROPS_AT_ONCE:
            drop.append(DropTask(task.id))
    return Decision(drop=tuple(drop))


def _place_of(task: Task) -> Place:
    return task.slot, "" if task.slot else task.node_id


def _past(view: View, slot: Slot, limit: int) -> list[Task]:
    """The oldest finished tasks above the limit, but none that a decision to come is made from."""
    finished = [task for task in slot.tasks if task.state.is_finished]
    surplus = len(finished) - limit
    if surplus <= 0:
        return []
    needed = _needed(view, slot)
    return [task for task in finished if task.id not in needed][:surplus]


def _needed(view: View, slot: Slot) -> set[str]:
    """The newest task, which the next attempt follows; crashes that count against the policy's attempts; failures
    that count in a running update; a job's completed run, or it would run twice."""
    last = slot.tasks[-1]
    policy = policy_of(view, last)
    counted = crashes(slot.tasks, policy, view.now) if policy.max_attempts else ()
    done = {
        task.id
        for task in slot.tasks
        if is_job(view.service)
        and task.state is TaskState.COMPLETE
        and task.job_iteration == view.service.job_iteration
    }
    return {last.id, *(task.id for task in counted), *needed_for_update(view.service, slot.tasks), *done}
