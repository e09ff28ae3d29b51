"""How a container ended, as its engine has it: one look for all who notice that it did."""

from agent.engine.port import Engine
from agent.task.events import Exited, Vanished
from agent.task.facts import Life
from agent.task.listing import exit_of
from swarmpy.errors import NotFound


async def exit_seen(
    engine: Engine, container_id: str, *, alone: bool, code: int | None = None
) -> Exited | Vanished | None:
    """None when it runs, for all that the engine knows. `alone`: as in `Exited`; `code` is its exit code where that is
    known already. Raises as `Engine.inspect` does, but for a container that is there no more."""
    try:
        facts = await engine.inspect(container_id)
    except NotFound:
        return Vanished() if code is None else Exited(code, removed=True, alone=alone)
    if facts.life in (Life.RUNNING, Life.CREATED):
        return None
    return exit_of(facts, alone=alone, code=code)
