"""The table of deploy outcomes: first deployments. What a change becomes stands in `outcome_changes`."""

from support.node import wait_until
from support.outcome_files import LONG, SLEEP, health, job, once, port, shell, stack, web
from support.outcomes import Outcome, Scene, Step

OK, FAILED, BAD_REQUEST, TIMED_OUT, NOT_FOUND, CONFLICT, UNAVAILABLE, FORBIDDEN, INTERRUPTED = (
    0, 1, 2, 3, 4, 5, 6, 7, 130,
)  # fmt: skip
SHORT = ("--timeout", "8s")


def remove(scene: Scene) -> None:
    scene.wait_until_it_says("_web: ./. running")
    scene.node.must("service", "rm", scene.service)


def take_the_port(scene: Scene) -> None:
    """By somebody of whom the cluster knows nothing."""
    scene.held.enter_context(scene.node.engine.listen(7802))


def interrupt(scene: Scene) -> None:
    scene.wait_until_it_says("_web: ./. running")
    scene.interrupt()


def goes_on(scene: Scene) -> None:
    scene.node.wait_until_running(scene.service, 2)


def fails_later(scene: Scene) -> None:
    def failed() -> bool:
        return any(task["Status"]["State"] == "failed" for task in scene.node.tasks(scene.service))

    wait_until("it crashes after all", failed)


def made_tasks(count: int) -> Step:
    def made(scene: Scene) -> None:
        assert len(scene.node.tasks(scene.service)) == count

    return made


def has_the_volume(scene: Scene) -> None:
    names = [volume["Name"] for volume in scene.node.docker.volumes()["Volumes"] or ()]
    assert "theirs-alone" in names


ONE_SHOTS = (
    Outcome(
        "a one-shot ends well",
        OK,
        once(["true"]),
        says=(r"^network a-one-shot-ends-well_default: created$", r"_web: created$", r"_web: 1/1 complete$"),
        never=("failed",),
    ),
    Outcome(
        "a one-shot that may be restarted ends well",
        OK,
        once(["true"], "on-failure"),
        says=("_web: 1/1 complete$",),
    ),
    Outcome(
        "a one-shot ends with a code",
        FAILED,
        once(shell("echo no such table; exit 4")),
        says=(r"^swarmpy: \S+_web failed: \S+_web\.1 failed on node-1: .*\(4\)", r"^  \| no such table$"),
    ),
    Outcome(
        "a one-shot uses up its attempts",
        FAILED,
        once(shell("echo out of luck; exit 4"), "on-failure", max_attempts=2, delay="0s"),
        says=(
            r"\S+_web\.1 failed on node-1: .*\(4\)",
            "gave up after 3 attempts",
            r"^  \| out of luck$",
            "it is not tried again until the service changes",
        ),
    ),
    Outcome(
        "a one-shot that ended is deployed again",
        OK,
        once(["true"]),
        earlier=((once(["true"]), OK),),
        says=("_web: unchanged$", "_web: 1/1 complete$"),
        after=made_tasks(1),
    ),
    Outcome(
        "a one-shot that failed is deployed again",
        FAILED,
        once(shell("echo no such table; exit 4")),
        earlier=((once(shell("echo no such table; exit 4")), FAILED),),
        says=("_web: unchanged$", r"_web\.1 failed on node-1: .*\(4\)", r"^  \| no such table$"),
        after=made_tasks(1),
    ),
    Outcome(
        "a one-shot that ended has changed",
        OK,
        once(["true"]),
        earlier=((once(["sh", "-c", "exit 0"]), OK),),
        says=(r"_web: updated \(", "_web: 1/1 complete$"),
        after=made_tasks(2),
    ),
    Outcome(
        "a job ends well",
        OK,
        job(["true"], total=3),
        says=("_web: 3/3 complete$",),
    ),
    Outcome(
        "a job is to be updated in steps",
        BAD_REQUEST,
        stack(["true"], deploy={"mode": "replicated-job"}),
        says=("UpdateConfig: a job is not updated in steps; leave it out",),
    ),
    Outcome(
        "a job gives up",
        FAILED,
        job(shell("echo half done; exit 9"), max_attempts=1, delay="0s"),
        says=(r"_web\.1 failed on node-1: .*\(9\)", "gave up after 2 attempts", r"^  \| half done$"),
    ),
    Outcome(
        "a job is tried again and ends well",
        OK,
        job(shell("test -e /data/tried && exit 0; touch /data/tried; exit 1"), volumes=("kept:/data",), max_attempts=3),
        says=("_web: 1/1 complete$",),
    ),
)

