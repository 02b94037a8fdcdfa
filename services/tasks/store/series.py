"""Repeating tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.tasks.domain import Kind
from services.tasks.store.given import within_points
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many, one


@dataclass(frozen=True, slots=True)
class Series:
    """A task that comes each week. `minute`: of the day, by the city's clock; `made_until`: earlier days are done.

    `points_given`: for each of its tasks.
    """

    id: UUID
    team_id: UUID | None
    kind: Kind
    area_code: str
    title: str
    needs: str
    address: str
    lng: float | None
    lat: float | None
    skills: tuple[str, ...]
    capacity: int
    points: int
    points_given: int
    weekday: int
    minute: int
    minutes: int
    hand_back_hours: int
    made_until: date
    until: date
    published_by: str
    ended_at: datetime | None


_VALUES = ", ".join(f"${at}" for at in range(1, 22))
SQL_ADD = f"INSERT INTO series ({columns(Series)}) VALUES ({_VALUES})"
SQL_ONE = Query(Series, f"SELECT {columns(Series)} FROM series WHERE id = $1")
SQL_PAGE = Query(
    Series,
    f"""
SELECT {columns(Series)} FROM series WHERE id > $1 AND ($2::text[] IS NULL OR area_code = ANY($2)) ORDER BY id LIMIT $3
""",
)
SQL_DUE = Query(
    Series,
    f"""
SELECT {columns(Series)} FROM series WHERE ended_at IS NULL AND made_until < least(until, $1::date)
ORDER BY made_until, id LIMIT $2 FOR UPDATE SKIP LOCKED
""",
)
SQL_MADE = "UPDATE series SET made_until = $2 WHERE id = $1"
SQL_END = Query(
    Series, f"UPDATE series SET ended_at = now() WHERE id = $1 AND ended_at IS NULL RETURNING {columns(Series)}"
)


async def add(conn: Connection, new: Series) -> None:
    """Publish one. Raises OverGiven for more points than were given."""
    with within_points():
        await conn.execute(SQL_ADD, *(getattr(new, name) for name in Series.__dataclass_fields__))


async def series(conn: Connection, id_: UUID) -> Series | None:
    """One series."""
    return await one(conn, SQL_ONE, id_)


async def page(conn: Connection, areas: Sequence[str] | None, after: UUID, limit: int) -> list[Series]:
    """Series by id, ended ones too. `areas`: None for the whole city."""
    return await many(conn, SQL_PAGE, after, areas, limit)


async def due(conn: Connection, until: date, limit: int) -> list[Series]:
    """Series whose tasks of days before `until` are not all there, locked; others make what another process has."""
    return await many(conn, SQL_DUE, until, limit)


async def made(conn: Connection, id_: UUID, until: date) -> None:
    """Tasks of days before `until` are there."""
    await conn.execute(SQL_MADE, id_, until)


async def end(conn: Connection, id_: UUID) -> Series | None:
    """No more tasks of it; None: it has ended already, or isn't there."""
    return await one(conn, SQL_END, id_)
