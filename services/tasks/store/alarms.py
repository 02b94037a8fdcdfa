"""Weather alarms, and which tasks they meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many, one


@dataclass(frozen=True, slots=True)
class Alarm:
    """Where and when the weather lets nobody work outside, and the words that riders read."""

    id: UUID
    area_code: str
    since: datetime
    until: datetime
    words_zh: str
    words_en: str
    set_by: str
    set_at: datetime
    ended_by: str | None
    ended_at: datetime | None


SQL_ADD = Query(
    Alarm,
    f"""
INSERT INTO alarms (id, area_code, since, until, words_zh, words_en, set_by) VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING {columns(Alarm)}
""",
)
SQL_ONE = Query(Alarm, f"SELECT {columns(Alarm)} FROM alarms WHERE id = $1")
SQL_END = Query(
    Alarm,
    f"UPDATE alarms SET ended_at = now(), ended_by = $2 WHERE id = $1 AND ended_at IS NULL RETURNING {columns(Alarm)}",
)
SQL_NOW = Query(
    Alarm, f"SELECT {columns(Alarm)} FROM alarms WHERE ended_at IS NULL AND until > now() ORDER BY since, id"
)
SQL_PAGE = Query(
    Alarm,
    f"SELECT {columns(Alarm)} FROM alarms WHERE ended_at IS NULL AND until > now() AND id > $1 ORDER BY id LIMIT $2",
)
# Arrays side by side: one alarm and one area that it holds in
SQL_MET = """
SELECT t.id FROM tasks t
WHERE t.state = 'open' AND NOT t.paused AND t.ends_at > now() AND EXISTS (
    SELECT FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS a (area, since, until)
    WHERE a.area = t.area_code AND a.since < t.ends_at AND t.starts_at < a.until)
ORDER BY t.id LIMIT $4
"""
SQL_CLEAR = """
SELECT t.id FROM tasks t
WHERE t.state = 'open' AND t.paused AND NOT EXISTS (
    SELECT FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS a (area, since, until)
    WHERE a.area = t.area_code AND a.since < t.ends_at AND t.starts_at < a.until)
ORDER BY t.id LIMIT $4
"""


async def add(conn: Connection, id_: UUID, values: Sequence[object]) -> Alarm:
    """Set one; `values`: area, since, until, words in both languages, by whom."""
    made = await one(conn, SQL_ADD, id_, *values)
    assert made is not None, "inserted"
    return made


async def alarm(conn: Connection, id_: UUID) -> Alarm | None:
    """One alarm."""
    return await one(conn, SQL_ONE, id_)


async def end(conn: Connection, id_: UUID, by: str) -> Alarm | None:
    """End one before its time; None: it has ended, or isn't there."""
    return await one(conn, SQL_END, id_, by)


async def in_force(conn: Connection) -> list[Alarm]:
    """Alarms that are not over, those too that begin later: a city has a few."""
    return await many(conn, SQL_NOW)


async def page(conn: Connection, after: UUID, limit: int) -> list[Alarm]:
    """The same, page by page."""
    return await many(conn, SQL_PAGE, after, limit)


async def met(conn: Connection, areas: Sequence[tuple[str, datetime, datetime]], limit: int) -> list[UUID]:
    """Tasks that an alarm meets and that go on. `areas`: each area of each alarm, since and until when."""
    return [row["id"] for row in await conn.fetch(SQL_MET, *_arrays(areas), limit)]


async def clear(conn: Connection, areas: Sequence[tuple[str, datetime, datetime]], limit: int) -> list[UUID]:
    """Paused tasks that no alarm meets."""
    return [row["id"] for row in await conn.fetch(SQL_CLEAR, *_arrays(areas), limit)]


def _arrays(areas: Sequence[tuple[str, datetime, datetime]]) -> list[list[object]]:
    return [[one[at] for one in areas] for at in range(3)]
