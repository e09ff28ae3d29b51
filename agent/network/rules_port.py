"""What the agent needs of the kernel's packet rules, and a fake that has them in memory."""

from dataclasses import dataclass, field
from typing import Protocol

from swarmpy.errors import Unavailable


class RulesRefused(Unavailable):
    """The kernel did not take a script: what it has is as it was. The whole ruleset may still be taken."""


@dataclass(frozen=True, slots=True)
class Features:
    """What this node's kernel and `nft` can do. `reason` is what they said where `rules` is false."""

    rules: bool = True
    bridge: bool = True
    fib: bool = True
    reason: str = ""


class PacketRules(Protocol):
    async def probe(self) -> Features: ...

    async def apply(self, script: str) -> None:
        """All of it or nothing: refused with `RulesRefused`, in the kernel's words."""

    async def fingerprint(self) -> str | None:
        """Equal as long as nobody changed our tables; None: they cannot be read now."""

    async def generation(self) -> int | None:
        """Grows by one with each script, ours or another's, whatever tables it is about; None: not known."""


@dataclass
class MemoryRules:
    """Takes every script; `tampered` stands for somebody else's hand, `others` for what is done to other tables."""

    features: Features = Features()
    applied: list[str] = field(default_factory=list)
    tampered: int = 0
    others: int = 0

    async def probe(self) -> Features:
        return self.features

    async def apply(self, script: str) -> None:
        self.applied.append(script)

    async def fingerprint(self) -> str | None:
        return f"{len(self.applied)}/{self.tampered}"

    async def generation(self) -> int | None:
        return len(self.applied) + self.tampered + self.others
