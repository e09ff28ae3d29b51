"""What the first manager brings to a new cluster, from the files its node made, and hands over. Signs nothing."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from manager.ca.join_tokens import new_join_secrets
from manager.ca.sealing import Sealer
from manager.control.bootstrap import Founding, founded
from manager.ledger import Ledger
from manager.objects import AnyObject
from swarmpy.errors import BadRequest
from swarmpy.idgen import Mint
from swarmpy.pki import CA_FILE, CA_KEY_FILE, KEY_FILE, Authority, key_digest_of, request_for
from swarmpy.settings import ManagerSettings


def load_founding(settings: ManagerSettings, sealer: Sealer, mint: Mint) -> Founding | None:
    """None on every manager but the first, and on that one too, once the CA's key is safe in the store."""
    key_file = ca_key_file(settings)
    if not key_file.exists():
        return None
    authority = Authority((settings.identity / CA_FILE).read_text(), key_file.read_text())
    return Founding(
        cluster_id=authority.cluster_id,
        ca_certificate=authority.certificate,
        sealed_ca_key=sealer.seal(authority.key.encode()),
        sealed_join_secrets=new_join_secrets(sealer, mint),
        node_id=settings.node_id,
        hostname=settings.hostname,
        address=settings.advertise_address,
        address_pools=settings.address_pools,
        subnet_size=settings.subnet_size,
        key_digest=key_digest_of(request_for((settings.identity / KEY_FILE).read_text())),
    )


def first_objects(founding: Founding | None) -> Callable[[datetime], tuple[AnyObject, ...]]:
    """What a leader that finds no cluster in the store writes there."""

    def make(now: datetime) -> tuple[AnyObject, ...]:
        if founding is None:
            raise BadRequest("the store holds no cluster, and this node joined one: restore etcd's data from a backup")
        return founded(founding, now)

    return make


async def hand_over(ledger: Ledger, settings: ManagerSettings) -> None:
    """Once the store has the cluster, its CA's key is there, encrypted, and goes from this disk. Never returns.

    Raises `BadRequest` when the store holds another cluster than the one this node belongs to.
    """
    ours = (settings.identity / CA_FILE).read_text()
    changes = ledger.subscribe()
    try:
        while True:
            cluster = ledger.state.cluster
            if cluster is not None and cluster.ca_certificate != ours:
                raise BadRequest(
                    "etcd holds another cluster than this node belongs to: join that one with --join, or choose "
                    "another etcd"
                )
            if cluster is not None:
                ca_key_file(settings).unlink(missing_ok=True)
            await changes.wait()
            changes.take()
    finally:
        ledger.unsubscribe(changes)


def ca_key_file(settings: ManagerSettings) -> Path:
    return settings.identity / CA_KEY_FILE
