"""A round reads what it sends and little more, however much waits or was deleted while a snapshot is held."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from shared.kit.postgres.db import Pool
from shared.kit.publishing.relay import BYTES_PER_ROUND, ROWS_PER_ROUND, SQL_DELETE, SQL_DEPTH, SQL_OLDEST

WAITING = 40_000
SQL_QUEUE = """
INSERT INTO outbox (event_id, topic, key, version, occurred_at, payload)
SELECT gen_random_uuid(), 't', 'k', 1, now(), repeat('x', 200)::bytea FROM generate_series(1, $1) RETURNING id
"""


def _rows(plan: dict[str, Any]) -> Iterator[float]:
    """Rows that each node has read, those that it threw away included."""
    yield plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    for below in plan.get("Plans", ()):
        yield from _rows(below)


def _written(value: object) -> str:
    return f"ARRAY{value}::bigint[]" if isinstance(value, list) else str(value)


async def most_rows(conn: Any, sql: str, *values: object) -> float:
    """Of any node of the statement's plan."""
    texts = {f"${n}": _written(value) for n, value in enumerate(values, 1)}
    written = re.sub(r"\$\d(::bigint\[\])?", lambda found: texts[found[0][:2]], sql)
    found = await conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {written}")
    return max(_rows((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]))


async def test_a_round_reads_no_more_than_it_sends(pool_for: Callable[[str], Awaitable[Pool]]) -> None:
    pool = await pool_for("riders")
    async with pool.acquire() as conn, conn.transaction():
        ids = sorted(row["id"] for row in await conn.fetch(SQL_QUEUE, WAITING))
        top = ids[WAITING // 4]
        await conn.execute(SQL_DELETE, ids[: WAITING // 4 + 1])
        # one snapshot: what was deleted here stays in the index, as under a backup
        args = (top, [top - 900, top - 500], [top - 890, top - 490], ROWS_PER_ROUND, BYTES_PER_ROUND)
        assert await most_rows(conn, SQL_OLDEST, *args) <= ROWS_PER_ROUND
        assert await most_rows(conn, SQL_DEPTH, top) <= 20_000
        found = await conn.fetchrow(SQL_DEPTH, top)
        assert found["depth"] == WAITING - WAITING // 4 - 1
        large = [row["id"] for row in await conn.fetch(SQL_OLDEST, top, [], [], ROWS_PER_ROUND, 10_000)]
        assert large == ids[WAITING // 4 + 1 :][: len(large)]
        assert len(large) == 50
        await conn.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", ids)
