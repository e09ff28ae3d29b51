"""Watching one prefix of etcd, over etcd's own watch stream.

aetcd's watcher is not used: it swallows errors of its readers, and cannot tell a silent etcd from an idle one.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from itertools import groupby
from typing import Any

import grpc
from aetcd import rpc

from manager.store.errors import HistoryGone
from manager.store.etcd_connection import EtcdConnection, Metadata
from manager.store.etcd_errors import is_stale_token, silent, translated
from manager.store.etcd_transaction import Keys
from manager.store.port import Batch, Change, Revision
from swarmpy.errors import Unavailable

# After so many seconds without news etcd is asked for a sign of life.
_QUIET = 1.0
_WHAT = "watch"


async def watch_prefix(connection: EtcdConnection, keys: Keys, after: Revision) -> AsyncGenerator[Batch, None]:
    """As `Store.watch` promises."""
    member = await connection.member()
    metadata: Metadata = ()
    call = None
    try:
        metadata = await connection.metadata(member)
        call = member.watch.Watch(metadata=metadata)
        await call.write(_create_request(keys, after))
        reader = _Reader(call, member.endpoint, connection.timeout.total_seconds())
        standing = await reader.next_response()
        _require_alive(standing)
        if standing.header.revision < after:
            raise HistoryGone(f"etcd is at revision {standing.header.revision}, before {after}: was it restored?")
        yield Batch(after, ())
        news = _News(keys, after)
        while True:
            response = await reader.next_response()
            _require_alive(response)
            for batch in news.batches(response):
                yield batch
    except rpc.AioRpcError as error:
        if is_stale_token(error):
            connection.forget_token(metadata)
        connection.pass_over(member)
        raise translated(error, _WHAT, member.endpoint) from error
    except (asyncio.CancelledError, grpc.aio.UsageError):
        connection.require_open_unless_cancelled()
        raise
    except Unavailable:
        connection.pass_over(member)
        raise
    finally:
        if call is not None:
            call.cancel()


def _create_request(keys: Keys, after: Revision) -> "rpc.WatchRequest":
    # From `after` itself, whose events are then left out: etcd keeps no deletions of exactly the revision it
    # compacted to, but refuses a watch from before it. So nothing later than `after` can be missing.
    create = rpc.WatchCreateRequest(key=keys.first, range_end=keys.end, start_revision=max(after, 1), fragment=True)
    return rpc.WatchRequest(create_request=create)


def _require_alive(response: "rpc.WatchResponse") -> None:
    if response.compact_revision:
        raise HistoryGone(f"etcd keeps no history before revision {response.compact_revision}; load again")
    if response.canceled:
        raise Unavailable(f"etcd ended the watch: {response.cancel_reason or 'no reason given'}")


class _Reader:
    """Responses of a watch stream, one after the other, none waited for longer than the time-out allows."""

    def __init__(self, call: Any, endpoint: str, timeout: float) -> None:
        self._call = call
        self._endpoint = endpoint
        self._timeout = timeout

    async def next_response(self) -> Any:
        """Raises `Unavailable` when etcd does not even answer that there is no news."""
        # A read that is cancelled would end the whole stream, so it runs in a task that outlives the waiting.
        reading = asyncio.ensure_future(self._call.read())
        try:
            done, _ = await asyncio.wait({reading}, timeout=_QUIET)
            while not done:
                await self._call.write(rpc.WatchRequest(progress_request=rpc.WatchProgressRequest()))
                done, _ = await asyncio.wait({reading}, timeout=self._timeout)
                if not done:
                    raise silent(_WHAT, self._endpoint)
        finally:
            if not reading.done():
                reading.cancel()
                with suppress(asyncio.CancelledError, rpc.AioRpcError):
                    await reading
        response = reading.result()
        if not isinstance(response, rpc.WatchResponse):
            raise Unavailable(f"etcd at {self._endpoint} ended the watch")
        return response


class _News:
    """Events gathered to batches: one a revision, never cut, none at or before `after`."""

    def __init__(self, keys: Keys, after: Revision) -> None:
        self._keys = keys
        self._seen = after
        self._held: list[Any] = []

    def batches(self, response: "rpc.WatchResponse") -> Iterator[Batch]:
        self._held.extend(response.events)
        # More of the last revision may follow in the next fragment.
        if response.fragment:
            return
        events, self._held = self._held, []
        for revision, group in groupby(events, key=lambda event: event.kv.mod_revision):
            if revision > self._seen:
                self._seen = revision
                yield Batch(revision, tuple(self._change(event) for event in group))

    def _change(self, event: "rpc.Event") -> Change:
        if event.type == rpc.Event.DELETE:
            return Change(self._keys.relative(event.kv.key), None)
        entry = self._keys.entry(event.kv)
        return Change(entry.key, entry)
