"""What a task's status says while its health check is not good yet: the agent writes it, the command line reads it.

Pure.
"""

from swarmpy.lines import in_one_line

_WAITS = "starting: waiting to be healthy"
_SAID = "; its check said last: "


def health_wait(output: str = "") -> str:
    """The message, with what the check printed last."""
    said = in_one_line(output)
    return f"{_WAITS}{_SAID}{said}" if said else _WAITS


def waits_for_health(message: str) -> bool:
    return message.startswith(_WAITS)


def last_word(message: str) -> str:
    """What the check printed last; empty when it said nothing yet, or nothing waits for it."""
    return message.removeprefix(_WAITS + _SAID) if message.startswith(_WAITS + _SAID) else ""
