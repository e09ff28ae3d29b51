"""Sets of IPv4 addresses as ranges: what is free beside them is found without trying every subnet."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network


class Ranges:
    """Subnets may overlap each other; what they cover is held as disjoint ranges in order."""

    def __init__(self, subnets: Iterable[IPv4Network] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for subnet in sorted(subnets):
            self.add(subnet)

    def add(self, subnet: IPv4Network) -> None:
        first, last = _bounds(subnet)
        # All that it touches becomes one range with it.
        begin, end = bisect_left(self._lasts, first), bisect_right(self._firsts, last)
        if begin < end:
            first, last = min(first, self._firsts[begin]), max(last, self._lasts[end - 1])
        self._firsts[begin:end] = [first]
        self._lasts[begin:end] = [last]

    def touches(self, subnet: IPv4Network) -> bool:
        first, last = _bounds(subnet)
        place = bisect_left(self._lasts, first)
        return place < len(self._lasts) and self._firsts[place] <= last

    def free(self, within: IPv4Network, prefix: int) -> Iterator[IPv4Network]:
        """The subnets of that size that touch nothing, in order. What is added meanwhile is heeded."""
        if prefix < within.prefixlen:
            return
        size = 1 << (32 - prefix)
        first, end = _bounds(within)
        while first + size - 1 <= end:
            place = bisect_left(self._lasts, first)
            if place < len(self._lasts) and self._firsts[place] < first + size:
                first = (self._lasts[place] // size + 1) * size
            else:
                yield IPv4Network((first, prefix))
                first += size


def _bounds(subnet: IPv4Network) -> tuple[int, int]:
    return int(subnet.network_address), int(subnet.broadcast_address)
