"""The sweeper: deletes what is older than its table keeps, in small shares, until nothing is too old."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from shared.kit import clock, metrics
from shared.kit.postgres.db import Pool, begun
from shared.kit.postgres.retention import Table

log = structlog.get_logger(__name__)

SWEEP_EVERY_S = 60.0
SHARE_ROWS = 5_000
# Of one connection's time while there is a backlog: the rest is the consumers'.
BUSY_SHARE = 0.5


class Sweeper:
    """Sweeps the declared tables of one schema, in the one process that leads the relay.

    `ages` overrides how long a table keeps its rows, where a setting says it.
    """

    def __init__(
        self,
        leads: Callable[[], bool],
        pool: Callable[[], Pool],
        tables: Sequence[Table],
        ages: Mapping[str, timedelta],
    ) -> None:
        self._leads = leads
        self._pool = pool
        self._tables = [part for table in tables for part in table.swept]
        self._emptied = [table for table in tables if table.empties is not None]
        self._ages = {part.name: ages[table.name] for table in tables if table.name in ages for part in table.swept}
        # Where the last share of a table ended. Nothing older can appear: columns are set when a row is made or ends.
        self._upto: dict[str, datetime] = {}

    async def run(self) -> None:
        """Sweep regularly until cancelled; errors are the caller's, which starts it again."""
        while True:
            if self._leads():
                for table in self._tables:
                    await self.sweep(table)
                for table in self._emptied:
                    await self.empty(table)
            await asyncio.sleep(clock.jittered(SWEEP_EVERY_S))

    async def empty(self, table: Table) -> int:
        """Take what rows may hold no longer out of them, in shares. Returns how many rows."""
        statement = table.empty_sql
        assert statement is not None
        emptied = 0
        while True:
            began_s = clock.monotonic_s()
            async with begun(self._pool()) as conn:
                rows: int = await conn.fetchval(statement, timedelta(0), SHARE_ROWS)
            emptied += rows
            metrics.EMPTIED.labels(table=table.name).inc(rows)
            if rows < SHARE_ROWS:
                return emptied
            await asyncio.sleep((clock.monotonic_s() - began_s) * (1 / BUSY_SHARE - 1))

    async def sweep(self, table: Table) -> int:
        """Delete everything that is too old now, in shares. Returns how many rows went."""
        statement, sweep = table.sweep_sql, table.sweep
        assert statement is not None
        assert sweep is not None
        gone = 0
        while True:
            began_s = clock.monotonic_s()
            async with begun(self._pool()) as conn:
                row = await conn.fetchrow(
                    statement, self._ages.get(table.name, sweep.after), self._upto.get(table.name), SHARE_ROWS
                )
            assert row is not None
            rows: int = row["rows"]
            gone += rows
            if row["upto"] is not None:
                self._upto[table.name] = row["upto"]
            metrics.SWEPT.labels(table=table.name).inc(rows)
            if rows < SHARE_ROWS:
                return gone
            await asyncio.sleep((clock.monotonic_s() - began_s) * (1 / BUSY_SHARE - 1))
