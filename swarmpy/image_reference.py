"""How references to images are written. Pure."""

import re

from swarmpy.errors import BadRequest
from swarmpy.shown import shown

_DOMAIN = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?P<name>(?:(?:{_DOMAIN}|\[[0-9a-fA-F:]+\](?::[0-9]+)?)/)?{_PART}(?:/{_PART})*)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@(?P<algorithm>[a-z0-9]+):(?P<digest>[0-9a-f]+))?"
)
_LONGEST = 255
# Algorithm -> characters of its digest.
_DIGESTS = {"sha256": 64, "sha384": 96, "sha512": 128}


def check_image_reference(text: str) -> None:
    """`[registry[:port]/]path[:tag][@digest]`; raises `BadRequest`."""
    found = _IMAGE.fullmatch(text)
    if found is None:
        hint = ": the path of an image is lower case" if text != text.lower() else ""
        raise BadRequest(f"{shown(text)} is not a valid image reference{hint}")
    if len(found["name"]) > _LONGEST:
        raise BadRequest(f"an image's name has {_LONGEST} characters or fewer without its tag, and this one has more")
    if found["digest"] and len(found["digest"]) != _DIGESTS.get(found["algorithm"]):
        raise BadRequest(f"{shown(text)} is not a valid image reference: a digest is sha256: and 64 hexadecimal digits")
