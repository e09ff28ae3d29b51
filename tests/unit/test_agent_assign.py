"""What a manager assigns becomes events for what is held."""

import pytest
from support.assignments import a_network, an_assignment, desired

from agent.task.assign import AssignedSet, amended, difference, from_full
from agent.task.events import Assigned, Dropped
from swarmpy.errors import Conflict
from swarmpy.states import TaskState
from swarmpy.wire import Changes, Full, TaskAssignment


def assigned(*tasks: TaskAssignment) -> AssignedSet:
    return AssignedSet(1, {task.id: task for task in tasks}, {})


def test_changes_amend_the_set_that_they_follow() -> None:
    one, two, three = an_assignment(1), an_assignment(2), an_assignment(3)
    old, new = a_network(1), a_network(2)
    known = from_full(Full(revision=7, tasks=(one, two), networks=(old,)))
    stopped = desired(two, TaskState.SHUTDOWN)

    after = amended(
        known,
        Changes(after=7, revision=9, tasks=(stopped, three), dropped_tasks=(one.id,),
                networks=(new,), dropped_networks=(old.id,)),
    )  # fmt: skip

    assert after.revision == 9
    assert dict(after.tasks) == {two.id: stopped, three.id: three}
    assert dict(after.networks) == {new.id: new}


def test_changes_that_leave_a_gap_are_not_applied() -> None:
    with pytest.raises(Conflict, match="follow revision 8, and this node is at 7"):
        amended(AssignedSet(7, {}, {}), Changes(after=8, revision=9))


def test_the_difference_is_what_is_new_what_changed_and_what_is_gone() -> None:
    kept, changed, gone, new = (an_assignment(number) for number in range(1, 5))
    stopped = desired(changed, TaskState.SHUTDOWN)
    held = {task.id: task for task in (kept, changed, gone)}

    change = difference(held, assigned(kept, stopped, new), dropping=())

    assert change.new == (new,)
    assert change.events == ((changed.id, Assigned(stopped)), (gone.id, Dropped()))


def test_a_task_that_is_leaving_is_not_dropped_twice() -> None:
    gone = an_assignment()

    assert difference({gone.id: gone}, assigned(), dropping=(gone.id,)).events == ()


def test_a_desired_state_never_goes_back() -> None:
    task = an_assignment(desired=TaskState.SHUTDOWN)

    assert difference({task.id: task}, assigned(desired(task, TaskState.RUNNING)), dropping=()).events == ()
