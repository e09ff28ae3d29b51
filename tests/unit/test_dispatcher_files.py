"""A node is told the secrets and configs that its own tasks need, as long as they do, and no others."""

import base64
from dataclasses import replace
from itertools import pairwise

import pytest
from support.picture import NOW, a_node, a_service, a_task, a_wish, picture

from manager.dispatcher.assignments import AssignmentSet, assignment_set, changes_between, revised
from manager.dispatcher.files import opened
from manager.objects import AnyObject, Config, Secret
from swarmpy.models.base import Driver
from swarmpy.models.config import ConfigSpec
from swarmpy.models.container import ConfigReference, ContainerSpec, ReferenceFile, SecretReference
from swarmpy.models.secret import SecretSpec
from swarmpy.models.task import TaskSpec
from swarmpy.states import TaskState

TIMES = {"created_at": NOW, "updated_at": NOW}
SECRET = Secret(id="s1", spec=SecretSpec(name="key"), sealed="sealed key", **TIMES)
OTHER = Secret(id="s2", spec=SecretSpec(name="other"), sealed="sealed other", **TIMES)
CONFIG = Config(id="c1", spec=ConfigSpec(name="conf", templating=Driver(name="golang")), sealed="sealed conf", **TIMES)
GIVEN = TaskSpec(
    container_spec=ContainerSpec(
        image="app:1",
        secrets=(SecretReference(secret_id="s1", secret_name="key", file=ReferenceFile(name="key")),),
        configs=(ConfigReference(config_id="c1", config_name="conf", file=ReferenceFile(name="conf")),),
    )
)


def no_credential(sealed: str) -> None:
    return None


def unsealed(sealed: str) -> bytes | None:
    return sealed.removeprefix("sealed ").encode()


def told(node: str, *tasks: AnyObject) -> AssignmentSet:
    state = picture(a_node(), a_service(), a_wish(template=GIVEN), SECRET, OTHER, CONFIG, *tasks)
    return assignment_set(state, node, no_credential)


def test_a_node_is_told_what_its_tasks_are_given_and_another_is_told_nothing() -> None:
    assert told("n1", a_task()).files == {"s1", "c1"}
    assert told("n2", a_task()).files == set()


@pytest.mark.parametrize(
    ("state", "desired", "needed"),
    [
        (TaskState.ASSIGNED, TaskState.READY, True),
        (TaskState.RUNNING, TaskState.RUNNING, True),
        (TaskState.PREPARING, TaskState.COMPLETE, True),
        (TaskState.RUNNING, TaskState.SHUTDOWN, False),
        (TaskState.FAILED, TaskState.RUNNING, False),
        (TaskState.PENDING, TaskState.RUNNING, False),
    ],
)
def test_only_a_task_that_is_to_run_needs_them(state: TaskState, desired: TaskState, needed: bool) -> None:
    assert told("n1", a_task(state=state, desired_state=desired)).files == ({"s1", "c1"} if needed else set())


def test_the_whole_set_carries_them_opened() -> None:
    state = picture(a_node(), a_service(), a_wish(template=GIVEN), SECRET, OTHER, CONFIG, a_task())
    full = assignment_set(state, "n1", no_credential).as_full(7, lambda ids: opened(state, ids, unsealed))

    config, secret = full.files
    assert (config.name, config.is_secret, config.is_template) == ("conf", False, True)
    assert (secret.name, secret.is_secret, base64.b64decode(secret.data)) == ("key", True, b"key")
    assert secret.data not in repr(full)


def test_they_come_with_the_first_task_that_needs_them_and_go_with_the_last() -> None:
    without = picture(a_node(), a_service(), a_wish(template=GIVEN), SECRET, CONFIG)
    one = picture(a_node(), a_service(), a_wish(template=GIVEN), SECRET, CONFIG, a_task("t1"))
    two = picture(a_node(), a_service(), a_wish(template=GIVEN), SECRET, CONFIG, a_task("t1"), a_task("t2"))
    sets = [assignment_set(without, "n1", no_credential)]
    for state in (one, two, one, without):
        sets.append(revised(sets[-1], state, "n1", ["t1", "t2"], [], no_credential))

    news = [
        changes_between(before, now, 1, 2, lambda ids: opened(two, ids, unsealed)) for before, now in pairwise(sets)
    ]
    assert [(len(change.files), change.dropped_files) for change in news if change is not None] == [
        (2, ()), (0, ()), (0, ()), (0, ("c1", "s1")),
    ]  # fmt: skip


def test_a_task_without_files_leaves_those_of_others_unasked() -> None:
    plain = a_wish("plain", template=TaskSpec(container_spec=ContainerSpec(image="app:1")))
    tasks = a_task(), a_task("t2", service="plain")
    state = picture(a_node(), a_service(), a_wish(template=GIVEN), plain, SECRET, CONFIG, *tasks)
    known = replace(assignment_set(picture(a_node()), "n1", no_credential), files=frozenset({"s1"}))

    assert revised(known, state, "n1", ["t2"], [], no_credential).files is known.files
    assert revised(known, state, "n1", ["t1"], [], no_credential).files == {"s1", "c1"}


def test_what_is_gone_or_cannot_be_read_is_left_out() -> None:
    state = picture(SECRET, CONFIG)

    assert opened(state, {"s1", "nowhere"}, lambda sealed: None) == ()
