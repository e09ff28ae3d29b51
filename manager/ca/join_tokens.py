"""The secrets that machines join with: drawn here, encrypted at once, read back for those who may show them."""

from collections.abc import Mapping

from manager.ca.sealing import Sealer
from manager.objects import Cluster, JoinSecrets
from swarmpy.errors import Unavailable
from swarmpy.idgen import Mint
from swarmpy.models.cluster import JoinTokens
from swarmpy.pki import digest_of
from swarmpy.tokens import JoinToken


def new_join_secrets(sealer: Sealer, mint: Mint) -> JoinSecrets:
    return JoinSecrets(worker=sealer.seal(mint().encode()), manager=sealer.seal(mint().encode()))


def rotated(sealer: Sealer, mint: Mint, *, worker: bool, manager: bool) -> Mapping[str, str]:
    """New secrets of the roles named, encrypted."""
    wanted = {"worker": worker, "manager": manager}
    return {role: sealer.seal(mint().encode()) for role, is_wanted in wanted.items() if is_wanted}


def read_join_tokens(cluster: Cluster, sealer: Sealer) -> JoinTokens:
    """Raises `Unavailable` for a cluster that has none yet."""
    secrets = cluster.sealed_join_secrets
    if secrets is None:
        raise Unavailable("the cluster is being set up; try again in a moment")
    digest = digest_of(cluster.ca_certificate)

    def token(sealed: str) -> str:
        return str(JoinToken(digest, sealer.unseal(sealed).decode()))

    return JoinTokens(worker=token(secrets.worker), manager=token(secrets.manager))
