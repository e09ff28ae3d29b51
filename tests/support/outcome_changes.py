"""The table of deploy outcomes: what becomes of a stack that is there already."""

from typing import Any

from support.node import wait_until
from support.outcome_files import LONG, SLEEP, Document, health, stack, web
from support.outcome_table import CONFLICT, FAILED, OK, SHORT, TIMED_OUT
from support.outcomes import Outcome, Scene

from swarmpy.labels import PROGRESS_DEADLINE

NO_IMAGE = "nowhere.invalid/none:1"

PAUSED = r"_web failed: update paused: \S+_web\.\d failed on node-1: .*\(5\)"
ROLLED_BACK = r"_web failed: update rolled back: \S+_web\.\d failed on node-1: .*\(5\)"


def is_untouched(scene: Scene) -> None:
    assert scene.containers() == scene.before != frozenset()


def is_replaced(scene: Scene) -> None:
    after = scene.node.wait_until_running(scene.service, len(scene.before))
    assert not after & scene.before


def has_grown_to_three(scene: Scene) -> None:
    after = scene.containers()
    assert len(after) == 3
    assert scene.before < after


def is_empty(scene: Scene) -> None:
    wait_until("no container is left", lambda: not scene.containers())


def runs_two(scene: Scene) -> None:
    scene.node.wait_until_running(scene.service, 2)


def keeps_one_of_two(scene: Scene) -> None:
    """The other may still be stopping when the command is over."""
    wait_until("one of two is left", lambda: len(scene.containers() & scene.before) == 1)


def is_pruned(scene: Scene) -> None:
    assert scene.node.tasks(scene.service) != []
    assert not [one for one in scene.node.get("/services") if one["Spec"]["Name"] == f"{scene.stack}_old"]


def take_its_name(scene: Scene) -> None:
    wish = {"Name": scene.service, "TaskTemplate": {"ContainerSpec": {"Image": "lab:1"}},
            "Mode": {"Replicated": {"Replicas": 0}}}  # fmt: skip
    assert scene.node.request("/services/create", "POST", wish)[0] == 201


def give_it_back(scene: Scene) -> None:
    scene.node.must("service", "rm", scene.service)


def take_its_network(scene: Scene) -> None:
    wish = {"Name": f"{scene.stack}_default", "Driver": "overlay"}
    assert scene.node.request("/networks/create", "POST", wish)[0] == 201


def give_the_network_back(scene: Scene) -> None:
    assert scene.node.request(f"/networks/{scene.stack}_default", "DELETE")[0] in (200, 204)


def two(command: list[str] = SLEEP, **keys: Any) -> Document:
    return stack(command, deploy={"replicas": 2}, **keys)


def crashing(**keys: Any) -> Document:
    return two(["sh", "-c", "echo no licence; exit 5"], monitor=LONG, **keys)


def with_deadline(deadline: str, action: str = "", **keys: Any) -> Document:
    file = two(healthcheck=health("true"), action=action)
    file["services"]["web"]["deploy"]["labels"] = {PROGRESS_DEADLINE: deadline}
    file["services"]["web"].update(keys)
    return file


SAME = (
    Outcome(
        "nothing has changed",
        OK,
        two(),
        earlier=((two(), OK),),
        says=("_web: unchanged$", "_web: 2/2 running$"),
        never=("watching", "created", "updated"),
        after=is_untouched,
    ),
    Outcome(
        "its environment has changed",
        OK,
        two(environment={"COLOUR": "red"}),
        earlier=((two(), OK),),
        says=(r"_web: updated \(TaskTemplate\.ContainerSpec\.Env\)$", "1/2 updated, .*updating", "_web: 2/2 running$"),
        after=is_replaced,
    ),
    Outcome(
        "only its labels have changed",
        OK,
        stack(SLEEP, deploy={"replicas": 2, "labels": {"team": "shop"}}),
        earlier=((two(), OK),),
        says=(r"_web: updated \(Labels\.team\)$", "_web: 2/2 running$"),
        after=is_untouched,
    ),
    Outcome(
        "it grows",
        OK,
        stack(SLEEP, deploy={"replicas": 3}),
        earlier=((stack(SLEEP), OK),),
        says=(r"_web: updated \(Mode\.Replicated\.Replicas\)$", "_web: 3/3 running$"),
        after=has_grown_to_three,
    ),
    Outcome(
        "it shrinks to nothing",
        OK,
        stack(SLEEP, deploy={"replicas": 0}),
        earlier=((two(), OK),),
        says=("_web: 0/0 running$",),
        after=is_empty,
    ),
    Outcome(
        "a service has left the file",
        OK,
        stack(SLEEP),
        options=("--prune",),
        earlier=(({"services": {"web": web(SLEEP), "old": web(SLEEP)}}, OK),),
        says=("_old: removed, it left the file$", "_web: unchanged$"),
        after=is_pruned,
    ),
    Outcome(
        "it ignores the signal to stop",
        OK,
        stack(["sh", "-c", "trap '' TERM; sleep 1000"], stop_grace_period="1s", environment={"COLOUR": "red"}),
        earlier=((stack(["sh", "-c", "trap '' TERM; sleep 1000"], stop_grace_period="1s"), OK),),
        says=("_web: 1/1 running$",),
        after=is_replaced,
    ),
    Outcome(
        "its name is taken by another stack",
        CONFLICT,
        stack(SLEEP),
        before=take_its_name,
        says=(r"yaml:\d+: service web: \S+_web is there already and does not belong to the stack",),
        after=give_it_back,
    ),
    Outcome(
        "its network's name is taken",
        CONFLICT,
        stack(SLEEP),
        before=take_its_network,
        says=(r"network default: \S+_default is there already and belongs to no stack",),
        after=give_the_network_back,
    ),
)

