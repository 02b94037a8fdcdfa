"""Points posted to the hottest account, young and with a history of a million entries: it has to cost the same.

Half of each batch is that account's, so that it is locked, moved and entered in every one. Where a design reads history
when points move (a sum, a trigger, a chain), the second half of this measurement stands still.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from shared.devtools.bench.floor.hops import part
from shared.devtools.bench.postings import BATCH, in_one
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres.db import Connection, prepare_connection

TURNS = 3
GROWN_AT_ONCE = 100_000
# A report's two entries each, on top of what is there.
SQL_GROW = """
WITH was AS MATERIALIZED (
    SELECT rider_id, version FROM accounts WHERE rider_id = $1
), made AS MATERIALIZED (
    SELECT gen_random_uuid() AS id, rider_id, version, k FROM was, generate_series(1, $2::int / 2) k
), moved AS (
    UPDATE accounts SET version = version + 2 * ($2::int / 2), available = available + 5 * ($2::int / 2)
    WHERE rider_id = $1
), held AS (
    INSERT INTO holds (id, source, rider_id, case_id, kind, amount, state, made_at, ended_at, ordinal)
    SELECT id, 'report', rider_id, gen_random_uuid(), 'k', 5, 'posted', now(), now(), 1 FROM made
)
INSERT INTO entries (rider_id, version, line, entry_id, hold_id, movement, from_account, to_account, amount, made_at)
SELECT rider_id, version + 2 * k - 1, 0, gen_random_uuid(), id, 'held', 'issuance', 'pending', 5, now() FROM made
UNION ALL
SELECT rider_id, version + 2 * k, 0, gen_random_uuid(), id, 'posted', 'pending', 'available', 5, now() FROM made
"""


async def hottest(installation: Installation, rider_ids: Sequence[UUID], entries: int) -> dict[str, float]:
    """Postings a second where half of all are one account's: young, then with so many entries.

    Nobody else may work in the schema: what is queued there is removed again. Raises what Postgres raises, and
    RuntimeError where the account's balances aren't its entries afterwards.
    """
    hot, others = new_id(), rider_ids[: BATCH // 2]
    conn = await asyncpg.connect(installation.dsn("points"))
    try:
        await prepare_connection(conn)
        await _batches(conn, hot, others, 2)
        young = max([await _batches(conn, hot, others, 10) for _ in range(TURNS)])
        for _ in range(max(1, entries // GROWN_AT_ONCE)):
            await conn.execute(SQL_GROW, hot, min(entries, GROWN_AT_ONCE), timeout=600)
        await _batches(conn, hot, others, 2)
        aged = max([await _batches(conn, hot, others, 10) for _ in range(TURNS)])
        if await part("points", "store.rounds").recent_wrong(conn, [hot]):
            raise RuntimeError("the hottest account isn't the sum of its entries")
        await conn.execute("DELETE FROM outbox")
    finally:
        await conn.close()
    return {"hottest_per_second": round(aged), "hottest_to_young": round(aged / young, 2), "hottest_entries": entries}


async def _batches(conn: Connection, hot: UUID, others: Sequence[UUID], number: int) -> float:
    """Reports held and posted a second."""
    began_s = clock.monotonic_s()
    for _ in range(number):
        await in_one(conn, [*others, *[hot] * len(others)], post=True)
    return number * 2 * len(others) / (clock.monotonic_s() - began_s)
