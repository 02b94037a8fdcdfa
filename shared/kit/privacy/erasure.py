"""A rider who leaves: what is about them goes at once, is looked for once more, and nothing writes it again.

Each service keeps the list of erased riders in its own schema (`erased_riders`). An order comes on riders.rider-erased,
or from a restored list, and is carried out twice:

- at once, in the transaction that enters the rider in the list: the service's own `forget`, then what the kit keeps;
- once more when every transaction that had begun before is over, since such a one may have written after the first pass
  had looked. Only then is the rider `done` here. Restoring a backup enters riders as not done: the same pass does it.

What comes later is held against the list: events lose an erased rider's words before a handler sees them, and an erased
rider's token is refused.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from shared.events.rider_erased import RiderErased
from shared.kit import clock, metrics
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Connection, Pool, begun, is_transient
from shared.kit.postgres.rows import Query, arrays, columns, many, one, unnest
from shared.kit.privacy import letters_of_erased

log = structlog.get_logger(__name__)

ROWS_PER_PASS = 200
LOOK_EVERY_S = 5.0
TRY_AGAIN_S = 60.0
GAUGES_EVERY_S = 30.0
DUE_AFTER_HOURS = 1


@dataclass(frozen=True, slots=True)
class Leaver:
    """A rider to be forgotten. `number`: the mark in place of the company's number of them."""

    rider_id: UUID
    number: str
    erased_at: datetime


@dataclass(frozen=True, slots=True)
class ErasureState:
    """How far one service is with one rider. `done_at` None: the second pass is due."""

    erased_at: datetime
    heard_at: datetime
    done_at: datetime | None


SQL_ERASED_ADD = f"""
INSERT INTO erased_riders ({columns(Leaver)})
SELECT DISTINCT ON (rider_id) {columns(Leaver)} FROM {unnest(Leaver)} ORDER BY rider_id
ON CONFLICT (rider_id) DO NOTHING
"""
SQL_ERASED_AMONG = "SELECT rider_id, number FROM erased_riders WHERE rider_id = ANY($1::uuid[])"
# Who is being forgotten elsewhere is left alone; the transaction that holds them marks them.
SQL_ERASED_OPEN = Query(
    Leaver,
    f"""
SELECT {columns(Leaver)} FROM erased_riders
WHERE done_at IS NULL AND heard_at < now() - make_interval(secs => $1) AND next_try_at <= now()
ORDER BY next_try_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
""",
)
SQL_ERASED_DONE = "UPDATE erased_riders SET done_at = now() WHERE rider_id = ANY($1::uuid[]) AND done_at IS NULL"
# Those of whom something is left make room for the others.
SQL_ERASED_LATER = """
UPDATE erased_riders SET next_try_at = now() + make_interval(secs => $2)
WHERE rider_id = ANY($1::uuid[]) AND done_at IS NULL
"""
SQL_ERASED_STATE = Query(ErasureState, f"SELECT {columns(ErasureState)} FROM erased_riders WHERE rider_id = $1")
SQL_ERASED_PAGE = """
SELECT rider_id, number, erased_at, heard_at, done_at FROM erased_riders WHERE rider_id > $1 ORDER BY rider_id LIMIT $2
"""
# The list only grows: all of it from the kept numbers, less those of the last hour. One statement, so one moment.
SQL_ERASED_FIGURES = """
SELECT kept.known - young.known AS known, kept.done - young.done AS done
FROM (SELECT coalesce(sum(n), 0)::bigint AS known,
             coalesce(sum(n) FILTER (WHERE label = 'done'), 0)::bigint AS done
      FROM counters WHERE what = 'erasures') AS kept
CROSS JOIN (SELECT count(*) AS known, count(done_at) AS done
            FROM erased_riders WHERE erased_at >= now() - make_interval(hours => $1)) AS young
"""
SQL_FORGET_ANSWERS = "DELETE FROM idempotency_keys WHERE principal = ANY($1::text[])"
# Without an index, which every signed request would pay for: there is one hour of them. Whoever repeats such a request
# hears that its answer is not kept, and may send what is new under a new id.
SQL_EMPTY_ANSWERS = "UPDATE request_ids SET response = NULL, riders = '{}' WHERE riders && $1::text[]"