CRASHES = (
    Outcome(
        "it crashes at its start",
        FAILED,
        stack(shell("echo no database; exit 3"), monitor=LONG),
        says=(
            r"_web\.1: 3 attempts failed, the last one: .*\(3\)",
            r"_web\.1 keeps failing: 5 attempts, the last one: .*\(3\)",
            r"^  \| no database$",
            "it is tried further, at longer and longer intervals",
        ),
    ),
    Outcome(
        "it crashes a little later",
        FAILED,
        stack(
            shell("sleep 1; echo lost the database; exit 3"),
            monitor=LONG,
            deploy={"restart_policy": {"max_attempts": 1, "delay": "0s"}},
        ),
        says=(r"_web\.1 failed on node-1: .*\(3\)", "gave up after 2 attempts", r"^  \| lost the database$"),
    ),
    Outcome(
        "it crashes when nobody watches any more",
        OK,
        stack(shell("sleep 12; exit 3")),
        says=("_web: 1/1 running$",),
        after=fails_later,
    ),
    Outcome(
        "its image is nowhere",
        FAILED,
        stack(SLEEP, image="nowhere.invalid/none:1", deploy={"restart_policy": {"max_attempts": 1, "delay": "0s"}}),
        says=(r"_web\.1 rejected on node-1: .*nowhere\.invalid/none:1",),
    ),
    Outcome(
        "its command is not in the image",
        FAILED,
        stack(["/no/such/program"], monitor=LONG, deploy={"restart_policy": {"max_attempts": 1, "delay": "0s"}}),
        says=(r"_web\.1 (failed|rejected) on node-1: .*/no/such/program.*no such file or directory",),
    ),
    Outcome(
        "one of two services fails",
        FAILED,
        {
            "services": {
                "web": web(SLEEP),
                "db": web(["false"], monitor=LONG, deploy={"restart_policy": {"condition": "none"}}),
            }
        },
        says=(r"^swarmpy: \S+_db failed: \S+_db\.1 failed on node-1: ",),
        never=("_web failed",),
    ),
)

PLACES = (
    Outcome(
        "there is no room",
        TIMED_OUT,
        stack(SLEEP, deploy={"resources": {"reservations": {"memory": "4T"}}}),
        options=SHORT,
        says=(
            r"^swarmpy: not there after 8 s",
            r"_web\.1 pending: no suitable node",
            r"1 node \(node-1\): .*memory",
            r"^  `swarmpy service ps \S+_web` shows",
        ),
    ),
    Outcome(
        "no node meets a constraint",
        TIMED_OUT,
        stack(SLEEP, deploy={"placement": {"constraints": ["node.labels.disk == tape"]}}),
        options=SHORT,
        says=(r"^swarmpy: not there after 8 s", r"1 node \(node-1\): .*node\.labels\.disk"),
    ),
    Outcome(
        "its port is taken by another service",
        TIMED_OUT,
        {"services": {"web": web(SLEEP, ports=port(7801)), "two": web(SLEEP, ports=port(7801))}},
        options=SHORT,
        says=(r"_(web|two)\.1 pending: no suitable node", r"1 node \(node-1\): .*7801"),
    ),
    Outcome(
        "its port is taken by a stranger",
        FAILED,
        stack(SLEEP, monitor=LONG, ports=port(7802), deploy={"restart_policy": {"max_attempts": 1, "delay": "0s"}}),
        before=take_the_port,
        says=(r"_web\.1 failed on node-1: .*7802.*address already in use", "gave up after 2 attempts"),
    ),
    Outcome(
        "a global service has a task on every node",
        OK,
        stack(SLEEP, deploy={"mode": "global"}),
        says=("_web: 1/1 running",),
    ),
    Outcome(
        "no node takes a global service",
        OK,
        stack(SLEEP, deploy={"mode": "global", "placement": {"constraints": ["node.labels.disk == tape"]}}),
        says=("_web: no node takes it",),
    ),
    Outcome(
        "an external volume is made where it is used",
        OK,
        stack(SLEEP, volumes=["theirs:/data"]) | {"volumes": {"theirs": {"external": True, "name": "theirs-alone"}}},
        says=("_web: 1/1 running",),
        after=has_the_volume,
    ),
)

