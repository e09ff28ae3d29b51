"""What tables say."""

from datetime import timedelta
from typing import Any

import pytest
from support.builders import T0

from swarmpy.cli.render import ago, clipped, memory, parse_time, table
from swarmpy.cli.slots import place_of
from swarmpy.cli.views import error_of, node_reasons, node_row, service_row, task_name, task_rows

Document = dict[str, Any]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "less than a second ago"), (1, "1 second ago"), (59, "59 seconds ago"), (60, "about a minute ago"),
        (125, "2 minutes ago"), (3600, "about an hour ago"), (7200, "2 hours ago"), (86400 * 2, "2 days ago"),
        (86400 * 15, "2 weeks ago"), (86400 * 70, "2 months ago"), (86400 * 800, "2 years ago"),
        (-5, "less than a second ago"),
    ],
)  # fmt: skip
def test_times_are_told_as_people_tell_them(seconds: float, text: str) -> None:
    assert ago(T0, T0 + timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    "text", ["2030-01-01T00:00:00Z", "2030-01-01T00:00:00.000000123Z", "2030-01-01T01:00:00.0+01:00"]
)
def test_times_of_the_api_are_read(text: str) -> None:
    assert parse_time(text) == T0


def test_columns_are_as_wide_as_they_must_be() -> None:
    assert table({"a": "A", "b": "LONG"}, [{"a": "wide one", "b": "x"}]) == "A          LONG\nwide one   x"


def test_texts_and_sizes_are_shortened() -> None:
    assert (clipped("abcdef", 4), clipped("abc", 4)) == ("abc…", "abc")
    assert [memory(size) for size in (512, 64 << 20, 3 << 29, 5 << 40)] == ["512B", "64MiB", "1.5GiB", "5TiB"]


def a_service(mode: Document, status: Document | None = None, **spec: Any) -> Document:
    template = {"ContainerSpec": {"Image": "web:1@sha256:abc"}, **spec}
    given = {"Name": "web", "Mode": mode, "TaskTemplate": template}
    return {"ID": "i" * 25, "Spec": given, "ServiceStatus": status or {"RunningTasks": 1, "DesiredTasks": 2}}


@pytest.mark.parametrize(
    ("service", "mode", "replicas"),
    [
        (a_service({"Replicated": {"Replicas": 2}}), "replicated", "1/2"),
        (a_service({"Global": {}}), "global", "1/2"),
        (a_service({"Replicated": {}}, Placement={"MaxReplicas": 1}), "replicated", "1/2 (max 1 per node)"),
        (a_service({"ReplicatedJob": {"TotalCompletions": 3}}, {"RunningTasks": 1, "DesiredTasks": 1,
                   "CompletedTasks": 2}), "replicated job", "1/1 (2/3 completed)"),
        (a_service({"GlobalJob": {}}, {"RunningTasks": 0, "DesiredTasks": 0, "CompletedTasks": 3}), "global job",
                   "0/0 (3/3 completed)"),
        (a_service({"GlobalJob": {}}, {"RunningTasks": 1, "DesiredTasks": 2, "CompletedTasks": 1}), "global job",
                   "1/2 (1/3 completed)"),
    ],
)  # fmt: skip
def test_a_service_in_a_row(service: Document, mode: str, replicas: str) -> None:
    row = service_row(service)
    assert (row["ID"], row["Mode"], row["Replicas"], row["Image"]) == ("i" * 12, mode, replicas, "web:1")


def test_published_ports_in_a_row() -> None:
    ports = [{"TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp"}, {"TargetPort": 53, "Protocol": "udp"}]
    assert service_row(a_service({}) | {"Endpoint": {"Ports": ports}})["Ports"] == "*:8080->80/tcp, 53/udp"


def a_task(task_id: str, slot: int, state: str, created: str, **fields: Any) -> Document:
    status = {"State": state, "Timestamp": "2030-01-01T00:00:00Z"} | fields.pop("status", {})
    return {
        "ID": task_id, "ServiceID": "s", "Slot": slot, "NodeID": "n", "CreatedAt": created,
        "DesiredState": "running", "Status": status, **fields,
    }  # fmt: skip


def test_earlier_attempts_stand_below_the_newest() -> None:
    tasks = [
        a_task("old", 2, "failed", "2030-01-01T00:00:01Z", status={"Err": "x" * 80}),
        a_task("ten", 10, "running", "2030-01-01T00:00:01Z"),
        a_task("new", 2, "running", "2030-01-01T00:00:02Z"),
    ]
    rows = task_rows(tasks, {"s": "web"}, {"n": "host"}, T0 + timedelta(seconds=5))
    assert [(row["ID"], row["Name"]) for row in rows] == [("new", "web.2"), ("old", " \\_ web.2"), ("ten", "web.10")]
    assert rows[0]["CurrentState"] == "Running 5 seconds ago"
    assert rows[0]["Node"] == "host"
    assert (len(rows[1]["Error"]), rows[1]["Error"][-1]) == (60, "…")


def test_runs_of_a_job_go_by_the_names_of_their_containers() -> None:
    job = {"JobIteration": {"Index": 0}}
    on_a_node = a_task("c", 0, "complete", "2030-01-01T00:00:01Z", **job)
    del on_a_node["Slot"]
    tasks = [on_a_node, *(a_task("ab"[slot], slot, "complete", "2030-01-01T00:00:01Z", **job) for slot in (0, 1))]
    assert [task_name(task, {"s": "job"}) for task in tasks] == ["job.n", "job.1", "job.2"]
    assert len({place_of(task) for task in tasks}) == 3


def test_a_waiting_task_shows_its_reason_where_others_show_errors() -> None:
    waiting = a_task("a", 1, "pending", "2030-01-01T00:00:01Z", Reason={"Code": "no-node", "Text": "no node fits"})
    running = a_task("b", 2, "running", "2030-01-01T00:00:01Z", Reason={"Code": "replaced", "Text": "old"})
    rows = task_rows([waiting, running], {"s": "web"}, {}, T0)
    assert [row["Error"] for row in rows] == ["no node fits", ""]


def test_an_error_of_many_lines_is_told_in_one() -> None:
    assert error_of({"Status": {"State": "failed", "Err": "unhealthy:\n  a\n\n  b\n"}}) == "unhealthy: a b"


def test_reasons_of_nodes_are_told_together_where_they_are_equal() -> None:
    reason = {"Nodes": {"1": "is drained", "2": "lacks 1 GiB", "3": "is drained"}}
    assert node_reasons(reason, {"1": "a", "3": "c"}) == ["2 nodes (a, c): is drained", "1 node (2): lacks 1 GiB"]
    assert node_reasons(None, {}) == []


def test_a_node_in_a_row() -> None:
    node = {
        "ID": "n" * 25, "Spec": {"Availability": "drain"}, "Status": {"State": "ready"},
        "Description": {"Hostname": "host", "Engine": {"EngineVersion": "20.10"}}, "ManagerStatus": {"Leader": True},
    }  # fmt: skip
    shown = list(node_row(node, "n" * 25).values())
    assert shown == ["n" * 12 + " *", "host", "Ready", "Drain", "Leader", "20.10", ""]
    lacking = node | {"Status": {"State": "ready", "Message": "nft is not installed: install nftables"}}
    assert node_row(lacking, "other")["Message"] == "nft is not installed: install nftables"
    worker = node | {"ManagerStatus": None}
    assert node_row(worker, "other")["ManagerStatus"] == ""
