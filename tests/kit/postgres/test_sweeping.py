"""Rows leave when they are too old and not before, however many there are. Real Postgres."""

from datetime import timedelta

import asyncpg
import pytest

from shared.devtools.capacity.staying import SWEPT_PER_S_LEAST
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.postgres.db import Pool
from shared.kit.postgres.retention import KIT_TABLES, Table
from shared.kit.postgres.sweeping import SHARE_ROWS, Sweeper
from shared.provision.postgres import owner_role

DAYS = 60
A_DAY = 1_000
SQL_DAY = """
INSERT INTO request_ids (company, request_id, content_hash, claim, seen_at)
SELECT 'sf', 'day-' || $1::int || '-' || n, '', gen_random_uuid(), now() - interval '1 hour' + make_interval(secs => n)
FROM generate_series(1, $2) n
"""
SQL_DAYS = "SELECT DISTINCT split_part(request_id, '-', 2) AS day FROM request_ids"
SQL_LETTERS = """
INSERT INTO dead_letters (topic, partition, record_offset, headers, status, code, detail, attempts, created_at,
                          resolved_at, record_ms)
SELECT 't', 0, n, '[]', CASE n WHEN 1 THEN 'dead' ELSE 'discarded' END, '', '', 1, now() - interval '1 year',
       CASE n WHEN 1 THEN NULL WHEN 2 THEN now() - interval '31 days' ELSE now() END, 0
FROM generate_series(1, 3) n
"""
SQL_A_DAY_PASSES = "UPDATE request_ids SET seen_at = seen_at - interval '1 day'"


def table_of(name: str) -> Table:
    return next(table for table in KIT_TABLES if table.name == name)


@pytest.fixture
async def pool(installation: Installation, pool_for) -> Pool:
    owner = await asyncpg.connect(installation.dsn("riders", owner_role))
    await owner.execute("TRUNCATE request_ids, idempotency_keys, dead_letters")
    await owner.close()
    return await pool_for("riders")


async def test_a_table_is_as_large_as_what_it_keeps_whatever_passes(pool: Pool) -> None:
    """The clock runs: each day brings rows, makes the others a day older, and those that are too old leave."""
    sweeper = Sweeper(lambda: True, lambda: pool, KIT_TABLES, {"request_ids": timedelta(days=3)})
    sizes = []
    for day in range(DAYS):
        await pool.execute(SQL_A_DAY_PASSES)
        await pool.execute(SQL_DAY, day, A_DAY)
        # as after a restart: what it remembers of a table's beginning is older than what was moved
        sweeper._upto.clear()
        await sweeper.sweep(table_of("request_ids"))
        sizes.append(await pool.fetchval("SELECT count(*) FROM request_ids"))
    assert sizes[0] == A_DAY
    assert set(sizes[3:]) == {3 * A_DAY}
    days = {row["day"] for row in await pool.fetch(SQL_DAYS)}
    assert days == {str(day) for day in range(DAYS - 3, DAYS)}


async def test_a_backlog_ends_faster_than_the_busiest_tables_grow(pool: Pool) -> None:
    """Also while a long snapshot keeps every deleted row in the index, as a backup does."""
    rows = 20 * SHARE_ROWS
    await pool.execute(SQL_DAY, 1, rows)
    await pool.execute("UPDATE request_ids SET seen_at = seen_at - interval '3 days'")
    await pool.execute(
        "INSERT INTO request_ids (company, request_id, content_hash, claim, seen_at) "
        "VALUES ('sf', 'recent', '', gen_random_uuid(), now() - interval '59 minutes')"
    )
    async with pool.acquire() as backup, backup.transaction(isolation="repeatable_read"):
        await backup.fetchval("SELECT count(*) FROM request_ids")
        sweeper = Sweeper(lambda: True, lambda: pool, KIT_TABLES, {})
        began_s = clock.monotonic_s()
        assert await sweeper.sweep(table_of("request_ids")) == rows
        took_s = clock.monotonic_s() - began_s
    assert [row["request_id"] for row in await pool.fetch("SELECT request_id FROM request_ids")] == ["recent"]
    assert rows / took_s > SWEPT_PER_S_LEAST


async def test_open_letters_stay_and_resolved_ones_leave_after_a_month(pool: Pool) -> None:
    await pool.execute(SQL_LETTERS)
    assert await Sweeper(lambda: True, lambda: pool, KIT_TABLES, {}).sweep(table_of("dead_letters")) == 1
    assert [r["record_offset"] for r in await pool.fetch("SELECT record_offset FROM dead_letters ORDER BY 1")] == [1, 3]
