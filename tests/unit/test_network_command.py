"""Commands of the machine: what came of one is a value, whatever it was."""

from agent.network.command import Ended, Failure, run


async def test_what_a_command_says_and_how_it_ended_are_told() -> None:
    ended = await run(("sh", "-c", "cat; echo no >&2; exit 3"), limit=10, given="yes")
    assert ended == Ended(3, "yes", "no\n")


async def test_without_input_it_waits_for_none() -> None:
    assert await run(("cat",), limit=10) == Ended(0, "", "")


async def test_one_that_is_not_there_is_told_from_one_that_fails() -> None:
    ended = await run(("no-such-command-anywhere",), limit=10)
    assert (ended.code, ended.failure) == (127, Failure.NOT_THERE)
    assert (await run(("sh", "-c", "exit 127"), limit=10)).failure is None


async def test_one_that_takes_too_long_is_killed() -> None:
    ended = await run(("sleep", "60"), limit=0.05)
    assert (ended.code, ended.failure, ended.complaint) == (124, Failure.TOO_LONG, "sleep took longer than 0 s")
