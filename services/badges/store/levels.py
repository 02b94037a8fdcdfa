"""Riders' levels as they were last published."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.badges.domain import Reached
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest


@dataclass(frozen=True, slots=True)
class Level:
    """A rider's level with its version. `left_at`: when the rider was erased here; then nothing else is left."""

    rider_id: UUID
    code: str | None
    rank: int
    zh: str | None
    en: str | None
    version: int
    changed_at: datetime
    left_at: datetime | None = None


# What is as it was published changes nothing; whoever has nothing above what all have, and never had, gets no row.
# Nobody erased comes back: whoever writes has their standing locked, which is gone then, and `left_at` stays.
SQL_KEEP = Query(
    Level,
    f"""
INSERT INTO levels AS l ({columns(Reached)}, version, changed_at)
SELECT {columns(Reached, "n")}, 1, $1 FROM {unnest(Reached, first=2)}
WHERE n.rank > 0 OR EXISTS (SELECT FROM levels known WHERE known.rider_id = n.rider_id)
ORDER BY n.rider_id
ON CONFLICT (rider_id) DO UPDATE SET code = excluded.code, rank = excluded.rank, zh = excluded.zh, en = excluded.en,
    version = l.version + 1, changed_at = excluded.changed_at
WHERE l.left_at IS NULL
  AND (l.code, l.rank, l.zh, l.en) IS DISTINCT FROM (excluded.code, excluded.rank, excluded.zh, excluded.en)
RETURNING {columns(Level, "l")}
""",
)
# In the order in which SQL_KEEP takes them
SQL_LEAVE = Query(
    Level,
    f"""
WITH leaving AS (
    SELECT rider_id FROM levels WHERE rider_id = ANY($1::uuid[]) ORDER BY rider_id FOR NO KEY UPDATE
)
UPDATE levels l SET code = NULL, rank = 0, zh = NULL, en = NULL, left_at = coalesce(l.left_at, now())
FROM leaving WHERE l.rider_id = leaving.rider_id RETURNING {columns(Level, "l")}
""",
)
SQL_LEFT_LATELY = Query(
    Level,
    f"SELECT {columns(Level)} FROM levels WHERE left_at > now() - make_interval(days => $1) ORDER BY rider_id",
)
SQL_LOCK_AFTER = Query(
    Level,
    f"SELECT {columns(Level)} FROM levels WHERE rider_id > $1 ORDER BY rider_id LIMIT $2 FOR NO KEY UPDATE",
)
SQL_COUNT = "SELECT count(*) FILTER (WHERE left_at IS NULL), count(left_at) FROM levels"


async def keep(conn: Connection, reached: Sequence[Reached], now: datetime) -> list[Level]:
    """Write what riders have reached, whose standings are locked; those levels that have changed."""
    return await many(conn, SQL_KEEP, now, *arrays(Reached, reached))


async def leave(conn: Connection, riders: Sequence[UUID]) -> list[Level]:
    """Riders are erased: of their levels the versions are left, which are returned. Again: the same."""
    return await many(conn, SQL_LEAVE, list(riders))


async def left_lately(conn: Connection, days: int) -> list[Level]:
    """Those of riders who were erased here within so many days."""
    return await many(conn, SQL_LEFT_LATELY, days)


async def lock_after(conn: Connection, after: UUID, most: int) -> list[Level]:
    """The next levels after a rider's id, by id, of erased ones too, locked until the transaction ends."""
    return await many(conn, SQL_LOCK_AFTER, after, most)


async def counted(conn: Connection) -> tuple[int, int]:
    """(levels, those of riders who have left)."""
    row = await conn.fetchrow(SQL_COUNT)
    assert row is not None, "a count has a row"
    return row[0], row[1]
