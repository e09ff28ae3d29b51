"""Plain YAML scalars as the docker CLI reads them, and numbers as it writes them. Pure.

Its YAML reader is of version 1.2 with remains of 1.1: `yes` and `22:22` are text, `0440` is octal, `1_000` a number.
Dates, infinity and NaN are text here: no key of a stack file means them.
"""

import re
from decimal import Decimal
from math import isfinite

from swarmpy.stack.tree import Value

_WORDS: dict[str, Value] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_START = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_RADIX = re.compile(r"([-+]?)0(?:([xX])([0-9a-fA-F]+)|([bB])([01]+)|[oO]?([0-7]+))")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_HIGHEST = 2**64 - 1
_LOWEST = -(2**63)
# Of a whole number in any base, with room for zeros in front.
_LONGEST = 100
# Go writes floats with an exponent outside of these powers of ten.
_LEAST_PLAIN, _MOST_PLAIN = -4, 6


def parse_scalar(text: str) -> Value:
    """The value of a scalar without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    digits = text.replace("_", "")
    whole = _integer(digits) if len(digits) <= _LONGEST else None
    if whole is not None and _LOWEST <= whole <= _HIGHEST:
        return whole
    if _FLOAT.fullmatch(digits) and isfinite(number := float(digits)):
        return number
    return text


def _integer(digits: str) -> int | None:
    if _INTEGER.fullmatch(digits):
        return int(digits)
    match = _RADIX.fullmatch(digits)
    if match is None:
        return None
    sign, hexadecimal, hex_digits, binary, bits, octal = match.groups()
    value = int(hex_digits, 16) if hexadecimal else int(bits, 2) if binary else int(octal, 8)
    return -value if sign == "-" else value


def text_of(value: Value) -> str:
    """The value as text in an environment, a label, an option: as Go prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    return "" if value is None else str(value)


def _float_text(value: float) -> str:
    if value == 0:
        return "-0" if str(value).startswith("-") else "0"
    number = Decimal(repr(value)).normalize()
    sign, digits, _ = number.as_tuple()
    power = number.adjusted()
    if _LEAST_PLAIN <= power < _MOST_PLAIN:
        return f"{number:f}"
    first, rest = digits[0], "".join(map(str, digits[1:]))
    return f"{'-' if sign else ''}{first}{'.' if rest else ''}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"
