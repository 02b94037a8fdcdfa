"""When holds end by the clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest


@dataclass(frozen=True, slots=True)
class Deadline:
    """A hold is given back at an instant, unless it has ended."""

    hold_id: UUID
    rider_id: UUID
    due_at: datetime


# In the order of the ids, of each hold the latest: a deadline only ever moves away, in whatever order it is heard.
SQL_SET_DEADLINES = f"""
INSERT INTO hold_deadlines AS d ({columns(Deadline)})
SELECT DISTINCT ON (n.hold_id) {columns(Deadline, "n")} FROM {unnest(Deadline)} ORDER BY n.hold_id, n.due_at DESC
ON CONFLICT (hold_id) DO UPDATE SET due_at = excluded.due_at WHERE d.due_at < excluded.due_at
"""
SQL_TAKE_DUE = Query(
    Deadline,
    f"""
DELETE FROM hold_deadlines WHERE hold_id = ANY(ARRAY(
    SELECT hold_id FROM hold_deadlines WHERE due_at <= $1 ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED))
RETURNING {columns(Deadline)}
""",
)


async def set_deadlines(conn: Connection, due: Sequence[Deadline]) -> None:
    """Of each hold the latest deadline that was ever said holds: a voucher may be extended, never cut short.

    Before the accounts are locked, as whoever ends them does it.
    """
    if due:
        await conn.execute(SQL_SET_DEADLINES, *arrays(Deadline, due))


async def take_due(conn: Connection, now: datetime, most: int) -> list[Deadline]:
    """Those that are past, oldest first; they are taken from the queue."""
    return await many(conn, SQL_TAKE_DUE, now, most)
