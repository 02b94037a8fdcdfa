"""How many rows statements have read of a table, whole or by its indexes, as Postgres counts them."""

import asyncpg

from shared.devtools.installation import Installation
from shared.kit.postgres.db import Pool
from shared.provision.postgres import owner_role

SQL_READ = """
SELECT (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relid = to_regclass($1))
     + (SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE relid = to_regclass($1))
"""
SQL_REPORT = "SELECT pg_stat_force_next_flush()"


async def rows_read(conn: asyncpg.Connection, table: str, pool: Pool | None = None) -> int:
    """Of all connections that have reported what they read; this one does now, and those that lie in `pool`.

    Any other reports up to ten seconds later: what it read before a measurement would count as read within.
    """
    if pool is not None:
        others = [await pool.acquire() for _ in range(pool.get_idle_size())]
        for other in others:
            await other.execute(SQL_REPORT)
            await pool.release(other)
    await conn.execute(SQL_REPORT)
    await conn.execute("SELECT pg_stat_clear_snapshot()")
    found: int = await conn.fetchval(SQL_READ, table)
    return found


async def analyze(installation: Installation, service: str, *tables: str) -> None:
    """Lets the planner know what the tables hold: as their owner, for anyone else Postgres skips them with a warning.

    Raises AssertionError where Postgres skipped one: plans would then depend on whether autovacuum had come by.
    """
    warned: list[str] = []
    owner = await asyncpg.connect(installation.dsn(service, owner_role))
    owner.add_log_listener(lambda _, message: warned.append(str(message)))
    try:
        for table in tables:
            await owner.execute(f"VACUUM (ANALYZE) {table}")
    finally:
        await owner.close()
    assert warned == []
