"""Numbers of overlay networks (VNIs), wished for or chosen, and the claim by which no two networks have one. Pure.

A claim is written with the number and deleted with the network's record. Networks of older versions have none: to
whoever has them in the picture, they hold their numbers all the same.
"""

from collections.abc import Collection
from itertools import count

from manager.objects import Network
from manager.state import State
from manager.store.keys import name_key
from manager.store.port import Delete, Put
from swarmpy.models.network import VNI_OPTION

# VNIs have 24 bits: ranges run out long before them. Docker's own begin at 4096; both may be on one machine.
FIRST_VNI = 65537
LAST_VNI = (1 << 24) - 1


def wished_vni(network: Network) -> int:
    """0 where any will do."""
    text = (network.spec.options or {}).get(VNI_OPTION, "")
    return int(text) if text.isdecimal() else 0


class Vnis:
    """The numbers in use, while networks get theirs one after the other."""

    def __init__(self, networks: Collection[Network]) -> None:
        self._holders = {network.vni: network for network in networks if network.vni}
        self._spoken_for = {*self._holders, *map(wished_vni, networks)}

    def given(self, network: Network) -> tuple[int, str]:
        """Its number, or why it gets none."""
        wish = wished_vni(network)
        holder = self._holders.get(wish)
        if holder is not None and holder.id != network.id:
            return 0, f"VNI {wish} is that of network {holder.spec.name}: choose another"
        vni = wish or next(number for number in count(FIRST_VNI) if number not in self._spoken_for)
        self._holders[vni] = network
        self._spoken_for.add(vni)
        return vni, ""


def vni_claims(state: State, network: Network) -> tuple[Put, ...]:
    """What is written with the network, that has a number or wishes for one: of two that claim it from the same
    picture, the second is refused. A claim whose network is gone is taken over."""
    number = network.vni or wished_vni(network)
    if not number or state.named("vnis", str(number)) in state.networks:
        return ()
    key = _key(number)
    return (Put(key, network.id.encode(), modified=state.version_of(key)),)


def vni_releases(state: State, network: Network) -> tuple[Delete, ...]:
    """What is written besides the end of its record."""
    numbers = {network.vni, wished_vni(network)}
    held = (_key(number) for number in sorted(numbers) if state.named("vnis", str(number)) == network.id)
    return tuple(Delete(key, modified=state.version_of(key)) for key in held)


def _key(number: int) -> str:
    return name_key("vnis", str(number))
