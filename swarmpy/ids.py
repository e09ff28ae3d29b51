"""Form of identifiers: Docker's, 25 characters of lower-case base 36. Does not draw them (see `idgen`)."""

import re

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
LENGTH = 25
_ID = re.compile(r"[0-9a-z]{25}")


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def id_from_number(number: int) -> str:
    """The 25-character id of a number in [0, 36**25); ids sort as their numbers do."""
    digits = []
    for _ in range(LENGTH):
        number, digit = divmod(number, 36)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
