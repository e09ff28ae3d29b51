"""Constraints: the user's musts about nodes, as Docker writes them. Knows nothing of tasks and of room."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from scheduler.node import KNOWN_ATTRIBUTES, NODE_IP, Attribute, NodeInfo, find_attribute, normal_architecture
from swarmpy.errors import BadRequest
from swarmpy.shown import shown

_OPERATOR = re.compile(r"==|!=")


@dataclass(frozen=True, slots=True)
class Constraint:
    """`attribute == value` or, unless `equal`, `attribute != value`.

    Case is ignored. An attribute that a node lacks is empty: it equals nothing and differs from everything.
    `node.ip` compares with one address or a range; a node without an address satisfies neither operator.
    """

    attribute: Attribute
    equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.attribute.name} {'==' if self.equal else '!='} {self.value}"

    def matches(self, node: NodeInfo) -> bool:
        actual = self.attribute.of(node)
        if self.attribute.source == NODE_IP:
            return bool(actual) and _is_within(actual, self.value) == self.equal
        if self.attribute.source == "node.platform.arch":
            return (actual == normal_architecture(self.value)) == self.equal
        return (actual.lower() == self.value.lower()) == self.equal

    def breach(self, node: NodeInfo) -> str:
        """Why the node does not match, for people."""
        actual = self.attribute.of(node)
        return f"constraint {self} does not hold: {self.attribute.short_name} is {actual or 'not set'}"


@lru_cache(maxsize=4096)
def _network(value: str) -> IPv4Network | IPv6Network:
    return ip_network(value, strict=False)


def _is_within(address: str, value: str) -> bool:
    try:
        return ip_address(address) in _network(value)
    except ValueError:  # an agent behind a name or a unix socket has no address to compare
        return False


def parse_constraints(texts: Sequence[str]) -> tuple[Constraint, ...]:
    """Raises `BadRequest` that names the text at fault and what is wrong with it."""
    return tuple(_parse(text) for text in texts)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Constraint:
    operators = _OPERATOR.findall(text)
    if len(operators) != 1:
        # Docker's own words first: its clients know them.
        raise BadRequest(f"constraint expected one operator from ==, !=: {shown(text)}")
    name, value = (part.strip() for part in _OPERATOR.split(text))
    attribute = find_attribute(name)
    if attribute is None:
        raise BadRequest(
            f"constraint {shown(text)}: unknown key {shown(name)}; known are {', '.join(KNOWN_ATTRIBUTES)}"
        )
    if not value:
        raise BadRequest(f"constraint {shown(text)}: no value after {operators[0]}")
    if attribute.source == NODE_IP:
        _check_network(text, value)
    return Constraint(attribute, operators[0] == "==", value)


def _check_network(text: str, value: str) -> None:
    try:
        _network(value)
    except ValueError:
        raise BadRequest(
            f"constraint {shown(text)}: {shown(value)} is neither an IP address nor a range such as 10.0.0.0/8"
        ) from None