FAILING = (
    Outcome(
        "an update pauses for an image that is nowhere",
        FAILED,
        two(image=NO_IMAGE, monitor=LONG),
        earlier=((two(), OK),),
        says=(r"_web failed: update paused: .*nowhere\.invalid/none:1",),
        after=keeps_one_of_two,
    ),
    Outcome(
        "an update pauses for a crash",
        FAILED,
        crashing(),
        earlier=((two(), OK),),
        says=(PAUSED, r"^  \| no licence$", "deploy a mended file to go on"),
    ),
    Outcome(
        "an update that is paused is deployed again",
        FAILED,
        crashing(),
        earlier=((two(), OK), (crashing(), FAILED)),
        says=("_web: unchanged$", PAUSED),
    ),
    Outcome(
        "an update that is paused is mended",
        OK,
        two(environment={"COLOUR": "red"}),
        earlier=((two(), OK), (crashing(), FAILED)),
        says=(r"_web: updated \(", "_web: 2/2 running$"),
        after=runs_two,
    ),
    Outcome(
        "an update is rolled back",
        FAILED,
        crashing(action="rollback"),
        earlier=((two(action="rollback"), OK),),
        says=("rolling back", ROLLED_BACK, r"^  \| no licence$"),
        after=runs_two,
    ),
    Outcome(
        "an update goes on over failures",
        FAILED,
        crashing(action="continue"),
        earlier=((two(action="continue"), OK),),
        says=(r"_web\.\d keeps failing: 5 attempts, the last one: .*\(5\)", r"^  \| no licence$"),
    ),
    Outcome(
        "an update goes on over one failure",
        OK,
        two(["sh", "-c", "test -e /data/tried && sleep 1000; touch /data/tried; exit 1"],
            action="continue", volumes=["kept:/data"]) | {"volumes": {"kept": {}}},
        earlier=((two(action="continue"), OK),),
        says=("_web: 2/2 running$",),
        after=runs_two,
    ),
    Outcome(
        "an update has no room",
        TIMED_OUT,
        stack(SLEEP, deploy={"replicas": 2, "resources": {"reservations": {"memory": "4T"}}}),
        options=SHORT,
        earlier=((two(), OK),),
        says=(r"^swarmpy: not there after 8 s", "updating", r"1 node \(node-1\): .*memory"),
        after=keeps_one_of_two,
    ),
)  # fmt: skip

NEVER_HEALTHY = health("false", start_period="60s")

DEADLINES = (
    Outcome(
        "an update does not get on by its deadline",
        FAILED,
        with_deadline("8s", healthcheck=NEVER_HEALTHY),
        earlier=((with_deadline("8s"), OK),),
        says=(
            r"_web failed: update paused: task \S+_web\.\d, .*waiting to be healthy",
            "deploy a mended file to go on",
        ),
        after=keeps_one_of_two,
    ),
    Outcome(
        "an update is rolled back at its deadline",
        FAILED,
        with_deadline("8s", "rollback", healthcheck=NEVER_HEALTHY),
        earlier=((with_deadline("8s", "rollback"), OK),),
        says=(r"_web failed: update rolled back: task \S+_web\.\d, .*waiting to be healthy",),
        after=runs_two,
    ),
)

AGAIN = (
    Outcome(
        "a service that keeps failing is deployed again",
        FAILED,
        crashing(),
        options=("--timeout", "4s"),
        earlier=((crashing(), FAILED),),
        says=("_web: unchanged$", r"_web\.\d keeps failing: 5 attempts, the last one: .*\(5\)", r"^  \| no licence$"),
    ),
)

CHANGES = (*SAME, *FAILING, *DEADLINES, *AGAIN)
