"""The node's place in the cluster, kept up: its certificate renewed in time, its role followed, a removal noticed.

Owns no child process. What the managers said last is read from where the node's agent wrote it down.
"""

from datetime import datetime, timedelta
from enum import Enum, auto
from pathlib import Path

from pydantic import BaseModel

from swarmpy.clock import Clock
from swarmpy.errors import SwarmpyError
from swarmpy.idgen import jitter
from swarmpy.logs import logger
from swarmpy.membership import (
    CERTIFICATE_PATH,
    MEMBER_PATH,
    CertificateAnswer,
    CertificateRequest,
    MemberAnswer,
    MemberRequest,
)
from swarmpy.node.identity import IdentityFolder
from swarmpy.node.managers import Answer, Managers
from swarmpy.states import Role
from swarmpy.word import load_word

log = logger("node")

LOOK_EVERY = timedelta(milliseconds=500)
# After a question that no manager answered well.
PAUSE = timedelta(seconds=5)
# A demoted manager's member is removed first, and a word may be older than the record.
ROLE_PAUSE = timedelta(seconds=1)
# Several machines that become managers at once take turns.
EQUIP_PAUSE = timedelta(seconds=1)
PATIENCE = timedelta(seconds=10)
# Shares of a certificate's life: early enough for a cluster that is away for a good while.
RENEWED_AT, RENEWAL_SPREAD = 0.6, 0.1


class Change(Enum):
    """Why the node's children must be others than before."""

    ROLE = auto()
    EQUIPPED = auto()
    # The others have removed this node's member of etcd, though the node is a manager.
    UNEQUIPPED = auto()
    REMOVED = auto()


class Place:
    """`first` are the managers to ask while none has told of others."""

    def __init__(self, identity: IdentityFolder, agent_folder: Path, first: tuple[str, ...], clock: Clock) -> None:
        self._identity = identity
        self._agent_folder = agent_folder
        self._managers = Managers(first, identity.credentials, clock)
        self._first = first
        self._clock = clock
        self._complaint = ""

    @property
    def role(self) -> Role:
        return self._identity.read().role

    @property
    def managers(self) -> tuple[str, ...]:
        word = load_word(self._agent_folder)
        return word.managers if word is not None and word.managers else self._first

    async def wait_until_changed(self) -> Change:
        """Until the node's role is another, or it is removed; certificates are renewed meanwhile."""
        role = self.role
        renew_at = self._renewal()
        while True:
            word = load_word(self._agent_folder)
            if word is not None and word.is_removed:
                return Change.REMOVED
            promised = word is not None and word.role is not role
            if promised or self._clock.now() >= renew_at:
                pause = ROLE_PAUSE if await self._renew() or promised else PAUSE
                renew_at = self._renewal()
                if self.role is not role:
                    return Change.ROLE
                await self._clock.sleep(pause)
            await self._clock.sleep(LOOK_EVERY)

    async def equip(self, peer_url: str | None) -> MemberAnswer:
        """What a manager needs, from the managers there are: asked for until they give it."""
        while True:
            try:
                question = MemberRequest(
                    peer_url=peer_url, etcd_request=self._identity.etcd_request() if peer_url else None
                )
                return await self._ask(MEMBER_PATH, question, MemberAnswer)
            except SwarmpyError as error:
                self._complain("manager.not_equipped", error)
                await self._clock.sleep(EQUIP_PAUSE)

    async def _renew(self) -> bool:
        """A new certificate, for the role that is on record."""
        has_etcd = self._identity.etcd_cert_file.exists()
        question = CertificateRequest(
            request=self._identity.request(), etcd_request=self._identity.etcd_request() if has_etcd else None
        )
        try:
            answer = await self._ask(CERTIFICATE_PATH, question, CertificateAnswer)
        except SwarmpyError as error:
            self._complain("certificate.not_renewed", error)
            return False
        if answer.etcd_certificate is not None:
            self._identity.accept_for_etcd(answer.etcd_certificate)
        self._identity.accept(answer.certificate)
        self._complaint = ""
        log.info("certificate.renewed", role=self.role.value, ends=self._identity.validity().ends.isoformat())
        return True

    async def _ask(self, path: str, question: BaseModel, kind: type[Answer]) -> Answer:
        self._managers.addresses = self.managers
        return await self._managers.ask(path, question, kind, PATIENCE)

    def _renewal(self) -> datetime:
        """Nodes that joined together do not all ask at the same moment."""
        return self._identity.validity().renew_at(RENEWED_AT + RENEWAL_SPREAD * jitter())

    def _complain(self, event: str, error: SwarmpyError) -> None:
        """Once, not at every attempt."""
        if self._complaint != str(error):
            self._complaint = str(error)
            log.warning(event, reason=str(error))
