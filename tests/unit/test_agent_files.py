"""A task's secrets and configs on its node: what is in them, where they lie, and that they lie on no disk."""

import asyncio
import base64
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.assignments import NODE_ID, an_assignment, desired

from agent.cache import memory_of
from agent.files import Files, chosen_folder, is_in_memory, write_whole
from agent.task.assign import AssignedSet, amended, from_full
from agent.task.container import create_request
from agent.task.files import FileContent, contents, wanted_files
from agent.task.machine import new_run
from agent.task.run import Phase
from agent.task.templates import NodeFacts
from swarmpy.errors import BadRequest, NotFound, Unavailable
from swarmpy.models.container import ConfigReference, ReferenceFile, SecretReference
from swarmpy.states import TaskState
from swarmpy.templating import FILE_FUNCTIONS
from swarmpy.wire import Changes, FileAssignment, Full, TaskAssignment

NODE = NodeFacts(hostname="host-a", os="linux", architecture="x86_64")
MEMORY = Path("/dev/shm")


def a_file(id: str = "s1", data: bytes = b"hunter2", **fields: Any) -> FileAssignment:
    fields = {"name": "key", "is_secret": True, "data": base64.b64encode(data).decode(), **fields}
    return FileAssignment(id=id, **fields)


def a_task(**fields: Any) -> TaskAssignment:
    secret = SecretReference(
        secret_id="s1", secret_name="key", file=ReferenceFile(name="key", uid="33", gid="44", mode=0o440)
    )
    config = ConfigReference(config_id="c1", config_name="conf", file=ReferenceFile(name="etc/app.conf"))
    return an_assignment(3, **{"secrets": (secret,), "configs": (config,), **fields})


def filled(template: bytes, *, is_secret: bool = False, **fields: Any) -> str:
    known = {"s1": a_file(), "c1": a_file("c1", template, is_template=True, is_secret=is_secret)}
    return contents(a_task(**fields), NODE, known)[1].data.decode()


@pytest.fixture
def place() -> Path:
    return MEMORY / f"swarmpy.test.{os.getpid()}"


def test_relative_targets_lie_where_docker_puts_them() -> None:
    secret, config = wanted_files(a_task())

    assert (secret.target, secret.uid, secret.gid, secret.mode) == ("/run/secrets/key", 33, 44, 0o440)
    assert (config.target, config.uid, config.gid, config.mode) == ("/etc/app.conf", 0, 0, 0o444)
    absolute = SecretReference(secret_id="s1", file=ReferenceFile(name="/srv/key"))
    assert wanted_files(a_task(secrets=(absolute,)))[0].target == "/srv/key"


def test_each_is_mounted_alone_and_read_only() -> None:
    task = a_task()
    mounts = create_request(task, NODE, {}, "/run/files").config["HostConfig"]["Mounts"]

    assert mounts == [
        {"Type": "bind", "Source": f"/run/files/{task.id}/0", "Target": "/run/secrets/key", "ReadOnly": True},
        {"Type": "bind", "Source": f"/run/files/{task.id}/1", "Target": "/etc/app.conf", "ReadOnly": True},
    ]


@pytest.mark.parametrize(
    ("template", "becomes"),
    [
        (b"{{.Service.Name}}.{{.Task.Slot}} on {{ .Node.Hostname }}", "web.3 on host-a"),
        (b'level={{ env "LEVEL" }}', "level=info-3"),
        (b'password={{ secret "key" }}', "password=hunter2"),
        (b"{{ secret `/run/secrets/key` }}", "hunter2"),
        (b"nothing to fill in", "nothing to fill in"),
    ],
)
def test_a_template_is_filled_in_for_the_task(template: bytes, becomes: str) -> None:
    assert filled(template, env=("LEVEL=info-{{.Task.Slot}}",)) == becomes


