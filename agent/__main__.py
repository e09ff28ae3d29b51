"""`python -m agent --settings FILE`: the agent as a process. `FILE` holds `AgentSettings` as JSON."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from pydantic import ValidationError

from agent import daemon
from swarmpy import logs
from swarmpy.clock import SystemClock
from swarmpy.errors import BadRequest, SwarmpyError
from swarmpy.settings import AgentSettings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m agent", description="Runs this node's tasks on its engine.")
    parser.add_argument("--settings", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    try:
        settings = _settings(arguments.settings)
        logs.configure(debug=settings.debug, json=settings.log_json, process="agent")
        asyncio.run(_until_told_to_end(settings))
    except SwarmpyError as error:
        sys.stderr.write(f"agent: {error}\n")
        return error.exit_code
    return 0


def _settings(path: Path) -> AgentSettings:
    try:
        return AgentSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadRequest(f"settings {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRequest(f"settings {path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


async def _until_told_to_end(settings: AgentSettings) -> None:
    """SIGTERM and SIGINT end the agent, and none of its containers."""
    work = asyncio.ensure_future(daemon.run(settings, SystemClock()))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return


if __name__ == "__main__":
    sys.exit(main())
