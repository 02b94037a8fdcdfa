"""How many rows statements have read of a table, whole or by its indexes, as Postgres counts them."""

import asyncpg

SQL_READ = """
SELECT (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relid = to_regclass($1))
     + (SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE relid = to_regclass($1))
"""


async def rows_read(conn: asyncpg.Connection, table: str) -> int:
    """Of all connections so far that have told; this one tells now."""
    await conn.execute("SELECT pg_stat_force_next_flush()")
    await conn.execute("SELECT pg_stat_clear_snapshot()")
    found: int = await conn.fetchval(SQL_READ, table)
    return found
