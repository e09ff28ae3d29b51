"""What the agent remembers over its own end."""

import stat
from ipaddress import IPv4Address
from pathlib import Path

from support.assignments import NODE_ID, a_network, an_assignment

from agent.cache import FILE_NAME, Cache, Memory, memory_of
from agent.task.assign import AssignedSet
from agent.task.records import TaskRecord
from swarmpy.clock import ManualClock
from swarmpy.models.task import TaskStatus
from swarmpy.states import TaskState


def cache_in(folder: Path, node_id: str = NODE_ID) -> Cache:
    return Cache(folder, node_id, ManualClock())


async def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    task, network = an_assignment(networks=(a_network().id,)), a_network()
    record = TaskRecord(task_id=task.id, status=TaskStatus(state=TaskState.RUNNING), container_id="c1", restarts=2)
    assigned = AssignedSet(5, {task.id: task}, {network.id: network})
    memory = memory_of(NODE_ID, assigned, [record], resting={IPv4Address("10.200.1.9"): 7.25})

    await cache_in(tmp_path / "agent").save(memory)

    loaded = cache_in(tmp_path / "agent").load()
    assert loaded == memory
    assert dict(loaded.assigned().tasks) == {task.id: task}
    assert dict(loaded.assigned().networks) == {network.id: network}


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    await cache_in(tmp_path).save(Memory(node_id=NODE_ID))

    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


async def test_registry_credentials_are_not_written_and_the_task_waits_for_them(tmp_path: Path) -> None:
    fresh, begun = an_assignment(1, pull_auth="c2VjcmV0"), an_assignment(2, pull_auth="c2VjcmV0")
    record = TaskRecord(task_id=begun.id, status=TaskStatus(state=TaskState.RUNNING), container_id="c1")
    memory = memory_of(NODE_ID, AssignedSet(5, {fresh.id: fresh, begun.id: begun}, {}), [record])

    await cache_in(tmp_path).save(memory)

    assert b"c2VjcmV0" not in (tmp_path / FILE_NAME).read_bytes()
    assert set(cache_in(tmp_path).load().assigned().tasks) == {begun.id}


async def test_a_torn_file_is_as_good_as_none(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    await cache.save(memory_of(NODE_ID, AssignedSet(1, {"a": an_assignment()}, {}), []))
    whole = (tmp_path / FILE_NAME).read_bytes()

    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        (tmp_path / FILE_NAME).write_bytes(whole[:size])
        assert cache.load() == Memory(node_id=NODE_ID)


def test_no_file_is_no_memory(tmp_path: Path) -> None:
    assert cache_in(tmp_path).load() == Memory(node_id=NODE_ID)


async def test_the_memory_of_another_node_is_not_ours(tmp_path: Path) -> None:
    await cache_in(tmp_path).save(memory_of(NODE_ID, AssignedSet(1, {"a": an_assignment()}, {}), []))

    assert cache_in(tmp_path, "other").load() == Memory(node_id="other")


async def test_what_a_write_was_interrupted_at_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).with_suffix(".new").write_bytes(b"half")

    await cache_in(tmp_path).save(Memory(node_id=NODE_ID))

    assert cache_in(tmp_path).load() == Memory(node_id=NODE_ID)
