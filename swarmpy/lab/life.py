"""A lab as a whole: making and completing it, adding to it, removing it."""

import shutil
import time
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

from swarmpy.errors import BadRequest, TimedOut, Unavailable
from swarmpy.lab import kernel, machine, proc, state
from swarmpy.lab.network import build, machine_steps, switch_steps, teardown
from swarmpy.lab.plan import (
    DATA_ROOT,
    DEFAULT_MANAGERS,
    DEFAULT_NODES,
    RUN_ROOT,
    Lab,
    Machine,
    check_name,
    check_same,
    machines_of,
    new_lab,
    with_added,
)

CGROUP_LIMIT, TOKEN_LIMIT, LOOK_EVERY = 10.0, 60.0, 0.1

Say = Callable[[str], None]


def up(name: str, nodes: int | None, managers: int | None, say: Say, engine: Path | None = None) -> Lab:
    """A lab with all its nodes ready: a new one, or the one there is, completed."""
    with state.held(state.held_lab(name)):
        lab = state.find(name)
        if lab is None:
            lab = _found(name, DEFAULT_NODES if nodes is None else nodes, managers, engine)
        check_same(lab, nodes, managers, engine)
        bring_up(lab, machines_of(lab), say)
    return lab


def add(name: str, count: int, *, manager: bool, say: Say) -> Lab:
    state.load(name)
    with state.held(state.held_lab(name)):
        lab = with_added(state.load(name), count, manager=manager)
        state.save(lab)
        bring_up(lab, machines_of(lab)[-count:], say)
    return lab


def start(lab: Lab, machines: Iterable[Machine], say: Say, *, wait: bool) -> None:
    """Power on, with the disks that are there."""
    chosen = tuple(machines)
    with state.held(state.held_lab(lab.name)):
        bring_up(lab, chosen, say, wait=False)
    # Alone it may have to wait for others, whom someone must be able to start meanwhile.
    for each in chosen if wait else ():
        machine.wait_until_member(each)
        say(f"{each.name} is ready, {each.address}")


def bring_up(lab: Lab, machines: tuple[Machine, ...], say: Say, *, wait: bool = True) -> None:
    """Everything that these nodes lack, from the cable to membership. What runs is left alone."""
    kernel.mend_namespaces(lab.name)
    kernel.run(*build(switch_steps(lab), kernel.have(lab)))
    for each in machines:
        machine.power_on(lab, each)
        machine.start_engine(lab, each)
    started, newcomers = _in_order(lab, machines)
    for each in started:
        machine.wait_until_engine_answers(each)
        machine.start_swarmpy(each)
    if wait or newcomers:
        for each in started:
            machine.wait_until_member(each)
            say(f"{each.name} is ready, {each.address}")
    _join(lab, newcomers, say)


def _in_order(lab: Lab, machines: tuple[Machine, ...]) -> tuple[list[Machine], list[Machine]]:
    """Those that need nobody's leave, members and, when there is none yet, the founder; and those who are to join."""
    everyone = machines_of(lab)
    members = {each.name for each in everyone if machine.is_member(each)} or {everyone[0].name}
    return [each for each in machines if each.name in members], [each for each in machines if each.name not in members]


def _join(lab: Lab, newcomers: list[Machine], say: Say) -> None:
    """Workers side by side; managers one after the other, for each changes the members of etcd."""
    for each in newcomers:
        machine.wait_until_engine_answers(each)
    workers = [each for each in newcomers if not each.manager]
    if workers:
        token = _token(lab, manager=False)
        for each in workers:
            machine.start_swarmpy(each, token)
    for each in newcomers:
        if each.manager:
            machine.start_swarmpy(each, _token(lab, manager=True))
            machine.wait_until_member(each)
            machine.wait_until_manager(each)
            say(f"{each.name} is ready, {each.address}")
    for each in workers:
        machine.wait_until_member(each)
        say(f"{each.name} is ready, {each.address}")


def _token(lab: Lab, *, manager: bool) -> str:
    """From any manager that gives one."""
    deadline = time.monotonic() + TOKEN_LIMIT
    while True:
        said = "no manager of the lab runs"
        for giver in machines_of(lab):
            if machine.is_member(giver) and giver.swarmpy_socket.exists():
                token, said = machine.ask_token(giver, manager=manager)
                if token:
                    return token
        if time.monotonic() > deadline:
            raise Unavailable(f"nobody can join lab {lab.name}: {said}")
        time.sleep(LOOK_EVERY)


def _found(name: str, nodes: int, managers: int | None, engine: Path | None) -> Lab:
    """The record of a new lab, on disk before anything else is made."""
    with state.held(state.held_subnets()):
        taken = kernel.routes() + state.taken_subnets()
        lab = new_lab(name, nodes, DEFAULT_MANAGERS if managers is None else managers, taken, engine)
        state.save(lab)
    return lab


def down(name: str) -> bool:
    """Remove all there is of the lab, whatever state it is in. Whether there was anything."""
    check_name(name)
    if not _remains(name):
        return False
    with state.held(state.held_lab(name)):
        try:
            lab = state.find(name)
        except BadRequest:
            lab = None
        proc.end_all(kernel.namespaces(name), RUN_ROOT / name)
        if lab is not None:
            steps = chain(switch_steps(lab), *(machine_steps(lab, each) for each in machines_of(lab)))
            kernel.take_away(*teardown(steps, kernel.have(lab)))
        # What no record tells of.
        for left in kernel.namespaces(name):
            kernel.remove_namespace(left)
        _remove_cgroups(name)
        _remove_folders(name)
    return True


def _remains(name: str) -> list[object]:
    folders = [path for path in (state.held_lab(name), RUN_ROOT / name) if path.exists()]
    return [*folders, *kernel.namespaces(name), *kernel.cgroups(name)]


def _remove_cgroups(name: str) -> None:
    deadline = time.monotonic() + CGROUP_LIMIT
    while not kernel.remove_cgroups(kernel.cgroups(name)):
        if time.monotonic() > deadline:
            raise TimedOut(f"control groups of lab {name} stay in use: {kernel.cgroups(name)[0]}; run it again")
        time.sleep(LOOK_EVERY)


def _remove_folders(name: str) -> None:
    """The record last: until then `down` can be given again."""
    data, run = DATA_ROOT / name, RUN_ROOT / name
    for folder in (run, data):
        kernel.unmount_below(folder)
    _remove(run)
    for path in data.iterdir():
        if path.name != state.RECORD:
            _remove(path)
    (data / state.RECORD).unlink(missing_ok=True)
    data.rmdir()
    for root in (DATA_ROOT, RUN_ROOT):
        try:
            root.rmdir()
        except OSError:
            continue


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
