"""The inbox's partitions: one a day, made a week ahead, dropped whole when its ids have been known long enough.

Which days are due, and what of them must still be known, the database decides (migrations/00005_inbox.sql).
"""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import asyncpg
import structlog

from shared.kit import clock, metrics
from shared.kit.measuring import LEADER_POLL_S
from shared.kit.postgres.db import Connection, Pool, begun

log = structlog.get_logger(__name__)

ROLL_EVERY_S = 3600.0
AGAIN_AFTER_S = 600.0
MEASURE_EVERY_S = 60.0
GAUGES = (metrics.INBOX_DAYS_AHEAD, metrics.INBOX_OLDEST_DAY)

# One day made or dropped in each call, so that consumers come between.
SQL_ROLL = "SELECT roll_inbox($1::interval)"
SQL_DAYS = "SELECT (now() AT TIME ZONE 'UTC')::date AS today, array(SELECT day FROM inbox_days() AS day) AS days"


class Roller:
    """Rolls the days of one schema, in the one process that leads the relay; `kept`: how long an id is known."""

    def __init__(self, leads: Callable[[], bool], pool: Callable[[], Pool], kept: timedelta) -> None:
        self._leads = leads
        self._pool = pool
        self._kept = kept

    async def run(self) -> None:
        """Roll at once and then regularly, until cancelled; errors are the caller's, which starts it again."""
        while True:
            pause_s = LEADER_POLL_S
            if self._leads():
                pause_s = ROLL_EVERY_S if await self.roll() else AGAIN_AFTER_S
            await asyncio.sleep(clock.jittered(pause_s))

    async def roll(self) -> bool:
        """Make and drop all that is due. False where somebody holds a table for longer than consumers should wait."""
        try:
            while (done := await self._step()) is not None:
                log.info("inbox_rolled", done=done)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            log.info("inbox_roll_put_off", error=type(error).__name__)
            return False
        return True

    async def _step(self) -> str | None:
        async with begun(self._pool()) as conn:
            done: str | None = await conn.fetchval(SQL_ROLL, self._kept)
        return done


def days_ahead(today: date, days: set[date]) -> int:
    """How many days after today have a partition, up to the first that has none."""
    ahead = 0
    while today + timedelta(days=ahead + 1) in days:
        ahead += 1
    return ahead


async def measure(conn: Connection) -> None:
    """Set the gauges."""
    row = await conn.fetchrow(SQL_DAYS)
    assert row is not None, "it has no FROM"
    days = set(row["days"])
    metrics.INBOX_DAYS_AHEAD.set(days_ahead(row["today"], days))
    oldest = datetime.combine(min(days), time(), UTC).timestamp() if days else math.nan
    metrics.INBOX_OLDEST_DAY.set(oldest)
