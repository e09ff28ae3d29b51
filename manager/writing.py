"""A wish becomes a write: admitted against the picture, committed, and admitted anew when somebody wrote first."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from manager.admission.admitted import Admitted, Value
from manager.ledger import Ledger, Subscription
from manager.store.errors import CommitConflict
from manager.store.port import Unit
from swarmpy.clock import Clock, within
from swarmpy.errors import Conflict, LeadershipLost, Unavailable
from swarmpy.models.base import rfc3339

_ATTEMPTS = 5
# A write of our own that came between is known this soon.
_NEWS_WITHIN = timedelta(seconds=1)


async def carry_out(ledger: Ledger, clock: Clock, admit: Callable[[], Admitted[Value]]) -> Value:
    """Write what `admit` makes of the picture; when someone else wrote first, look again and repeat.

    Raises `Unavailable` with the reason when nothing can be written, and whatever `admit` raises.
    """
    admitted: list[Admitted[Value]] = []

    def units() -> Sequence[Unit]:
        admitted.append(admit())
        return admitted[-1].units

    await write(ledger, clock, units)
    return admitted[-1].value


async def write(ledger: Ledger, clock: Clock, decide: Callable[[], Sequence[Unit]]) -> None:
    """The same, for whoever has nothing to answer. No units: nothing is written, and nothing need be writable."""
    news = ledger.subscribe()
    try:
        await _after_second_tries(ledger)
        if await _try(ledger, clock, news, decide):
            return
        # Whoever lost a race goes on in turn: many that want one key would lose to each other again and again.
        async with ledger.second_tries:
            for _ in range(_ATTEMPTS - 1):
                if await _try(ledger, clock, news, decide):
                    return
        raise Conflict("others keep writing to the same objects; try again")
    finally:
        ledger.unsubscribe(news)


async def _after_second_tries(ledger: Ledger) -> None:
    """Or newcomers, of whom one always is the first to write, would make a wish that touches much lose every time."""
    if ledger.second_tries.locked() and ledger.stale_since is None and ledger.is_leading:
        async with ledger.second_tries:
            pass


async def _try(ledger: Ledger, clock: Clock, news: Subscription, decide: Callable[[], Sequence[Unit]]) -> bool:
    """False when someone else wrote first, and what that was is known by now."""
    news.take()
    units = decide()
    if not units:
        return True
    _check_writable(ledger)
    try:
        await ledger.commit(units)
    except CommitConflict:
        with suppress(TimeoutError):
            await within(clock, _NEWS_WITHIN, news.wait())
        return False
    return True


def _check_writable(ledger: Ledger) -> None:
    """Say at once what a commit would find out after waiting."""
    if ledger.stale_since is not None:
        raise Unavailable(
            f"the cluster cannot be changed: etcd is away since {rfc3339(ledger.stale_since)} "
            f"({ledger.stale_reason}); what runs keeps running"
        )
    if not ledger.is_leading:
        leader = ledger.state.nodes.get(ledger.state.leader)
        who = f"; ask the leader, {leader.description.hostname}" if leader else ", and no leader is known; try again"
        raise LeadershipLost(f"the cluster cannot be changed here: this manager does not lead{who}")
