"""Cases that have ended: after a time their state leaves the public topic."""

from collections.abc import Sequence
from uuid import UUID

from services.tracking.domain import CaseState
from shared.kit.postgres.db import Connection

SQL_ADD_ENDED = """
INSERT INTO ended_cases AS e (case_id, version, ended_at)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) ORDER BY 1
ON CONFLICT (case_id) DO UPDATE SET version = excluded.version, ended_at = excluded.ended_at
WHERE e.version < excluded.version
"""
# The case's row first, as its steps do; one that takes a step right now is left for the next look. The step's event
# then leaves behind the tombstone, or the case has another version and stays.
SQL_ENDED_LOCK = """
SELECT c.case_id, c.version, c.version = e.version AS still
FROM ended_cases e JOIN cases c USING (case_id)
WHERE e.ended_at < now() - make_interval(days => $1)
ORDER BY e.ended_at LIMIT $2 FOR NO KEY UPDATE OF c SKIP LOCKED
"""
SQL_ENDED_DROP = "DELETE FROM ended_cases WHERE case_id = ANY($1::uuid[])"


async def add(conn: Connection, cases: Sequence[CaseState]) -> None:
    """Remember cases that have just ended; each once. An older version changes nothing."""
    columns = [c.case_id for c in cases], [c.version for c in cases], [c.changed_at for c in cases]
    await conn.execute(SQL_ADD_ENDED, *columns)


async def take(conn: Connection, days: int, most: int) -> tuple[int, list[tuple[UUID, int]]]:
    """Forget cases that ended so many days ago: how many, and id and version of those that have not been reopened."""
    rows = await conn.fetch(SQL_ENDED_LOCK, days, most)
    await conn.execute(SQL_ENDED_DROP, [row["case_id"] for row in rows])
    return len(rows), [(row["case_id"], row["version"]) for row in rows if row["still"]]
