"""What changes what is so at a station: special days, periods of areas, and spells that were found or set."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.stations.domain.hours import SpecialDay
from services.stations.domain.living import Period, Spell
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, unnest


@dataclass(frozen=True, slots=True)
class DayRow:
    """A special day of a station."""

    station_id: UUID
    day: date
    hours: str
    reason: str


@dataclass(frozen=True, slots=True)
class NewSpell:
    """A spell that begins, or what is added to one that is there. Confirmed where somebody at work says so."""

    id: UUID
    station_id: UUID
    state: str
    part: str
    reason: str
    period_id: UUID | None
    until_at: datetime | None
    sightings: int
    confirmed: bool
    role: str
    by: str


_SPELL = columns(Spell)
_PERIOD = columns(Period)
SQL_SET_DAY = """
INSERT INTO special_days (station_id, day, hours, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT (station_id, day) DO UPDATE SET hours = excluded.hours, reason = excluded.reason
"""
SQL_UNSET_DAY = "DELETE FROM special_days WHERE station_id = $1 AND day = $2"
SQL_DAYS = Query(
    DayRow,
    f"""
SELECT {columns(DayRow)} FROM special_days
WHERE station_id = ANY($1::uuid[]) AND day BETWEEN $2 AND $3 ORDER BY station_id, day
""",
)
SQL_DAYS_PAGE = Query(
    DayRow,
    f"SELECT {columns(DayRow)} FROM special_days WHERE station_id = $1 AND day::text > $2 ORDER BY day LIMIT $3",
)
SQL_ADD_PERIOD = """
INSERT INTO periods (id, kind, closes, areas, reason, begins_at, ends_at, set_by, set_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
"""
# An end that has been said stays: who ends it twice says the same once
SQL_END_PERIOD = """
UPDATE periods SET ends_at = greatest(begins_at, $2) WHERE id = $1 AND (ends_at IS NULL OR ends_at > $2) RETURNING id
"""
SQL_PERIOD = Query(Period, f"SELECT {_PERIOD} FROM periods WHERE id = $1")
# What has ended just now may be the very change that is looked for
SQL_PERIODS = Query(
    Period,
    f"""
SELECT {_PERIOD} FROM periods WHERE (ends_at IS NULL OR ends_at > now()) AND begins_at < now() + interval '8 days'
ORDER BY begins_at, id
""",
)
SQL_PERIODS_PAGE = Query(
    Period, f"SELECT {_PERIOD} FROM periods WHERE (begins_at, id) < ($1, $2) ORDER BY begins_at DESC, id DESC LIMIT $3"
)
SQL_FIND = Query(
    Spell,
    f"""
INSERT INTO spells AS s (id, station_id, state, part, reason, period_id, began_at, until_at, sightings,
                         confirmed_at, confirmed_role, confirmed_by)
SELECT n.id, n.station_id, n.state, n.part, n.reason, n.period_id, now(), n.until_at, n.sightings,
       CASE WHEN n.confirmed THEN now() END, n.role, n.by
FROM {unnest(NewSpell)} ORDER BY n.station_id
ON CONFLICT (station_id, state, part) WHERE ended_at IS NULL DO UPDATE SET
    sightings = s.sightings + excluded.sightings,
    reason = CASE WHEN excluded.confirmed_at IS NULL THEN s.reason ELSE excluded.reason END,
    until_at = CASE WHEN excluded.confirmed_at IS NOT NULL THEN excluded.until_at
                    WHEN s.confirmed_at IS NOT NULL THEN s.until_at ELSE excluded.until_at END,
    confirmed_at = coalesce(s.confirmed_at, excluded.confirmed_at),
    confirmed_role = CASE WHEN s.confirmed_at IS NULL THEN excluded.confirmed_role ELSE s.confirmed_role END,
    confirmed_by = CASE WHEN s.confirmed_at IS NULL THEN excluded.confirmed_by ELSE s.confirmed_by END
RETURNING {_SPELL}
""",
)
SQL_DENY = """
UPDATE spells SET denials = denials + 1,
    ended_at = CASE WHEN confirmed_at IS NULL AND denials + 1 >= sightings THEN now() END
WHERE station_id = $1 AND ended_at IS NULL AND state IN ('full', 'closed')
"""
SQL_END = """
UPDATE spells SET ended_at = now()
WHERE station_id = $1 AND ended_at IS NULL AND state = ANY($2::text[]) AND ($3::text IS NULL OR part = $3)
"""
SQL_END_DUE = """
UPDATE spells SET ended_at = now() WHERE station_id = ANY($1::uuid[]) AND ended_at IS NULL AND until_at <= now()
"""
SQL_OPEN = Query(
    Spell,
    f"""
SELECT {_SPELL} FROM spells WHERE station_id = ANY($1::uuid[]) AND ended_at IS NULL
ORDER BY station_id, began_at, id
""",
)
SQL_HISTORY = Query(
    Spell,
    f"""
SELECT {_SPELL} FROM spells WHERE station_id = $1 AND (began_at, id) < ($2, $3) ORDER BY began_at DESC, id DESC LIMIT $4
""",
)
SQL_SEE = """
INSERT INTO sightings (station_id, rider_id, seen_on, found, part, seen_at) VALUES ($1, $2, $3, $4, $5, now())
ON CONFLICT DO NOTHING RETURNING station_id
"""
SQL_FORGET = "DELETE FROM sightings WHERE rider_id = ANY($1::uuid[])"


async def set_day(conn: Connection, station_id: UUID, day: SpecialDay) -> None:
    """Other hours on a day."""
    await conn.execute(SQL_SET_DAY, station_id, day.day, day.hours, day.reason)


async def unset_day(conn: Connection, station_id: UUID, day: date) -> None:
    """The weekday's hours again."""
    await conn.execute(SQL_UNSET_DAY, station_id, day)


async def days(conn: Connection, ids: Collection[UUID], first: date, last: date) -> dict[UUID, dict[date, SpecialDay]]:
    """Special days of stations, both ends included."""
    found: dict[UUID, dict[date, SpecialDay]] = {id_: {} for id_ in ids}
    for row in await many(conn, SQL_DAYS, list(ids), first, last):
        found[row.station_id][row.day] = SpecialDay(row.day, row.hours, row.reason)
    return found


async def days_page(conn: Connection, station_id: UUID, after: str, limit: int) -> list[DayRow]:
    """A station's special days after one, by day; "": from the first."""
    return await many(conn, SQL_DAYS_PAGE, station_id, after, limit)


async def add_period(conn: Connection, new: Period, by: str) -> None:
    """A holiday or a storm."""
    await conn.execute(
        SQL_ADD_PERIOD, new.id, new.kind, new.closes, list(new.areas), new.reason, new.begins_at, new.ends_at, by
    )


async def end_period(conn: Connection, id_: UUID, at: datetime) -> bool:
    """End a period; False: it ends no later by now."""
    return await conn.fetchval(SQL_END_PERIOD, id_, at) is not None


async def period(conn: Connection, id_: UUID) -> Period | None:
    """One period."""
    return await one(conn, SQL_PERIOD, id_)


async def periods(conn: Connection) -> list[Period]:
    """Those that hold, or will within days; the earliest first."""
    return await many(conn, SQL_PERIODS)


async def periods_page(conn: Connection, before: tuple[datetime, UUID], limit: int) -> list[Period]:
    """All of them, the latest first."""
    return await many(conn, SQL_PERIODS_PAGE, *before, limit)


async def find(conn: Connection, spell: NewSpell) -> Spell:
    """Begin a spell, or join the one of its kind that is there: at the same time too, there is one."""
    [found] = await many(conn, SQL_FIND, *arrays(NewSpell, [spell]))
    return found


async def deny(conn: Connection, station_id: UUID) -> None:
    """A rider found the station open: what only riders said ends when as many say otherwise."""
    await conn.execute(SQL_DENY, station_id)


async def end(conn: Connection, station_id: UUID, states: Sequence[str], part: str | None = None) -> None:
    """End spells that are there; again changes nothing."""
    await conn.execute(SQL_END, station_id, list(states), part)


async def end_due(conn: Connection, ids: Collection[UUID]) -> None:
    """End those whose time is over."""
    await conn.execute(SQL_END_DUE, list(ids))


async def open_spells(conn: Connection, ids: Collection[UUID]) -> dict[UUID, list[Spell]]:
    """What is there of each station."""
    found: dict[UUID, list[Spell]] = {id_: [] for id_ in ids}
    for spell in await many(conn, SQL_OPEN, list(ids)):
        found[spell.station_id].append(spell)
    return found


async def history(conn: Connection, station_id: UUID, before: tuple[datetime, UUID], limit: int) -> list[Spell]:
    """A station's spells, the latest first."""
    return await many(conn, SQL_HISTORY, station_id, *before, limit)


async def see(conn: Connection, station_id: UUID, rider_id: UUID, on: date, found: str, part: str) -> bool:
    """Enter what a rider found; False: they have said so that day."""
    return await conn.fetchval(SQL_SEE, station_id, rider_id, on, found, part) is not None


async def forget(conn: Connection, riders: Sequence[UUID]) -> None:
    """What riders found stays as a number of its spell, and is nobody's."""
    await conn.execute(SQL_FORGET, list(riders))
