"""Where other machines reach this one, as far as it can tell itself. Sends nothing."""

import socket

LOOPBACK = "127.0.0.1"
# Reserved for documentation (RFC 5737): no packet is sent there, the kernel only says which way it would take.
_ELSEWHERE = ("192.0.2.1", 9)


def default_address() -> str:
    """Of the interface that the default route leaves by; loopback where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
            address: str = probe.getsockname()[0]
        except OSError:
            return LOOPBACK
        return address
