"""`swarmpy lab`: nodes that are machines of their own, can be broken one by one, and leave nothing behind."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest
from support.images import BUSYBOX
from support.lab import Lab, lab, traces
from support.node import run, wait_until

from swarmpy.lab import state
from swarmpy.lab.plan import DATA_ROOT, RUN_ROOT

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

BAD_REQUEST, NOT_FOUND, CONFLICT, UNAVAILABLE = 2, 4, 5, 6
BOTH = ("node-1", "node-2")


@pytest.fixture(scope="module")
def two() -> Iterator[Lab]:
    """A manager and a worker, both ready, with the test image. A test leaves them running and connected."""
    with lab(nodes=2) as made:
        made.load()
        yield made


@pytest.fixture
def unmade() -> Iterator[Lab]:
    """A lab that a test makes, or does not."""
    one = Lab()
    yield one
    one.down()


def states(two: Lab) -> dict[str, str]:
    return {name: node.state for name, node in two.nodes().items()}


def cluster_nodes(two: Lab) -> dict[str, str]:
    """Host name -> status, as the manager has it."""
    rows = two.swarmpy("node-1", "node", "ls", "--format", "json").out.splitlines()
    return {row["Hostname"]: row["Status"] for row in map(json.loads, rows)}


# what a node is


def test_each_node_has_an_engine_a_name_and_processes_of_its_own(two: Lab) -> None:
    names = {name: two.docker(name, "info", "--format", "{{.Name}} {{.ID}}").out.split() for name in BOTH}
    assert [names[name][0] for name in BOTH] == list(BOTH)
    assert names["node-1"][1] != names["node-2"][1]
    assert [two.execute(name, "hostname").out.strip() for name in BOTH] == list(BOTH)
    assert two.execute("node-2", "cat", "/proc/1/cmdline").out.count("swarmpy.lab.init") == 1


def test_the_nodes_are_one_cluster(two: Lab) -> None:
    assert cluster_nodes(two) == {"node-1": "Ready", "node-2": "Ready"}
    assert {name: node.role for name, node in two.nodes().items()} == {"node-1": "manager", "node-2": "worker"}


def test_the_list_tells_the_pid_of_every_process(two: Lab) -> None:
    assert two.listed() == two.nodes()
    assert set(two.node("node-1").processes) == {"init", "dockerd", "supervisor", "etcd", "manager", "agent"}
    assert set(two.node("node-2").processes) == {"init", "dockerd", "supervisor", "agent"}
    for name in BOTH:
        for process, pid in two.node(name).processes.items():
            words = Path(f"/proc/{pid}/cmdline").read_text()
            assert {"init": "lab.init", "supervisor": "swarmpy.cli"}.get(process, process) in words


def test_the_list_is_a_table_for_people(two: Lab) -> None:
    heading, first, second = two.must("ls").out.splitlines()
    assert heading.split() == ["NODE", "ADDRESS", "ROLE", "STATE", "CUT", "SOCKET"]
    assert first.split()[:5] == ["node-1", two.node("node-1").address, "manager", "running", "-"]
    assert second.split() == ["node-2", two.node("node-2").address, "worker", "running", "-"]


def test_nodes_reach_each_other_and_the_machine_reaches_them(two: Lab) -> None:
    assert two.can_reach("node-1", "node-2")
    assert two.can_reach("node-2", "node-1")
    server = ("httpd", "-f", "-p", "8080", "-h", "/www")
    two.docker("node-2", "run", "-d", "--network", "host", "--name", "web", BUSYBOX, *server)
    page = wait_until("the page answers", lambda: fetched(f"http://{two.node('node-2').address}:8080/"))
    assert page == "hello\n"
    two.docker("node-2", "rm", "-f", "web")


def fetched(url: str) -> str:
    try:
        with closing(urlopen(url, timeout=2)) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


# commands in a node


def test_a_command_in_a_node_is_told_of_its_engine_and_its_manager(two: Lab) -> None:
    assert two.execute("node-2", "docker", "info", "--format", "{{.Name}}").out == "node-2\n"
    assert "node-2" in two.execute("node-1", "swarmpy", "node", "ls").out
    assert two.execute("node-2", "sh", "-c", "echo $SWARMPY_HOST").out == "\n"


def test_the_exit_code_of_a_command_in_a_node_is_passed_on(two: Lab) -> None:
    assert two.execute("node-1", "sh", "-c", "exit 7").code == 7
    assert two.execute("node-1", "no-such-program").code == 127


def test_a_terminal_is_one_in_the_node_too(two: Lab) -> None:
    ours, theirs = pty.openpty()
    command = two.argv("exec", "node-1", "--", "test", "-t", "0")
    try:
        assert subprocess.run(command, stdin=theirs, timeout=30, check=False).returncode == 0
    finally:
        os.close(ours)
        os.close(theirs)
    assert subprocess.run(command, stdin=subprocess.DEVNULL, timeout=30, check=False).returncode == 1


def test_a_look_up_of_a_name_fails_at_once(two: Lab) -> None:
    assert two.execute("node-1", "cat", "/etc/resolv.conf").out == "nameserver 127.0.0.1\n"
    assert two.execute("node-1", "getent", "hosts", "registry.example", limit=5).code != 0


# breaking


def test_a_node_that_is_cut_off_is_silent_and_lives_on(two: Lab) -> None:
    before = two.node("node-2").processes
    two.cut("node-2")
    assert two.node("node-2").cut
    assert not two.can_reach("node-1", "node-2")
    assert not two.can_reach("node-2", "node-1")
    assert two.execute("node-2", "busybox", "ping", "-c", "1", "127.0.0.1").code == 0
    assert "LOWER_UP" in two.execute("node-2", "ip", "link", "show", "eth0").out, "it does not see why it hears nothing"
    wait_until("the cluster misses it", lambda: cluster_nodes(two)["node-2"] == "Down")

    two.heal("node-2")

    assert two.can_reach("node-1", "node-2")
    wait_until("the cluster has it again", lambda: cluster_nodes(two)["node-2"] == "Ready")
    assert two.node("node-2").processes == before


def test_a_node_that_loses_power_keeps_nothing_but_its_disk(two: Lab) -> None:
    id_before = two.docker("node-2", "info", "--format", "{{.ID}}").out
    two.docker("node-2", "run", "-d", "--name", "sleeper", BUSYBOX, "sleep", "424217")
    assert processes_with("sleep\x00424217") != []

    two.kill("node-2")

    assert (two.node("node-2").state, two.node("node-2").processes) == ("off", {})
    assert processes_with("sleep\x00424217") == []
    assert processes_with(f"/{two.name}/node-2/") == []
    assert not two.can_reach("node-1", "node-2")
    assert two.execute("node-2", "true").code == UNAVAILABLE
    wait_until("the cluster misses it", lambda: cluster_nodes(two)["node-2"] == "Down")

    two.start("node-2")

    assert states(two) == {"node-1": "running", "node-2": "running"}
    assert two.docker("node-2", "info", "--format", "{{.ID}}").out == id_before
    assert two.docker("node-2", "inspect", "--format", "{{.State.Status}}", "sleeper").out == "exited\n"
    wait_until("the cluster has it again", lambda: cluster_nodes(two) == {"node-1": "Ready", "node-2": "Ready"})
    two.docker("node-2", "rm", "sleeper")


def processes_with(words: str) -> list[str]:
    return [found.parent.name for found in Path("/proc").glob("[0-9]*/cmdline") if words in read(found) and ours(found)]


def ours(cmdline: Path) -> bool:
    """No command of the test itself, which may have the words in it."""
    return cmdline.parent.name != str(os.getpid())


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def test_a_node_that_was_cut_off_still_is_when_its_power_is_back(two: Lab) -> None:
    two.cut("node-2")
    two.kill("node-2")
    two.start("node-2", wait=False)
    assert two.node("node-2").cut
    assert not two.can_reach("node-1", "node-2")
    two.heal("node-2")
    two.start("node-2")
    assert two.can_reach("node-1", "node-2")


def test_a_paused_node_stands_still_and_its_engine_does_not(two: Lab) -> None:
    two.pause("node-1")
    assert states(two) == {"node-1": "paused", "node-2": "running"}
    assert two.docker("node-1", "info", "--format", "{{.Name}}").out == "node-1\n"

    two.resume("node-1")

    assert states(two) == {"node-1": "running", "node-2": "running"}
    wait_until("the manager answers", lambda: cluster_nodes(two) == {"node-1": "Ready", "node-2": "Ready"})


@pytest.mark.parametrize("process", ["manager", "agent", "etcd"])
def test_a_killed_process_comes_back(two: Lab, process: str) -> None:
    two.kill_process("node-1", process)
    wait_until("the cluster is whole", lambda: cluster_nodes(two) == {"node-1": "Ready", "node-2": "Ready"})


@pytest.mark.parametrize(("process", "state"), [("supervisor", "swarmpy down"), ("dockerd", "engine down")])
def test_what_nobody_starts_again_is_started_by_hand(two: Lab, process: str, state: str) -> None:
    os.kill(two.node("node-2").processes[process], signal.SIGKILL)
    wait_until("it is told", lambda: two.node("node-2").state == state)

    two.start("node-2")

    assert two.node("node-2").state == "running"


# images, logs, more nodes


def test_an_image_is_loaded_into_every_engine(two: Lab, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    two.docker("node-1", "tag", BUSYBOX, "lab-test/other:1")
    two.docker("node-1", "save", "--output", str(archive), "lab-test/other:1")
    two.must("load", "--tar", str(archive))
    for name in BOTH:
        assert two.docker(name, "run", "--rm", "lab-test/other:1", "echo", "here").out == "here\n"


def test_the_log_of_a_node_and_of_its_engine(two: Lab) -> None:
    assert "(node-2) is ready" in two.log("node-2")
    assert two.command("logs", "--engine", "node-2").code == 0


def test_a_lab_that_is_whole_is_left_alone_and_a_different_wish_refused(two: Lab) -> None:
    before = two.nodes()
    two.must("up")
    assert two.nodes() == before
    refused = two.command("up", "--nodes", "3")
    assert (refused.code, "is there with 2 nodes" in refused.err) == (CONFLICT, True), refused.err


def test_a_lab_is_completed(two: Lab) -> None:
    two.kill(*BOTH)
    two.must("up")
    assert states(two) == {"node-1": "running", "node-2": "running"}


def test_nodes_are_added_as_workers_and_as_managers(unmade: Lab) -> None:
    unmade.up(nodes=1)
    unmade.add()
    unmade.add(nodes=2, manager=True)
    assert {name: node.role for name, node in unmade.nodes().items()} == {
        "node-1": "manager", "node-2": "worker", "node-3": "manager", "node-4": "manager",
    }  # fmt: skip
    assert set(cluster_nodes(unmade).values()) == {"Ready"}


# leaving nothing


def test_a_lab_that_is_removed_leaves_nothing(unmade: Lab) -> None:
    unmade.up(nodes=2)
    made = state.find(unmade.name)
    assert made is not None
    assert made.uplink in links()
    unmade.load()
    unmade.docker("node-2", "run", "-d", BUSYBOX, "sleep", "1000")
    unmade.kill("node-1")
    assert len(traces(unmade.name)) > 10

    assert unmade.must("down").out == f"lab {unmade.name} is removed\n"

    assert traces(unmade.name) == []
    assert made.uplink not in links()
    assert unmade.must("down").out == f"there is no lab {unmade.name}\n"


def links() -> set[str]:
    """Those of labs, on the machine's side; others may come and go."""
    return {path.name for path in Path("/sys/class/net").glob("swarmpy-lab*")}


