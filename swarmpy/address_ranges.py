"""Ranges of IPv4 addresses that containers cannot have, whoever asks for them. Pure."""

from ipaddress import IPv4Network

_UNUSABLE = {
    IPv4Network("0.0.0.0/8"): "names no machines",
    IPv4Network("127.0.0.0/8"): "is every machine's loopback",
    IPv4Network("169.254.0.0/16"): "is for addresses that lead nowhere beyond a link",
    IPv4Network("224.0.0.0/4"): "is for multicast",
    IPv4Network("240.0.0.0/4"): "is reserved, and machines drop it",
}


def fault_of_range(subnet: IPv4Network) -> str:
    """Why no network can be made of it, with the range at fault; empty when one can."""
    return next((f"{range} {why}" for range, why in _UNUSABLE.items() if subnet.overlaps(range)), "")
