"""Rules in the engine's chain DOCKER-USER, so that the engine's firewall lets through what is between our devices, and
connections that were translated to them; what else enters or leaves our bridges, the engine decides, and so between
them and its own.

What may pass between our networks our own table says. Without the chain (an engine without iptables, or with nftables)
there is nothing to do. Rules of the node's owner in that chain stay before ours.
"""

from collections.abc import Callable, Sequence

from agent.network.command import Ended, Failure, run
from agent.network.picture import BRIDGE_PREFIX, VTEP_PREFIX
from swarmpy.errors import Forbidden, SwarmpyError, Unavailable

CHAIN = "DOCKER-USER"
_BRIDGES, _VTEPS = f"{BRIDGE_PREFIX}+", f"{VTEP_PREFIX}+"
# Translated on the way here. On the way out that says nothing: the engine translates to its own bridges as well.
_ASKED = "-m conntrack --ctstate DNAT --ctdir ORIGINAL"
_ANSWERED = "-m conntrack --ctstate DNAT --ctdir REPLY"
# As iptables lists them.
_RULES = (
    f"-i {_BRIDGES} -o {_BRIDGES} -j ACCEPT",
    f"-i {_BRIDGES} -o {_VTEPS} -j ACCEPT",
    f"-i {_VTEPS} -o {_BRIDGES} -j ACCEPT",
    *(f"-o {devices} {_ASKED} -j ACCEPT" for devices in (_BRIDGES, _VTEPS)),
    *(f"-i {devices} {_ANSWERED} -j ACCEPT" for devices in (_BRIDGES, _VTEPS)),
)
_END = "-j RETURN"
# Seconds that it waits for others who change the tables, and that we wait for it.
_LOCK_WAIT, _TIMEOUT = "5", 15
_BUSY = 4

Command = tuple[str, ...]


def missing(listing: str) -> tuple[Command, ...]:
    """The arguments of `iptables` that put what is not in a listing (`iptables -S`); none when the chain is not."""
    lines = [line.strip() for line in listing.splitlines()]
    if f"-N {CHAIN}" not in lines:
        return ()
    head = f"-A {CHAIN} "
    rules = [line.removeprefix(head) for line in lines if line.startswith(head)]
    # Older engines end the chain with this; what comes after it is never reached.
    reached = rules[: rules.index(_END)] if _END in rules else rules
    place = str(len(reached) + 1)
    return tuple(("-I", CHAIN, place, *rule.split()) for rule in reversed(_RULES) if rule not in reached)


def present(listing: str) -> tuple[Command, ...]:
    """The arguments of `iptables` that take ours out of a listing again."""
    lines = [line.strip() for line in listing.splitlines()]
    return tuple(("-D", CHAIN, *rule.split()) for rule in _RULES if f"-A {CHAIN} {rule}" in lines)


class DockerUser:
    """`command` runs iptables; it is there where the engine needs it."""

    def __init__(self, command: Sequence[str] = ("iptables",)) -> None:
        self._command = tuple(command)
        self._was_there = False

    async def mend(self) -> tuple[str, ...]:
        """Put the rules that are missing; the answer says which, for events. Raises `Unavailable` when the engine's
        chain has gone, and all of its rules with it."""
        put = await self._change(self._missing)
        return tuple(f"iptables rule {' '.join(arguments[3:])} of chain {CHAIN} was missing" for arguments in put)

    def _missing(self, listing: str) -> tuple[Command, ...]:
        is_there = f"-N {CHAIN}" in listing.splitlines()
        if self._was_there and not is_there:
            raise Unavailable(
                f"the engine's packet rules are gone from this node (no chain {CHAIN}), and it can make no network "
                "without them: restart the engine"
            )
        self._was_there = is_there
        return missing(listing)

    async def remove(self) -> None:
        """Take ours away; those of the node's owner stay."""
        await self._change(present)

    async def _change(self, decide: Callable[[str], tuple[Command, ...]]) -> tuple[Command, ...]:
        # All of the table: asked for a chain that is not there, iptables 1.8.9 says that it is incompatible.
        listed = await self._run("-S")
        if listed.failure is Failure.NOT_THERE:
            return ()
        commands = decide(_output_of(listed))
        for arguments in commands:
            _output_of(await self._run(*arguments))
        return commands

    async def _run(self, *arguments: str) -> Ended:
        return await run((*self._command, "-w", _LOCK_WAIT, *arguments), limit=_TIMEOUT)


def _output_of(ended: Ended) -> str:
    if ended.failure is Failure.TOO_LONG:
        raise Unavailable(f"iptables took longer than {_TIMEOUT} s to read or change chain {CHAIN}")
    if ended.code:
        raise _error(ended.code, ended.complaint)
    return ended.output


def _error(code: int, said: str) -> SwarmpyError:
    story = f"iptables cannot read or change chain {CHAIN}: {' '.join(said.split()) or f'it ended with {code}'}"
    if "ermission denied" in said or "must be root" in said:
        return Forbidden(story)
    return Unavailable(story) if code == _BUSY else SwarmpyError(story)
