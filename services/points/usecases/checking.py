"""The round through the whole ledger: a task of its own, as quick as what is left and the time that is left ask for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.points import metrics
from services.points.store import rounds
from services.points.store.rounds import Round
from shared.kit.measuring import LEADER_POLL_S, forget
from shared.kit.postgres.db import Connection, Pool, begun

AIM = timedelta(hours=12)
"""How long a round may take: less than half of what `LedgerUnchecked` allows, which leaves a day of outage."""
REST_MAX_S = 5.0
"""A small ledger is through in minutes; and a process that leads no longer notices it."""
REST_LEAST = 1 / 4
"""Of what a share took: a round that is late has four fifths of one connection's time, and never more."""


@dataclass(frozen=True)
class Checking:
    """The relay's leader takes a share, each in its own transaction, and rests until the next one is due."""

    leads: Callable[[], bool]
    pool: Callable[[], Pool]
    database_now: Callable[[Connection], Awaitable[datetime]]
    monotonic_s: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]

    async def run(self) -> None:
        """Check until cancelled; errors are the caller's, which starts again where the last whole share ended."""
        while True:
            await self.step()

    async def step(self) -> None:
        """One share and the rest after it; where another process leads, show no moment of the last round."""
        if self.leads():
            await self.sleep(await self.turn())
        else:
            forget((metrics.LEDGER_ROUND,))
            await self.sleep(LEADER_POLL_S)

    async def turn(self) -> float:
        """One share; for how many seconds to rest after it."""
        began_s = self.monotonic_s()
        async with begun(self.pool()) as conn:
            at = await self.database_now(conn)
            if (now := await rounds.round_under_way(conn)) is None:
                now = await rounds.begin(conn, at)
            now = await rounds.check_share(conn, now, at)
        if now.finished_at is not None:
            metrics.LEDGER_ROUND.set(now.finished_at.timestamp())
        took_s = self.monotonic_s() - began_s
        return rest_s(now, at + timedelta(seconds=took_s), took_s)


def rest_s(now: Round, at: datetime, took_s: float) -> float:
    """Until the time passed of AIM is the part of the round that is done."""
    early_s = (now.began_at + AIM * now.done - at).total_seconds()
    return max(took_s * REST_LEAST, min(REST_MAX_S, early_s))
