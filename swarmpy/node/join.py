"""How a node becomes a member: trusts the CA that its token names, shows the token, and keeps the certificate."""

import asyncio
import ssl
from datetime import timedelta

from swarmpy.clock import Clock
from swarmpy.errors import Forbidden, Unavailable
from swarmpy.logs import logger
from swarmpy.membership import CA_PATH, JOIN_PATH, CaAnswer, JoinAnswer, JoinRequest
from swarmpy.node.identity import IdentityFolder
from swarmpy.node.managers import Managers, ask_one
from swarmpy.pki import digest_of, only_certificate
from swarmpy.settings import NodeSettings
from swarmpy.tokens import JoinWish

log = logger("join")

# A cluster between two leaders, or one whose managers are just starting, is waited for.
PATIENCE = timedelta(seconds=20)
PAUSE = timedelta(milliseconds=500)


async def join_cluster(
    settings: NodeSettings, identity: IdentityFolder, node_id: str, wish: JoinWish, clock: Clock
) -> JoinAnswer:
    """Ask to be a member. The certificate in the answer is for the caller to accept, once all else is written down.
    Asking again with the same folder makes no second node.

    Raises `Forbidden` for a token that is of another cluster or not valid, `Unavailable` when no manager answers.
    """
    identity.trust(await _trusted_ca(wish, clock))
    question = JoinRequest(
        secret=wish.token.secret,
        node_id=node_id,
        request=identity.request(),
        hostname=settings.hostname,
        address=settings.advertise_address,
    )
    managers = _Strangers(wish.manager, identity, clock)
    answer = await managers.ask(JOIN_PATH, question, JoinAnswer, PATIENCE)
    log.info("node.joined", cluster=answer.cluster_id)
    return answer if answer.managers else answer.model_copy(update={"managers": (wish.manager,)})


class _Strangers(Managers):
    """Managers, as one that has no certificate yet sees them: trusted by their CA alone."""

    def __init__(self, address: str, identity: IdentityFolder, clock: Clock) -> None:
        super().__init__((address,), identity.credentials, clock)
        self._ca = identity.ca_certificate()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=self._ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context


async def _trusted_ca(wish: JoinWish, clock: Clock) -> str:
    """The CA that answers at the address, if it is the one that the token names. Nothing secret is sent before."""
    deadline = clock.monotonic() + PATIENCE.total_seconds()
    while True:
        try:
            answer = await asyncio.to_thread(ask_one, wish.manager, _blind(), CA_PATH, None, CaAnswer)
            break
        except Unavailable:
            if clock.monotonic() >= deadline:
                raise
            await clock.sleep(PAUSE)
    return _compared(answer, wish)


def _compared(answer: CaAnswer, wish: JoinWish) -> str:
    """Exactly what was compared, and nothing that came along with it: whatever is kept here is trusted."""
    try:
        certificate = only_certificate(answer.ca_certificate)
        is_wanted = digest_of(certificate) == wish.token.ca_digest
    except ValueError:
        is_wanted = False
    if not is_wanted:
        raise Forbidden(
            f"the manager at {wish.manager} is not of the cluster that the token is for (its CA is another one): "
            "compare the token and the address"
        )
    return certificate


def _blind() -> ssl.SSLContext:
    """Trusts anybody: what is fetched with it is compared with the token's digest."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
