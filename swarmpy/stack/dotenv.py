"""Files of variables that fill in a stack file (`--env-file`), as docker compose writes them. Pure.

Not those of `env_file`, whose values docker takes as they stand.
"""

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def parse_dotenv(text: str) -> dict[str, str]:
    """Raises `ValueError` that says where and why, and shows no value."""
    variables: dict[str, str] = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        name = name.strip()
        if not equals or _NAME.fullmatch(name) is None:
            raise ValueError(f"line {number} is no NAME=value")
        variables[name] = _value(value.strip(), number)
    return variables


def _value(text: str, number: int) -> str:
    if text[:1] not in ("'", '"'):
        return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].rstrip()
    quote = text[0]
    end = re.match(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"", text)
    if end is None:
        raise ValueError(f"line {number} has a quote {quote} that is not closed")
    if quote == "'":
        return end[1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), end[2])


def defined_in(text: str, names: Mapping[str, None]) -> tuple[str, ...]:
    """Which of the names such a file gives a value; a file that is none gives none."""
    try:
        return tuple(name for name in names if name in parse_dotenv(text))
    except ValueError:
        return ()
