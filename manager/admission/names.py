"""Names that people give: of services, networks, images, hosts and users. Pure."""

import re

from manager.admission.faults import at
from swarmpy.container_values import HIGHEST_ID, is_number_within
from swarmpy.errors import BadRequest
from swarmpy.image_reference import check_image_reference
from swarmpy.shown import shown
from swarmpy.templating import filled, is_template

_COMPONENT = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?")
_NETWORK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_LONGEST = 63
_LONGEST_NETWORK = 128

# The kernel's limit, in bytes.
_LONGEST_HOSTNAME = 64
_LONGEST_DOMAIN = 253
# RFC 1123, and _, which is in use and which engines take.
_HOST_LABEL = re.compile(r"[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?")


def check_service_name(name: str | None) -> str:
    """A service's name is one component of a DNS name: other tasks find the service by it."""
    if not name or _COMPONENT.fullmatch(name) is None:
        raise BadRequest(
            f"name must be valid as a DNS name component, and {shown(name or '')} is not: "
            "use letters, digits, - and _, with a letter or digit at both ends"
        )
    if len(name) > _LONGEST:
        raise BadRequest(f"name must be {_LONGEST} characters or fewer, and {shown(name)} has {len(name)}")
    return name


def check_network_name(name: str) -> str:
    if _NETWORK.fullmatch(name) is None:
        raise BadRequest(
            f"Name: {shown(name)} is no network name: use letters, digits, _, . and -, a letter or digit first"
        )
    if len(name) > _LONGEST_NETWORK:
        raise BadRequest(f"Name: a network's name has {_LONGEST_NETWORK} characters or fewer, and this one {len(name)}")
    return name


def check_image(image: str | None) -> None:
    if not image:
        raise BadRequest("ContainerSpec: image reference must be provided")
    with at("ContainerSpec"):
        check_image_reference(image)


def check_hostname(text: str) -> None:
    """Of a container. What the node fills in may be any part of it."""
    if is_template(text):
        _check_labels(filled(text, lambda _: "x"), text)
        return
    _check_labels(text, text)
    if len(text) > _LONGEST_HOSTNAME:
        raise BadRequest(f"a host name has {_LONGEST_HOSTNAME} characters or fewer, and {shown(text)} has {len(text)}")


def check_domain(text: str) -> None:
    """A name of DNS, whole or in part."""
    _check_labels(text, text)
    if len(text) > _LONGEST_DOMAIN:
        raise BadRequest(f"a name has {_LONGEST_DOMAIN} characters or fewer, and this one {len(text)}")


def check_search_domain(text: str) -> None:
    """A dot alone is: none."""
    if text != ".":
        check_domain(text.removesuffix("."))


def check_user(text: str) -> None:
    """`name` or `id`, or two of them with a colon between. Which names there are is the image's to say."""
    if not text.isprintable() or not text.strip():
        raise BadRequest(f"{shown(text)} is no name of a user or group; write one such as app, 1000 or 1000:1000")
    for part in text.split(":", 1):
        digits = part.removeprefix("-")
        if digits.isascii() and digits.isdecimal() and not is_number_within(part, 0, HIGHEST_ID):
            raise BadRequest(f"{part[:32]} is no id; they go from 0 to {HIGHEST_ID}")


def _check_labels(text: str, given: str) -> None:
    """`given` is the text as people wrote it."""
    for label in text.split("."):
        if _HOST_LABEL.fullmatch(label) is None:
            raise BadRequest(
                f"{shown(given)} is no host name: use parts of at most 63 letters, digits, - and _, with dots between "
                "them and no - at an end"
            )