HEALTH = (
    Outcome(
        "it is never healthy",
        FAILED,
        stack(
            SLEEP,
            healthcheck=health("echo the disk is full; exit 1"),
            deploy={"restart_policy": {"max_attempts": 1, "delay": "0s"}},
        ),
        says=(r"_web\.1 failed on node-1: .*unhealthy.*the disk is full", "gave up after 2 attempts"),
    ),
    Outcome(
        "it is healthy and then no more",
        FAILED,
        stack(
            shell("sleep 2; touch /tmp/sick; sleep 1000"),
            healthcheck=health("test ! -e /tmp/sick || { echo fell ill; exit 1; }"),
            monitor=LONG,
            deploy={"restart_policy": {"max_attempts": 1, "delay": "0s"}},
        ),
        says=(
            "_web: 1/1 running, watching",
            r"_web\.1 failed on node-1: .*unhealthy.*fell ill",
            "gave up after 2 attempts",
        ),
    ),
    Outcome(
        "it is healthy after a while",
        OK,
        stack(
            shell("sleep 2; touch /tmp/well; sleep 1000"), healthcheck=health("test -e /tmp/well", start_period="20s")
        ),
        says=("_web: 0/1 running, waiting to be healthy", "_web: 1/1 running$"),
    ),
    Outcome(
        "it is not healthy in time",
        TIMED_OUT,
        stack(SLEEP, healthcheck=health("false", start_period="60s")),
        options=("--timeout", "12s"),
        says=(r"^swarmpy: not there after 12 s", r"_web\.1 starting on node-1: .*waiting to be healthy"),
    ),
)

COMMANDS = (
    Outcome(
        "it is not waited for",
        OK,
        stack(["false"]),
        options=("--detach",),
        says=("_web: created$", r"^not waited for; `swarmpy service ps \S+_web` shows"),
        never=("running",),
    ),
    Outcome("it is removed meanwhile", FAILED, stack(SLEEP, monitor=LONG),
            says=("_web failed: it was removed meanwhile",), meanwhile=remove),
    Outcome("it is interrupted", INTERRUPTED, stack(SLEEP, monitor=LONG, deploy={"replicas": 2}),
            says=("^swarmpy: interrupted; the deployment goes on in the cluster$",), meanwhile=interrupt,
            after=goes_on),
    Outcome("a key is not known", BAD_REQUEST, "services:\n  web:\n    imagee: x\n",
            says=(r"yaml:3: services\.web\.imagee: unknown key; did you mean image\?",)),
    Outcome("two services are refused", BAD_REQUEST,
            {"services": {"web": web(SLEEP, deploy={"placement": {"constraints": ["foo"]}}),
                          "db": web(SLEEP, privileged=True)}},
            says=(r"yaml:\d+: service web: constraint expected one operator",
                  r"yaml:\d+: service db: privileged: touches the machine"),
            never=("created",)),
    Outcome("the policy forbids it", FORBIDDEN, stack(SLEEP, privileged=True),
            says=(r"yaml:\d+: service web: privileged: touches the machine",), never=("created",)),
    Outcome("the file is no YAML", BAD_REQUEST, "services:\n  web: [", says=(r"\.yaml:2",)),
    Outcome("the time is none", BAD_REQUEST, stack(SLEEP), options=("--timeout", "soon"),
            says=("--timeout: 'soon' is no duration",)),
    Outcome("an external network is missing", NOT_FOUND,
            stack(SLEEP, networks=["far"]) | {"networks": {"far": {"external": True}}},
            says=(r"yaml:\d+: network far: is declared external and is not there; create it first",)),
    Outcome("no manager answers", UNAVAILABLE, stack(SLEEP),
            says=("no swarmpy manager answers at unix:///nowhere/s.sock",), host="unix:///nowhere/s.sock"),
)  # fmt: skip

FIRST = (*ONE_SHOTS, *CRASHES, *PLACES, *HEALTH, *COMMANDS)
