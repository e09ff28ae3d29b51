"""Keys outside the store's prefix, in etcd. Which member is asked and how failures are told is `etcd_connection`'s."""

from collections.abc import Mapping, Sequence
from typing import Any

from aetcd import rpc

from manager.store.etcd_connection import EtcdConnection, Member, open_connection
from manager.store.etcd_transaction import Keys
from manager.store.pack import MAX_WRITES
from manager.store.port import Fence
from manager.store.published import PublishedKeys
from swarmpy.clock import Clock
from swarmpy.errors import LeadershipLost
from swarmpy.settings import EtcdSettings

# A record is some hundred bytes, and etcd sends no more than 2 MiB at once by default.
_PAGE = 2_000


def open_etcd_published(settings: EtcdSettings, clock: Clock) -> "EtcdPublished":
    """Raises `BadRequest` when a certificate or key file cannot be read."""
    return EtcdPublished(open_connection(settings, clock), settings.prefix)


class EtcdPublished(PublishedKeys):
    """`prefix` is the store's, where the leader's key is."""

    def __init__(self, connection: EtcdConnection, prefix: str) -> None:
        self._connection = connection
        self._keys = Keys(prefix)

    async def load(self, prefix: str) -> Mapping[str, bytes]:
        begin = prefix.encode()
        found: dict[str, bytes] = {}
        end = begin[:-1] + bytes([begin[-1] + 1])
        while True:
            page = await self._page(begin, end)
            found.update((pair.key.decode(errors="replace"), pair.value) for pair in page.kvs)
            if not page.more:
                return found
            begin = page.kvs[-1].key + b"\0"

    async def _page(self, begin: bytes, end: bytes) -> Any:
        request = rpc.RangeRequest(key=begin, range_end=end, limit=_PAGE)

        def send(member: Member, **how: Any) -> Any:
            return member.kv.Range(request, **how)

        return await self._connection.ask("load published names", send, repeatable=True)

    async def write(self, put: Mapping[str, bytes], drop: Sequence[str], fence: Fence) -> None:
        # Drops last: whoever reads between two transactions finds an old name rather than none.
        operations = [
            rpc.RequestOp(request_put=rpc.PutRequest(key=key.encode(), value=value)) for key, value in put.items()
        ]
        operations += [rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key.encode())) for key in drop]
        for first in range(0, len(operations), MAX_WRITES):
            await self._transact(operations[first : first + MAX_WRITES], fence)

    async def _transact(self, operations: Sequence[Any], fence: Fence) -> None:
        request = rpc.TxnRequest(success=operations)
        key = self._keys.absolute(fence.key)
        request.compare.add(target=rpc.Compare.CREATE, key=key, create_revision=fence.created)

        def send(member: Member, **how: Any) -> Any:
            return member.kv.Txn(request, **how)

        # Not sent twice: the first might take effect after what is written next.
        answer = await self._connection.ask("publish names", send, repeatable=False)
        if not answer.succeeded:
            raise LeadershipLost("another manager leads the cluster now; no more names were published")

    async def close(self) -> None:
        await self._connection.close()
