"""What keeps encrypted networks closed to the clear, whatever happens to links and routes. Pure.

Three doors: VXLAN with a VNI of theirs is taken from the tunnel alone, for the kernel takes it from every device; it
leaves by the tunnel alone; and what is for another container, when its route is missing, does not follow the default
route.
"""

from agent.network.picture import TUNNEL, VXLAN_PORT, Picture
from agent.network.rules_text import VNI, any_of, networks_of, quoted
from agent.network.table import Chain

_HOOK = "type filter hook {} priority {}; policy accept;"


def sealing_chains(picture: Picture) -> dict[str, Chain]:
    networks = [network for network in networks_of(picture) if network.encrypted]
    if not networks:
        return {}
    enveloped = f"udp dport {VXLAN_PORT} {VNI} {any_of(sorted(network.vni for network in networks))}"
    leaving = [f"oifname != {quoted(TUNNEL)} {enveloped} drop"]
    for network in networks:
        devices = any_of([quoted(device) for device in ("lo", network.bridge, network.vtep)])
        ranges = any_of(network.ranges or (network.subnet,))
        leaving.append(f"ip daddr {ranges} oifname != {devices} drop")
    return {
        "sealed_arriving": Chain((f"iifname != {quoted(TUNNEL)} {enveloped} drop",), _HOOK.format("prerouting", -310)),
        "sealed_leaving": Chain(tuple(leaving), _HOOK.format("postrouting", 300)),
    }