Forget = Callable[[Connection, Sequence[Leaver]], Awaitable[None]]
"""Removes what a service's own tables say of riders; again changes nothing."""
Finish = Callable[[Sequence[Leaver]], Awaitable[Collection[UUID]]]
"""Removes what lies outside the database; returns the riders of whom something is still there: ask again for them."""


def each_of(forgets: Sequence[Forget]) -> Forget:
    """All of them as one; also those that are added later."""

    async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
        for each in forgets:
            await each(conn, leavers)

    return forget


class Erasure:
    """One service's part in forgetting riders."""

    def __init__(self, pool: Callable[[], Pool], settle_s: float, forget: Forget, finish: Finish | None) -> None:
        self._pool = pool
        self._settle_s = settle_s
        self._forget = forget
        self._finish = finish

    async def on_rider_erased(self, work: Work, events: Sequence[Event[RiderErased]]) -> None:
        """Riders left: the first pass. A constant number of statements."""
        await self.take(work.conn, [Leaver(e.data.rider_id, e.data.number, e.data.erased_at) for e in events])

    async def take(self, conn: Connection, leavers: Sequence[Leaver]) -> None:
        """Enter riders in the list and forget them, in the caller's transaction; the second pass follows by itself."""
        ordered = sorted(leavers, key=lambda one: one.rider_id)
        await conn.execute(SQL_ERASED_ADD, *arrays(Leaver, ordered))
        await self._pass(conn, ordered)

    async def forever(self) -> None:
        """Second passes, as they fall due; one that fails is tried again with the next look."""
        while True:
            try:
                while await self.settle() == ROWS_PER_PASS:
                    pass
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("erasure_waits", error=type(error).__name__)
            await asyncio.sleep(clock.jittered(LOOK_EVERY_S))

    async def settle(self) -> int:
        """One round of second passes; how many riders are done. Safe beside another process's round."""
        async with begun(self._pool()) as conn:
            due = await many(conn, SQL_ERASED_OPEN, self._settle_s, ROWS_PER_PASS)
            if due:
                await self._pass(conn, due)
        if not due:
            return 0
        waiting = set(await self._finish(due)) if self._finish is not None else set()
        done = [one.rider_id for one in due if one.rider_id not in waiting]
        async with begun(self._pool()) as conn:
            await conn.execute(SQL_ERASED_DONE, done)
            if waiting:
                await conn.execute(SQL_ERASED_LATER, list(waiting), TRY_AGAIN_S)
        metrics.RIDERS_ERASED.inc(len(done))
        return len(done)

    async def _pass(self, conn: Connection, leavers: Sequence[Leaver]) -> None:
        if not leavers:
            return
        await self._forget(conn, leavers)
        await letters_of_erased.forget(conn, {str(one.rider_id): one.number for one in leavers})
        await conn.execute(SQL_FORGET_ANSWERS, [f"person:{one.rider_id}" for one in leavers])
        await conn.execute(SQL_EMPTY_ANSWERS, [one.number for one in leavers])


async def erased_among(conn: Connection, riders: Sequence[UUID]) -> dict[UUID, str]:
    """Those of the riders who are erased, with the mark in place of their number."""
    if not riders:
        return {}
    return {row["rider_id"]: row["number"] for row in await conn.fetch(SQL_ERASED_AMONG, list(riders))}


async def state_of(conn: Connection, rider_id: UUID) -> ErasureState | None:
    """How far this service is; None: it has not heard of it, or nobody asked."""
    return await one(conn, SQL_ERASED_STATE, rider_id)


async def page(conn: Connection, after: UUID, limit: int) -> list[asyncpg.Record]:
    """The list of erased riders by id, as a restore needs it."""
    rows: list[Any] = await conn.fetch(SQL_ERASED_PAGE, after, limit)
    return rows


async def measure(conn: Connection) -> None:
    """Erasures older than an hour, and how many of them are done: a service that missed an order knows fewer."""
    row = await conn.fetchrow(SQL_ERASED_FIGURES, DUE_AFTER_HOURS)
    assert row is not None, "an aggregate without GROUP BY has one row"
    metrics.ERASURES_KNOWN.set(row["known"])
    metrics.ERASURES_DONE.set(row["done"])
