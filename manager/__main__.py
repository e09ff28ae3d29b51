"""`python -m manager --settings FILE`: one manager in the foreground, until SIGTERM."""

import argparse
import asyncio
import sys
from pathlib import Path

from pydantic import ValidationError

from manager.daemon import run_manager
from swarmpy.errors import BadRequest, SwarmpyError
from swarmpy.logs import configure, logger
from swarmpy.settings import ManagerSettings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m manager", description=__doc__)
    parser.add_argument("--settings", required=True, type=Path, help="JSON file of the manager's settings")
    try:
        settings = _read(parser.parse_args().settings)
        configure(debug=settings.debug, json=settings.log_json, process="manager")
        asyncio.run(run_manager(settings))
    except SwarmpyError as error:
        print(f"swarmpy manager: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except Exception:
        logger("manager").exception("manager.crashed")
        return 1
    return 0


def _read(path: Path) -> ManagerSettings:
    try:
        return ManagerSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadRequest(f"cannot read the settings file {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"{path}: {place}: {first['msg']}") from error


if __name__ == "__main__":
    sys.exit(main())
