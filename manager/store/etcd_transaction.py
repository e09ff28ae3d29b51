"""Our transactions as etcd's requests, and etcd's answers as ours. Sends nothing."""

from aetcd import rpc

from manager.store.committing import Refused, Written
from manager.store.pack import Transaction, refused_units
from manager.store.port import Batch, Change, Check, Entry, Fence, Put, Revision, Write


class Keys:
    """Relative names under one prefix, and etcd's bytes."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{prefix.strip('/')}/".encode()

    @property
    def first(self) -> bytes:
        return self._prefix

    @property
    def end(self) -> bytes:
        """The first key behind the prefix."""
        return self._prefix[:-1] + bytes([self._prefix[-1] + 1])

    def absolute(self, key: str) -> bytes:
        return self._prefix + key.encode()

    def relative(self, key: bytes) -> str:
        return key[len(self._prefix) :].decode()

    def entry(self, pair: "rpc.KeyValue") -> Entry:
        return Entry(self.relative(pair.key), pair.value, pair.create_revision, pair.mod_revision)


def transaction_request(keys: Keys, transaction: Transaction, fence: Fence | None) -> "rpc.TxnRequest":
    """When a condition fails, etcd reads all the keys that had one, in the same instant: that says which it was."""
    request = rpc.TxnRequest()
    if fence is not None:
        key = keys.absolute(fence.key)
        request.compare.add(target=rpc.Compare.CREATE, key=key, create_revision=fence.created)
        request.failure.add(request_range=rpc.RangeRequest(key=key, keys_only=True))
    for write in _writes(transaction):
        key = keys.absolute(write.key)
        if write.modified is not None:
            request.compare.add(target=rpc.Compare.MOD, key=key, mod_revision=write.modified)
            request.failure.add(request_range=rpc.RangeRequest(key=key, keys_only=True))
        if isinstance(write, Put):
            # The value before tells the create revision; a key that must not exist has none.
            was_there = write.modified != 0
            put = rpc.PutRequest(key=key, value=write.value, lease=write.lease or 0, prev_kv=was_there)
            request.success.add(request_put=put)
        elif not isinstance(write, Check):
            request.success.add(request_delete_range=rpc.DeleteRangeRequest(key=key))
    return request


def outcome(keys: Keys, transaction: Transaction, fence: Fence | None, answer: "rpc.TxnResponse") -> Written | Refused:
    if answer.succeeded:
        return Written(_batch(transaction, answer))
    found = [pair for response in answer.responses for pair in response.response_range.kvs]
    if fence is not None:
        term = next((pair.create_revision for pair in found if keys.relative(pair.key) == fence.key), 0)
        if term != fence.created:
            return Refused((), fence_holds=False)
    modified = {keys.relative(pair.key): pair.mod_revision for pair in found}
    return Refused(refused_units(transaction, lambda key: modified.get(key, 0)), fence_holds=True)


def _batch(transaction: Transaction, answer: "rpc.TxnResponse") -> Batch | None:
    revision: Revision = answer.header.revision
    changes = []
    effective = (write for write in _writes(transaction) if not isinstance(write, Check))
    for write, response in zip(effective, answer.responses, strict=True):
        if isinstance(write, Put):
            before = response.response_put.prev_kv.create_revision
            changes.append(Change(write.key, Entry(write.key, write.value, before or revision, revision)))
        elif response.response_delete_range.deleted:
            changes.append(Change(write.key, None))
    return Batch(revision, tuple(changes)) if changes else None


def _writes(transaction: Transaction) -> list[Write]:
    return [write for unit in transaction for write in unit.writes]
