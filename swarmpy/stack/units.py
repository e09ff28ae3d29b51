"""Durations, sizes and CPUs as stack files write them. Pure; every parser raises `ValueError` that says why."""

import re
from datetime import timedelta
from decimal import Decimal

_UNITS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?|\.\d+) ?([kmgtp]?)i?b?", re.IGNORECASE)
# More than any number here has.
_MOST_DIGITS = 30
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_duration(text: str) -> int:
    """`1m30s` in nanoseconds."""
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return 0
    parts = _DURATION.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise ValueError(f"{text!r} is no duration; write one like 90s, 1m30s or 500ms")
    total = sum(Decimal(number.rstrip(".")) * _UNITS[unit] for number, unit in parts)
    return int(total) * (-1 if text.startswith("-") else 1)


def parse_positive_duration(text: str) -> timedelta:
    """Of what waits: more than nothing, and no longer than a clock can count."""
    try:
        duration = timedelta(microseconds=parse_duration(text) / 1000)
    except OverflowError:
        raise ValueError(f"{text!r} is longer than anything lasts") from None
    if duration <= timedelta(0):
        raise ValueError(f"{text!r} must be more than nothing")
    return duration


def show_duration(nanoseconds: int) -> str:
    """`1m30s`, as Go prints it."""
    if nanoseconds < 0:
        return "-" + show_duration(-nanoseconds)
    if nanoseconds == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nanoseconds < 1000 * size:
            return _decimal(nanoseconds, size) + unit
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = _decimal(rest, 10**9) + "s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def _decimal(amount: int, size: int) -> str:
    return f"{(Decimal(amount) / size).normalize():f}"


def parse_size(text: str) -> int:
    """`1.5g` in bytes; the units are binary."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size; write one like 64m, 1.5g or a number of bytes")
    return int(Decimal(match[1]) * 1024 ** _POWERS[match[2].lower()])


def parse_cpus(text: str) -> int:
    """`0.5` in billionths of a core."""
    try:
        billionths = Decimal(text) * 10**9
        is_exact = billionths.adjusted() < _MOST_DIGITS and billionths == int(billionths)
    except (ArithmeticError, ValueError):
        raise ValueError(f"{text!r} is no number of CPUs; write one like 0.5") from None
    if billionths < 0 or not is_exact:
        raise ValueError(f"{text!r} is no number of CPUs; it has at most nine digits after the point")
    return int(billionths)


def parse_whole(text: str) -> int:
    if re.fullmatch(rf"[-+]?[0-9]{{1,{_MOST_DIGITS}}}", text) is None:
        raise ValueError(f"{text!r} is no whole number")
    return int(text)
