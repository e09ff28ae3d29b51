"""The unit's text: what differs between machines, quoted so that systemd reads it back, and no secret in it."""

import re
import shlex
from pathlib import PurePosixPath

import pytest

from swarmpy.node.install import Link, Machine, Run, Step, Write, install_steps, uninstall_steps
from swarmpy.node.unit import JOIN_FILE, SYSUSERS_FILE, UNIT_FILE, WANTED_LINK, Service, command_of, unit_text

EXECUTABLE = PurePosixPath("/opt/swarmpy/bin/swarmpy")
JOIN = "SWMTKN-1-" + "d" * 50 + "-" + "s" * 25 + "@10.0.0.1:2377"
THIS = Machine(is_this=True, has_systemd=True, has_etcd_unit=True, has_join_file=False, missing_packages=())
ELSEWHERE = Machine(is_this=False, has_systemd=False, has_etcd_unit=False, has_join_file=False, missing_packages=("x",))


def service(
    executable: PurePosixPath = EXECUTABLE,
    labels: tuple[str, ...] = (),
    places: tuple[str, ...] = (),
    joins: bool = False,
) -> Service:
    return Service(executable, tuple(map(PurePosixPath, places)), labels=labels, joins=joins)


def settings(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


def started(text: str) -> list[str]:
    """The words of ExecStart, as systemd reads them: specifiers and variables first, then quotes."""
    line = settings(text)["ExecStart"]
    assert not re.search(r"(?<!%)(%%)*%(?!%)|(?<!\$)(\$\$)*\$(?!\$)", line), "something is left to expand"
    return shlex.split(line.replace("%%", "%").replace("$$", "$"))


def test_without_options_the_unit_runs_swarmpy_up_alone() -> None:
    assert started(unit_text(service())) == ["/opt/swarmpy/bin/swarmpy", "up"]


def test_options_become_words_of_the_command() -> None:
    wanted = Service(EXECUTABLE, (), "0.0.0.0:4000", "[fd00::1]:4000", ("disk=ssd", "zone=b"), joins=True)
    assert started(unit_text(wanted))[2:] == [
        *("--listen-address", "0.0.0.0:4000", "--advertise-address", "[fd00::1]:4000"),
        *("--label", "disk=ssd", "--label", "zone=b", "--join-file", "/etc/swarmpy/join"),
    ]


@pytest.mark.parametrize(
    "label", ["a=b c", "a=50%", "a=$HOME", "a=${x}", 'a="b"', r"a=\n", "a='b'", "a=;", "a=", "é=ü"]
)
def test_a_label_arrives_as_it_was_given(label: str) -> None:
    assert started(unit_text(service(labels=(label,))))[-1] == label


def test_a_path_with_a_space_stays_one_word() -> None:
    wanted = service(PurePosixPath("/opt/my tools/swarmpy"))
    assert started(unit_text(wanted)) == command_of(wanted)


def test_the_token_is_in_its_file_and_nowhere_else() -> None:
    steps = install_steps(service(joins=True), JOIN, THIS, packages=True, start=True)
    holders = [step for step in steps if isinstance(step, Write) and JOIN in step.content]
    assert [(step.path, step.mode) for step in holders] == [(JOIN_FILE, 0o600)]
    assert [step for step in steps if JOIN in str(step) or JOIN in repr(step)] == []


def test_what_an_operator_ended_or_must_mend_is_not_started_again() -> None:
    told = settings(unit_text(service()))
    assert (told["Restart"], told["RestartPreventExitStatus"]) == ("always", "0 2 7")


@pytest.mark.parametrize(
    ("place", "protection"),
    [("/opt/swarmpy", "yes"), ("/homes/x", "yes"), ("/home", "read-only"), ("/root", "read-only")],
)
def test_homes_are_hidden_unless_swarmpy_lies_in_one(place: str, protection: str) -> None:
    assert settings(unit_text(service(places=(place,))))["ProtectHome"] == protection


@pytest.mark.parametrize("place", ["/tmp/x", "/var/tmp/x"])
def test_a_program_among_temporary_files_is_noticed(place: str) -> None:
    assert service(places=(place,)).is_temporary
    assert not service().is_temporary


def commands(steps: list[Step]) -> list[str]:
    return [" ".join(step.words) for step in steps if isinstance(step, Run)]


def test_this_machine_gets_its_group_and_a_service_that_runs_with_the_new_options() -> None:
    assert commands(install_steps(service(), None, THIS, packages=True, start=True)) == [
        "systemctl disable --quiet --now etcd.service",
        f"systemd-sysusers {SYSUSERS_FILE}",
        "systemctl daemon-reload",
        "systemctl restart swarmpy.service",
    ]


def test_what_is_missing_is_installed_first_and_debians_own_etcd_put_to_rest() -> None:
    bare = Machine(True, True, False, False, ("docker.io", "etcd-server"))
    assert commands(install_steps(service(), None, bare, packages=True, start=False))[:3] == [
        "apt-get update -qq",
        "apt-get install -qq -y --no-install-recommends docker.io etcd-server",
        "systemctl disable --quiet --now etcd.service",
    ]
    without = commands(install_steps(service(), None, bare, packages=False, start=False))
    assert [command for command in without if "apt-get" in command or "etcd" in command] == []


def test_in_another_root_nothing_is_run() -> None:
    steps = install_steps(service(), None, ELSEWHERE, packages=True, start=False)
    assert [type(step) for step in steps] == [Write, Write, Link]
    assert commands(uninstall_steps(ELSEWHERE)) == []


def test_all_that_was_written_is_removed() -> None:
    written = {
        step.path for step in install_steps(service(), JOIN, THIS, packages=True, start=True) if hasattr(step, "path")
    }
    removed = {step.path for step in uninstall_steps(THIS) if hasattr(step, "path")}
    assert removed == written == {JOIN_FILE, SYSUSERS_FILE, UNIT_FILE, WANTED_LINK}
