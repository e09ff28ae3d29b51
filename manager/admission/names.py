"""Names that people give: of services, networks and images. Pure."""

import re

from swarmpy.errors import BadRequest

_COMPONENT = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?")
_NETWORK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_LONGEST = 63
_LONGEST_NETWORK = 128

_DOMAIN = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:(?:{_DOMAIN}|\[[0-9a-fA-F:]+\](?::[0-9]+)?)/)?{_PART}(?:/{_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
)


def check_service_name(name: str | None) -> str:
    """A service's name is one component of a DNS name: other tasks find the service by it."""
    if not name or _COMPONENT.fullmatch(name) is None:
        raise BadRequest(
            f"name must be valid as a DNS name component, and {name or ''!r} is not: "
            "use letters, digits, - and _, with a letter or digit at both ends"
        )
    if len(name) > _LONGEST:
        raise BadRequest(f"name must be {_LONGEST} characters or fewer, and {name!r} has {len(name)}")
    return name


def check_network_name(name: str) -> str:
    if _NETWORK.fullmatch(name) is None:
        raise BadRequest(f"Name: {name!r} is no network name: use letters, digits, _, . and -, a letter or digit first")
    if len(name) > _LONGEST_NETWORK:
        raise BadRequest(f"Name: a network's name has {_LONGEST_NETWORK} characters or fewer, and this one {len(name)}")
    return name


def check_image(image: str | None) -> str:
    """An image reference: `[registry[:port]/]path[:tag][@digest]`."""
    if not image:
        raise BadRequest("ContainerSpec: image reference must be provided")
    if _IMAGE.fullmatch(image) is None:
        hint = ": the path of an image is lower case" if image != image.lower() else ""
        raise BadRequest(f"ContainerSpec: {image!r} is not a valid image reference{hint}")
    return image
