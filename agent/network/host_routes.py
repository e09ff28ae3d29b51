"""Which subnets this node reaches otherwise than over our networks: none of ours may overlap one. Pure."""

import struct
from ipaddress import IPv4Network

from agent.network.links import is_ours

# From <net/route.h>: what has no gateway is on the device itself, and both keep others out.
_REJECTED = 0x0200


def routes_in(table: str) -> tuple[str, ...]:
    """The subnets in the kernel's `/proc/net/route`, each once and in order. Default routes say nothing."""
    found = set()
    for line in table.splitlines()[1:]:
        device, destination, _, flags, *_, mask = line.split()[:8]
        subnet = IPv4Network((_number(destination), _number(mask).bit_count()), strict=False)
        if subnet.prefixlen and not is_ours(device) and not int(flags, 16) & _REJECTED:
            found.add(subnet)
    return tuple(map(str, sorted(found)))


def _number(text: str) -> int:
    """The kernel writes the bytes of an address as one number of the machine's own order."""
    (number,) = struct.unpack("!I", struct.pack("=I", int(text, 16)))
    return int(number)
