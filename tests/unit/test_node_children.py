"""The table of a child's life: what is done after each thing that can happen to it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmpy.errors import IllegalTransition
from swarmpy.node.children import (
    BACK_OFF,
    RECOVERED_AFTER,
    RULES,
    ChildRun,
    Due,
    Ending,
    Event,
    Exited,
    Kill,
    Overdue,
    Phase,
    Start,
    StopAsked,
    Terminate,
    Wait,
    classify,
    restart_delay,
    step,
)

SOON = timedelta(seconds=1)
RUNNING = ChildRun(phase=Phase.RUNNING)
STOPPING = ChildRun(phase=Phase.STOPPING)


def crash(code: int = 1, *, served: bool = True, lived: timedelta = SOON) -> Exited:
    return Exited(code, served, lived)


def crashed(times: int, lived: timedelta = SOON) -> tuple[ChildRun, list[timedelta]]:
    """A child after so many crashes in a row, and the pauses before its restarts."""
    run, delays = RUNNING, []
    for _ in range(times):
        waiting, instruction = step(run, crash(lived=lived))
        assert isinstance(instruction, Wait)
        delays.append(instruction.delay)
        run, again = step(waiting, Due())
        assert again == Start()
    return run, delays


def test_a_child_is_started_when_it_is_due() -> None:
    assert step(ChildRun(), Due()) == (RUNNING, Start())


def test_the_first_crash_is_followed_by_a_restart_at_once() -> None:
    _, delays = crashed(1)
    assert delays == [timedelta(0)]


def test_crashes_in_a_row_are_followed_by_longer_pauses_up_to_a_limit() -> None:
    _, delays = crashed(len(BACK_OFF) + 3)
    assert delays == sorted(delays)
    assert delays[: len(BACK_OFF)] == list(BACK_OFF)
    assert set(delays[len(BACK_OFF) :]) == {BACK_OFF[-1]}


def test_a_child_that_ran_long_is_restarted_at_once_again() -> None:
    run, _ = crashed(5)
    after, instruction = step(run, crash(lived=RECOVERED_AFTER))
    assert (after.crashes, instruction) == (1, Wait(timedelta(0)))


def test_a_child_that_refuses_its_settings_is_not_started_again() -> None:
    after, instruction = step(RUNNING, crash(code=2, served=False))
    assert after.refused
    assert instruction is None


@pytest.mark.parametrize(
    ("run", "exited", "ending"),
    [
        (RUNNING, crash(code=-9, served=False), Ending.KILLED),
        (RUNNING, crash(code=1, served=False), Ending.CRASHED),
        (RUNNING, crash(code=0), Ending.CRASHED),
        (RUNNING, crash(code=2, served=False), Ending.REFUSED),
        (RUNNING, crash(code=2, served=True), Ending.CRASHED),
        (ChildRun(phase=Phase.RUNNING, served=True), crash(code=2, served=False), Ending.CRASHED),
        (ChildRun(phase=Phase.RUNNING, can_refuse=False), crash(code=2, served=False), Ending.CRASHED),
    ],
)
def test_an_end_is_classified(run: ChildRun, exited: Exited, ending: Ending) -> None:
    assert classify(run, exited) is ending


def test_a_child_that_once_served_is_always_started_again() -> None:
    served, _ = step(RUNNING, crash(code=1, served=True))
    again, _ = step(served, Due())
    after, instruction = step(again, crash(code=2, served=False))
    assert not after.refused
    assert isinstance(instruction, Wait)


def test_a_stop_ends_a_running_child_gently_then_by_force() -> None:
    stopping, gently = step(RUNNING, StopAsked())
    assert isinstance(gently, Terminate)
    still, by_force = step(stopping, Overdue())
    assert by_force == Kill()
    ended, nothing = step(still, crash(code=-9))
    assert (ended.phase, nothing) == (Phase.ENDED, None)


def test_a_stop_while_waiting_starts_nothing_more() -> None:
    ended, nothing = step(ChildRun(crashes=3), StopAsked())
    assert (ended.phase, nothing) == (Phase.ENDED, None)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", [Due(), crash(), StopAsked(), Overdue()], ids=lambda event: type(event).__name__)
def test_what_cannot_happen_stops_loudly(phase: Phase, event: Event) -> None:
    run = ChildRun(phase=phase)
    if (phase, type(event)) in RULES:
        step(run, event)
    else:
        with pytest.raises(IllegalTransition, match=phase.name):
            step(run, event)


@given(st.integers(min_value=1, max_value=10_000))
def test_a_pause_is_never_negative_nor_beyond_the_limit(crashes: int) -> None:
    assert timedelta(0) <= restart_delay(crashes) <= BACK_OFF[-1]
