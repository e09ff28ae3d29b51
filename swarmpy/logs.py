"""Logging: an event name in the past tense plus keys, one line a change, on standard error."""

import logging
import sys
from typing import Any

import structlog


def configure(*, debug: bool = False, json: bool = False, process: str = "") -> None:
    """Set the process up once, at its start. `process` names it in each line (manager, agent)."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    if process:
        structlog.contextvars.bind_contextvars(process=process)


def logger(name: str) -> Any:
    """A logger that carries the part of the program it speaks for."""
    return structlog.get_logger(part=name)
