"""How many riders are erased, and of how many nothing is left: shown without reading the list, which only grows."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest

from shared.devtools.installation import Installation
from shared.kit import metrics
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection, Pool
from shared.kit.privacy import erasure
from shared.provision.postgres import owner_role
from tests.reads import analyze, rows_read

ERASED = 50_000
NOT_NOW, NOW = timedelta(hours=2), timedelta()
SQL_LEAVE = """
INSERT INTO erased_riders (rider_id, number, erased_at, done_at)
SELECT gen_random_uuid(), 'erased:' || i, now() - $2::interval - i * interval '1 second',
       CASE WHEN $3 THEN now() END
FROM generate_series(1, $1::int) AS i
"""


@pytest.fixture
async def owner(installation: Installation) -> AsyncIterator[asyncpg.Connection]:
    """Of routing's schema; nobody is erased there before and after."""
    conn = await asyncpg.connect(installation.dsn("routing", owner_role))
    await conn.execute("TRUNCATE counters, dead_letters, erased_riders, routes, unroutable")
    yield conn
    await conn.execute("TRUNCATE counters, dead_letters, erased_riders, routes, unroutable")
    await conn.close()


@pytest.fixture
async def pool(owner: asyncpg.Connection, pool_for: Callable[[str], Awaitable[Pool]]) -> Pool:
    return await pool_for("routing")


async def _shown(conn: Connection) -> tuple[float, float]:
    await erasure.measure(conn)
    return metrics.ERASURES_KNOWN._value.get(), metrics.ERASURES_DONE._value.get()


async def test_the_list_is_not_read(installation: Installation, pool: Pool) -> None:
    await pool.execute(SQL_LEAVE, ERASED, NOT_NOW, True)
    await analyze(installation, "routing", "erased_riders")
    async with pool.acquire() as conn:
        before = await rows_read(conn, "erased_riders", pool)
        assert await _shown(conn) == (ERASED, ERASED)
        assert await rows_read(conn, "erased_riders", pool) - before < 100


async def test_what_is_known_and_done_follows_the_list(pool: Pool) -> None:
    async with pool.acquire() as conn:
        for count, age, done in ((20, NOT_NOW, True), (3, NOT_NOW, False), (5, NOW, True), (7, NOW, False)):
            await conn.execute(SQL_LEAVE, count, age, done)
        assert await _shown(conn) == (23, 20)
        left = await conn.fetch("SELECT rider_id FROM erased_riders")
        await conn.execute(erasure.SQL_ERASED_DONE, [row["rider_id"] for row in left])
        assert await _shown(conn) == (23, 23)
        await conn.execute("UPDATE erased_riders SET erased_at = erased_at - interval '2 hours'")
        assert await _shown(conn) == (35, 35)
        async with conn.transaction():
            assert await counters.differences(conn) == []
            await conn.execute("UPDATE counters SET n = n + 1 WHERE what = 'erasures' AND label = 'done'")
            assert [(one.what, one.label) for one in await counters.differences(conn)] == [("erasures", "done")]
