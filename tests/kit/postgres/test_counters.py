"""Kept numbers: equal to history whatever was written, however many write at once; a recount finds a wrong one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from shared.devtools.installation import Installation
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.counters import Difference
from shared.kit.postgres.db import Pool
from shared.provision.postgres import owner_role

WRITERS = 8
ROWS = 20
SQL_ADD = """
INSERT INTO routes (report_id, version, outcome, grid_code, alternatives, routed_at)
SELECT id, 1, 'routed', 'g', '{}', now() FROM unnest($1::uuid[]) AS id
"""
SQL_LOSE = "UPDATE routes SET outcome = 'unroutable', grid_code = NULL WHERE report_id = ANY($1::uuid[])"


@pytest.fixture
async def pool(pool_for: Any, installation: Installation) -> AsyncIterator[Pool]:
    """Routing's schema: its counted table takes inserts and updates. Empty before and after."""
    owner = await asyncpg.connect(installation.dsn("routing", owner_role))
    await owner.execute("TRUNCATE counters, dead_letters, erased_riders, routes, unroutable")
    yield await pool_for("routing")
    await owner.execute("TRUNCATE counters, dead_letters, erased_riders, routes, unroutable")
    await owner.close()


async def _write(pool: Pool) -> None:
    for _ in range(ROWS):
        ids = [new_id() for _ in range(5)]
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute(SQL_ADD, ids)
            await conn.execute(SQL_LOSE, ids[:2])


async def test_numbers_are_historys_whoever_writes(pool: Pool) -> None:
    await asyncio.gather(*(_write(pool) for _ in range(WRITERS)))
    async with pool.acquire() as conn, conn.transaction():
        assert await counters.differences(conn) == []
        kept = await counters.kept(conn, "outcome")
    expected = {"routed": WRITERS * ROWS * 3, "unroutable": WRITERS * ROWS * 2}
    assert kept.by_label("outcome") == expected
    assert kept.total("outcome") == WRITERS * ROWS * 5 and kept.of("outcome", "lost") == 0


async def test_what_is_deleted_is_counted_no_more(pool: Pool) -> None:
    ids = [new_id() for _ in range(5)]
    await pool.execute(SQL_ADD, ids)
    await pool.execute("DELETE FROM routes WHERE report_id = ANY($1::uuid[])", ids[:2])
    async with pool.acquire() as conn, conn.transaction():
        assert await counters.differences(conn) == []
        assert (await counters.kept(conn, "outcome")).of("outcome", "routed") == 3


async def test_what_is_rolled_back_is_not_counted(pool: Pool) -> None:
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(SQL_ADD, [new_id()])
        await transaction.rollback()
        assert (await counters.kept(conn, "outcome")).total("outcome") == 0


async def test_a_recount_finds_a_wrong_number_and_corrects_it_under_load(pool: Pool) -> None:
    await _write(pool)
    shard = await pool.fetchval("SELECT min(shard) FROM counters WHERE label = 'routed'")
    await pool.execute("UPDATE counters SET n = n + 7 WHERE label = 'routed' AND shard = $1", shard)
    async with pool.acquire() as conn, conn.transaction():
        found = await counters.differences(conn)
        await _write(pool)  # meanwhile, in another transaction
        await counters.correct(conn, counters.correctable(found))
    assert found == [Difference("outcome", "routed", kept=ROWS * 3 + 7, counted=ROWS * 3)]
    async with pool.acquire() as conn, conn.transaction():
        assert await counters.differences(conn) == []
        assert (await counters.kept(conn, "outcome")).of("outcome", "routed") == 2 * ROWS * 3


async def test_what_history_itself_has_wrong_is_not_corrected() -> None:
    found = [Difference("unexplained", "accounts", 0, 3), Difference("entries", "", 1, 2)]
    assert counters.correctable(found) == found[1:]