def test_what_is_no_template_keeps_its_braces() -> None:
    known = {"s1": a_file(data=b"{{.Task.Slot}}\xff"), "c1": a_file("c1")}

    assert contents(a_task(), NODE, known)[0].data == b"{{.Task.Slot}}\xff"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (b'{{ env "NOT" }}', "asks for the variable NOT"),
        (b'{{ secret "nowhere" }}', "asks for the secret at nowhere"),
        (b'{{ config "key" }}', "asks for the config at key"),
        (b"{{ if .Task.Slot }}", "more than a field"),
        (b"\xff{{.Task.Slot}}", "UTF-8"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused(template: bytes, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        filled(template)


@pytest.mark.parametrize("name", FILE_FUNCTIONS)
def test_every_function_that_is_admitted_is_one_that_nodes_have(name: str) -> None:
    with pytest.raises(BadRequest, match="its template asks for the"):
        filled(f'{{{{ {name} "nowhere" }}}}'.encode())


def test_the_refusal_of_a_secrets_template_does_not_quote_it() -> None:
    secret = a_file(data=b"{{ hunter2 }}", is_template=True)
    with pytest.raises(BadRequest) as refusal:
        contents(a_task(), NODE, {"s1": secret, "c1": a_file("c1")})
    assert "hunter2" not in str(refusal.value)
    assert "hunter2" not in repr(contents(a_task(), NODE, {"s1": a_file(), "c1": a_file("c1")}))


def test_one_that_was_not_told_is_named() -> None:
    with pytest.raises(NotFound, match="config conf is not there"):
        contents(a_task(), NODE, {"s1": a_file()})


def test_changes_add_files_and_take_them_away() -> None:
    held = from_full(Full(revision=1, tasks=(), networks=(), files=(a_file("a"), a_file("b"))))
    now = amended(held, Changes(after=1, revision=2, files=(a_file("c"),), dropped_files=("a",)))

    assert set(now.files) == {"b", "c"}
    assert a_file().data not in repr(now)


def test_no_value_is_remembered_on_disk_and_the_task_waits_for_the_managers_word() -> None:
    task = a_task()
    memory = memory_of(NODE_ID, AssignedSet(5, {task.id: task}, {}, {"s1": a_file(), "c1": a_file("c1")}), [])

    assert a_file().data not in memory.model_dump_json()
    assert memory.assigned().tasks == {}


def test_files_stay_while_their_task_may_run_again() -> None:
    run = new_run(a_task(), datetime(2030, 1, 1, tzinfo=UTC))

    assert replace(run, phase=Phase.RESTING).needs_files
    assert replace(run, phase=Phase.DONE).needs_files
    stopped = replace(run, phase=Phase.DONE, assignment=desired(run.assignment, TaskState.SHUTDOWN))
    assert not stopped.needs_files
    assert not replace(run, phase=Phase.GONE).needs_files


async def test_files_are_laid_out_in_memory_for_root_alone_and_removed(place: Path) -> None:
    own = ReferenceFile(name="key", uid=str(os.getuid()), gid=str(os.getgid()), mode=0o440)
    files, task = Files((place,)), a_task(secrets=(SecretReference(secret_id="s1", file=own),))
    files.learn(AssignedSet(1, {task.id: task}, {}, {"s1": a_file(), "c1": a_file("c1", b"conf")}))

    assert await files.furnish(task, NODE) == str(place)
    assert oct(place.stat().st_mode)[-3:] == oct((place / task.id).stat().st_mode)[-3:] == "700"
    secret = (place / task.id / "0").stat()
    assert (secret.st_uid, secret.st_gid, oct(secret.st_mode)[-3:]) == (os.getuid(), os.getgid(), "440")
    assert (place / task.id / "1").read_bytes() == b"conf"

    await files.keep_only(lambda task_id: task_id == task.id)
    assert (place / task.id).is_dir()
    # As an agent that was started anew does it.
    await Files((place,)).keep_only(lambda task_id: False)
    assert not place.exists()


async def test_tasks_furnished_at_once_each_learn_their_own_place(place: Path) -> None:
    other = place.with_name(f"{place.name}-2")
    own = ReferenceFile(name="key", uid=str(os.getuid()), gid=str(os.getgid()))
    one = a_task(secrets=(SecretReference(secret_id="s1", file=own),), configs=())
    files, tasks = Files((place, other)), [one.model_copy(update={"id": id}) for id in ("old", "new")]
    files.learn(AssignedSet(1, {}, {}, {"s1": a_file(), "c1": a_file("c1")}))
    # Laid out by an earlier agent, when the first place was not to be had.
    write_whole(chosen_folder((other,)) / "old", ())
    try:
        assert await asyncio.gather(*(files.furnish(task, NODE) for task in tasks)) == [str(other), str(place)]
    finally:
        await files.keep_only(lambda task_id: False)


async def test_a_task_without_files_has_no_place(place: Path) -> None:
    assert await Files((place,)).furnish(a_task(secrets=(), configs=()), NODE) == ""
    assert not place.exists()


async def test_before_a_manager_is_heard_a_task_waits_and_after_it_is_refused(place: Path) -> None:
    files = Files((place,))
    with pytest.raises(Unavailable, match="waiting for a manager"):
        await files.furnish(a_task(), NODE)
    files.learn(AssignedSet(1, {}, {}))
    with pytest.raises(BadRequest, match="secret key is not there"):
        await files.furnish(a_task(), NODE)
    assert not place.exists()


async def test_a_node_with_no_place_in_memory_refuses(tmp_path: Path) -> None:
    if is_in_memory(tmp_path):
        pytest.skip("the tests' own folder lies in memory")
    files = Files((tmp_path / "secrets",))
    files.learn(AssignedSet(1, {}, {}, {"s1": a_file(), "c1": a_file("c1")}))
    with pytest.raises(BadRequest, match="no place in memory"):
        await files.furnish(a_task(), NODE)


def test_a_folder_that_others_may_read_is_not_used(place: Path) -> None:
    place.mkdir()
    place.chmod(0o755)
    try:
        with pytest.raises(BadRequest, match="no place in memory"):
            chosen_folder((place,))
    finally:
        place.rmdir()


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    twice = FileContent("0", b"x", os.getuid(), os.getgid(), 0o444)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "task", (twice, twice))
    assert not (tmp_path / "task").exists()