MOMENTS: dict[str, Callable[[Lab], bool]] = {
    "its record is written": lambda it: (DATA_ROOT / it.name / "lab.json").exists(),
    "it has a node's namespace": lambda it: Path(f"/run/netns/swarmpy-{it.name}-node-1").exists(),
    "its first engine is there": lambda it: (RUN_ROOT / it.name / "node-1" / "docker.sock").exists(),
    "its second engine runs": lambda it: (RUN_ROOT / it.name / "node-2" / "docker.sock").exists(),
    "its manager serves": lambda it: (RUN_ROOT / it.name / "node-1" / "swarmpy" / "swarmpy.sock").exists(),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
def test_a_lab_whose_making_was_ended_is_removed_all_the_same(unmade: Lab, moment: str, number: signal.Signals) -> None:
    with subprocess.Popen(unmade.argv("up", "--nodes", "2"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as making:
        wait_until(moment, lambda: MOMENTS[moment](unmade))
        making.send_signal(number)
        making.communicate(timeout=30)

    unmade.down()

    assert traces(unmade.name) == []


def test_a_lab_whose_making_was_ended_is_completed(unmade: Lab) -> None:
    with subprocess.Popen(unmade.argv("up", "--nodes", "2"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as making:
        wait_until("a manager serves", lambda: MOMENTS["its manager serves"](unmade))
        making.kill()
        making.communicate(timeout=30)

    unmade.must("up")

    assert states(unmade) == {"node-1": "running", "node-2": "running"}
    wait_until("both are ready", lambda: cluster_nodes(unmade) == {"node-1": "Ready", "node-2": "Ready"})


def test_a_lab_without_its_record_is_removed_too(unmade: Lab) -> None:
    unmade.up(nodes=1)
    (DATA_ROOT / unmade.name / "lab.json").write_text("{")
    unmade.down()
    assert traces(unmade.name) == []


def test_a_lab_whose_namespaces_lost_their_names_is_removed_too(unmade: Lab) -> None:
    unmade.up(nodes=1)
    run(["ip", "netns", "del", f"swarmpy-{unmade.name}-node-1"], limit=10)
    unmade.down()
    assert traces(unmade.name) == []


def test_two_labs_are_apart(two: Lab, unmade: Lab) -> None:
    unmade.up(nodes=1)
    assert unmade.node("node-1").address != two.node("node-1").address
    unmade.down()
    assert states(two) == {"node-1": "running", "node-2": "running"}
    assert two.can_reach("node-1", "node-2")


# wishes that cannot be


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("up", "--nodes", "2", "--managers", "3"), BAD_REQUEST, "--managers 3: there are only --nodes 2"),
        (("up", "--nodes", "0"), BAD_REQUEST, "a lab has between 1 and 100 nodes"),
        (("ls",), NOT_FOUND, "there is no lab"),
        (("cut", "node-1"), NOT_FOUND, "there is no lab"),
        (("add",), NOT_FOUND, "there is no lab"),
        (("exec", "node-1", "--", "true"), NOT_FOUND, "there is no lab"),
    ],
)
def test_a_wish_that_cannot_be_is_told_and_leaves_nothing(
    unmade: Lab, words: tuple[str, ...], code: int, sentence: str
) -> None:
    refused = unmade.command(*words)
    assert (refused.code, sentence in refused.err) == (code, True), refused.err
    assert traces(unmade.name) == []


def test_a_node_that_is_not_there(two: Lab) -> None:
    refused = two.command("kill", "node-7")
    assert (refused.code, refused.err) == (
        NOT_FOUND,
        f"swarmpy: lab {two.name} has no node node-7; it has node-1 to node-2\n",
    )


def test_a_load_of_nothing(two: Lab) -> None:
    refused = two.command("load")
    assert (refused.code, "either IMAGE... or --tar FILE" in refused.err) == (BAD_REQUEST, True), refused.err


def test_a_load_of_an_image_that_is_not_there(two: Lab) -> None:
    refused = two.command("load", "--from", two.node("node-1").docker_host, "no/such:image")
    assert (refused.code, "cannot save no/such:image" in refused.err) == (1, True), refused.err


def test_a_machine_that_lacks_programs_is_told_all_of_them(unmade: Lab) -> None:
    refused = run(["env", "PATH=/nowhere", *unmade.argv("up")], limit=30)
    assert refused.code == BAD_REQUEST
    for sentence in ("there is no nsenter on this machine: apt-get install util-linux", "no etcd on this machine"):
        assert sentence in refused.err
    assert traces(unmade.name) == []


def test_a_user_who_is_not_root_is_told(unmade: Lab) -> None:
    refused = run(["setpriv", "--reuid=65534", "--clear-groups", *unmade.argv("ls")], limit=30)
    assert (refused.code, "a lab needs root" in refused.err) == (BAD_REQUEST, True), refused.err
