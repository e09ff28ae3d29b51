"""Shares of nodes that were given back a while ago. Pure.

The next node would hand out the very addresses that the former one's tasks had, and knows nothing of them: so such a
share rests, and is given only where there is no other. The network's record says which ones rest, for whoever leads
next.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import IPv4Network

from manager.allocator.ranges import Ranges
from manager.allocator.vips import REST
from manager.objects import Network, RestingShare


class RestingShares:
    """Those of all networks: what one took of the pools and gave back, another may be given."""

    def __init__(self, networks: Iterable[Network], now: datetime) -> None:
        shares = [share for network in networks for share in network.resting_shares if share.since + REST > now]
        self._since = {IPv4Network(share.subnet): share.since for share in sorted(shares, key=lambda each: each.since)}
        self._ground = Ranges(self._since)

    def last(self, pieces: Iterable[IPv4Network]) -> Iterator[IPv4Network]:
        """The pieces, those first that do not rest, then the longest unused."""
        later: list[tuple[datetime, IPv4Network]] = []
        for piece in pieces:
            since = self._resting_since(piece)
            if since is None:
                yield piece
            else:
                later.append((since, piece))
        yield from (piece for _, piece in sorted(later))

    def _resting_since(self, piece: IPv4Network) -> datetime | None:
        if not self._ground.touches(piece):
            return None
        # Networks have pieces of one size each: seldom is one a part of another.
        return self._since.get(piece) or max(since for share, since in self._since.items() if share.overlaps(piece))


def with_rest(before: Network, after: Network, now: datetime) -> Network:
    """The network `after` a change, with what rests from now on."""
    held = {share.subnet for share in after.node_subnets}
    since = {share.subnet: share.since for share in before.resting_shares if share.since + REST > now}
    since |= {share.subnet: now for share in before.node_subnets}
    rests = tuple(RestingShare(subnet=text, since=at) for text, at in since.items() if text not in held)
    return after.model_copy(update={"resting_shares": rests})
