"""Activities, their teams, seeds and templates."""

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.activities.domain import Activity, Team, Way
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, age_s, arrays, columns, columns_of, many, one, unnest


@dataclass(frozen=True, slots=True)
class NewActivity:
    """What is stated of a new activity."""

    id: UUID
    series_id: UUID | None
    template: str | None
    title_zh: str
    title_en: str
    words_zh: str
    words_en: str
    area_code: str
    address: str
    station_id: str | None
    organiser: str
    published_by: str
    starts_at: datetime
    ends_at: datetime
    signup_until: datetime
    places: int
    way: Way
    companies: tuple[str, ...]
    areas: tuple[str, ...]
    seed_hash: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What may be changed of an activity; `version` is the one that was seen."""

    version: int
    title_zh: str
    title_en: str
    words_zh: str
    words_en: str
    address: str
    station_id: str | None
    starts_at: datetime
    ends_at: datetime
    signup_until: datetime
    places: int


@dataclass(frozen=True, slots=True)
class Template:
    """What activities are made from; times in minutes of the city's day; a team is "code|Chinese|English"."""

    code: str
    version: int
    title_zh: str
    title_en: str
    words_zh: str
    words_en: str
    begins_minute: int
    minutes: int
    places: int
    way: Way
    teams: tuple[str, ...]
    set_by: str


def _given(kind: type, first: int) -> str:
    return ", ".join(
        f"${number}::{column.types[0]}{'[]' if column.is_array else ''} AS {column.name}"
        for number, column in enumerate(columns_of(kind), first)
    )


_A = columns(Activity, "a")
SQL_ADD = f"""
INSERT INTO activities ({columns(NewActivity)}, version, state, published_at, changed_at)
SELECT {columns(NewActivity)}, 1, 'open', $1::timestamptz, $1 FROM (SELECT {_given(NewActivity, 2)}) AS given
"""
SQL_ADD_SEED = "INSERT INTO seeds (activity_id, seed) VALUES ($1, $2)"
SQL_SEED = "SELECT seed FROM seeds WHERE activity_id = $1"
SQL_SEEDS_DRAWN = """
SELECT s.activity_id, s.seed FROM seeds s JOIN activities a ON a.id = s.activity_id
WHERE s.activity_id = ANY($1::uuid[]) AND a.drawn_at IS NOT NULL
"""
SQL_ADD_TEAMS = f"INSERT INTO teams ({columns(Team)}) SELECT {columns(Team)} FROM {unnest(Team)}"
SQL_MOVE_TEAMS = "UPDATE teams SET starts_at = $2, ends_at = $3 WHERE activity_id = $1"
SQL_TEAMS = Query(Team, f"SELECT {columns(Team)} FROM teams WHERE activity_id = $1 ORDER BY code")
SQL_SERVE = Query(
    Team,
    f"""
UPDATE teams SET served = $3, version = version + 1 WHERE activity_id = $1 AND code = $2 AND version = $4
RETURNING {columns(Team)}
""",
)
SQL_ONE = Query(Activity, f"SELECT {_A} FROM activities a WHERE a.id = $1")
# In the order of ids, so that batches with activities in common wait for each other and never in a circle
SQL_LOCK = Query(
    Activity, f"SELECT {_A} FROM activities a WHERE a.id = ANY($1::uuid[]) ORDER BY a.id FOR NO KEY UPDATE OF a"
)
SQL_COMING = Query(
    Activity,
    f"""
SELECT {_A} FROM activities a
WHERE a.state = 'open' AND a.starts_at > $1::timestamptz - interval '7 days' AND a.ends_at > $1
  AND (a.starts_at, a.id) > ($2::timestamptz, $3::uuid)
  AND ($4::text IS NULL OR a.area_code = $4 OR EXISTS (
       SELECT FROM known_areas k WHERE k.code = a.area_code AND $4 = ANY(k.path)))
  AND (a.companies = '{{}}' OR $5::uuid IS NOT NULL AND EXISTS (
       SELECT FROM known_riders r WHERE r.rider_id = $5 AND r.company = ANY(a.companies)))
ORDER BY a.starts_at, a.id LIMIT $6
""",
)
SQL_CHANGE = Query(
    Activity,
    f"""
UPDATE activities a SET version = a.version + 1, unsaid = true, changed_at = $2, {
        ", ".join(f"{column.name} = given.{column.name}" for column in columns_of(Change) if column.name != "version")
    }
FROM (SELECT {_given(Change, 3)}) AS given
WHERE a.id = $1 AND a.version = given.version AND a.state = 'open' AND a.confirmed <= given.places
RETURNING {_A}
""",
)
SQL_CALL_OFF = Query(
    Activity,
    f"""
UPDATE activities a SET version = a.version + 1, unsaid = true, changed_at = now(), state = 'called_off', reason = $2
WHERE a.id = $1 AND a.state = 'open' AND a.starts_at > now() RETURNING {_A}
""",
)
SQL_SAY = Query(
    Activity,
    f"""
UPDATE activities a SET said = a.said + 1, unsaid = false WHERE a.id IN (
    SELECT id FROM activities WHERE unsaid ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING {_A}
""",
)
SQL_LOCK_AFTER = Query(
    Activity,
    f"SELECT {_A} FROM activities a WHERE a.id > $1 AND a.said > 0 ORDER BY a.id LIMIT $2 FOR NO KEY UPDATE OF a",
)
SQL_COUNT_SAID = "SELECT count(*) FROM activities WHERE said > 0"
SQL_LOCK_TO_DRAW = Query(
    Activity,
    f"""
SELECT {_A} FROM activities a
WHERE a.state = 'open' AND a.way = 'lot' AND a.drawn_at IS NULL AND a.signup_until <= now()
ORDER BY a.signup_until LIMIT 1 FOR NO KEY UPDATE OF a SKIP LOCKED
""",
)
SQL_OVERDUE_S = """
SELECT coalesce(max(extract(epoch FROM now() - signup_until)), 0)::float8 FROM activities
WHERE state = 'open' AND way = 'lot' AND drawn_at IS NULL AND signup_until <= now()
"""
SQL_DRAWN = "UPDATE activities SET drawn_at = $2, unsaid = true WHERE id = $1"
SQL_LOCK_TO_MOVE_UP = """
SELECT id FROM activities
WHERE state = 'open' AND waiting > 0 AND confirmed < places AND starts_at > now()
  AND (way = 'queue' OR drawn_at IS NOT NULL)
ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
"""
SQL_LOCK_ENDED = """
SELECT id FROM activities WHERE state = 'open' AND ends_at < now() - $1::interval
ORDER BY ends_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
"""
SQL_OVER = "UPDATE activities SET state = 'over', version = version + 1, unsaid = true WHERE id = $1"
SQL_TEMPLATES = Query(Template, f"SELECT {columns(Template)} FROM templates ORDER BY code")
SQL_TEMPLATE = Query(Template, f"SELECT {columns(Template)} FROM templates WHERE code = $1")
SQL_SET_TEMPLATE = f"""
INSERT INTO templates AS t ({columns(Template)}) SELECT {columns(Template)} FROM (SELECT {_given(Template, 1)}) AS given
WHERE version = 1 OR EXISTS (SELECT FROM templates o WHERE o.code = given.code)
ON CONFLICT (code) DO UPDATE SET version = excluded.version, {", ".join(
    f"{column.name} = excluded.{column.name}" for column in columns_of(Template)
    if column.name not in ("code", "version"))}
WHERE t.version = excluded.version - 1 RETURNING t.code
"""  # fmt: skip


async def add(conn: Connection, new: NewActivity, now: datetime, seed: str | None, teams: Sequence[Team]) -> None:
    """A new activity, open at once."""
    await conn.execute(SQL_ADD, now, *astuple(new))
    if seed is not None:
        await conn.execute(SQL_ADD_SEED, new.id, seed)
    if teams:
        await conn.execute(SQL_ADD_TEAMS, *arrays(Team, teams))


async def activity(conn: Connection, id_: UUID) -> Activity | None:
    """One activity, unlocked."""
    return await one(conn, SQL_ONE, id_)


async def lock(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Activity]:
    """Activities, locked to the end of the transaction."""
    return {found.id: found for found in await many(conn, SQL_LOCK, sorted(ids))}


async def coming(
    conn: Connection, now: datetime, after: tuple[datetime, UUID], area: str | None, rider_id: UUID | None, limit: int
) -> list[Activity]:
    """Open activities that have not ended, by their beginning: those for everybody, and for the rider's company."""
    return await many(conn, SQL_COMING, now, *after, area, rider_id, limit)


async def change(conn: Connection, id_: UUID, wanted: Change, now: datetime) -> Activity | None:
    """Change an open activity; None: it has moved on, is not open, or has more places taken than it would have."""
    made = await one(conn, SQL_CHANGE, id_, now, *astuple(wanted))
    if made is not None:
        await conn.execute(SQL_MOVE_TEAMS, id_, wanted.starts_at, wanted.ends_at)
    return made


async def call_off(conn: Connection, id_: UUID, reason: str) -> Activity | None:
    """Call an activity off; None: it is not open, or has begun."""
    return await one(conn, SQL_CALL_OFF, id_, reason)


async def say(conn: Connection, most: int) -> list[Activity]:
    """Activities whose state is to be published; those that somebody works on come later."""
    return await many(conn, SQL_SAY, most)


async def lock_after(conn: Connection, after: UUID, most: int) -> list[Activity]:
    """The next activities after an id of which a state was published, locked."""
    return await many(conn, SQL_LOCK_AFTER, after, most)


async def count_said(conn: Connection) -> int:
    """Of how many activities a state was published."""
    found: int = await conn.fetchval(SQL_COUNT_SAID)
    return found


async def lock_to_draw(conn: Connection) -> Activity | None:
    """An activity whose draw is due, locked."""
    return await one(conn, SQL_LOCK_TO_DRAW)


async def overdue_s(conn: Connection) -> float:
    """How long the draw is overdue that is overdue most."""
    return await age_s(conn, SQL_OVERDUE_S)


async def drawn(conn: Connection, id_: UUID, now: datetime) -> None:
    """Note the draw."""
    await conn.execute(SQL_DRAWN, id_, now)


async def seed(conn: Connection, id_: UUID) -> str:
    """The seed of an activity by lot."""
    found: str = await conn.fetchval(SQL_SEED, id_)
    return found


async def seeds_drawn(conn: Connection, ids: Collection[UUID]) -> dict[UUID, str]:
    """The seeds of those activities whose draw is over."""
    return {row["activity_id"]: row["seed"] for row in await conn.fetch(SQL_SEEDS_DRAWN, list(ids))}


async def lock_to_move_up(conn: Connection, most: int) -> list[UUID]:
    """Activities with a free place and somebody who waits, locked."""
    return [row["id"] for row in await conn.fetch(SQL_LOCK_TO_MOVE_UP, most)]


async def lock_ended(conn: Connection, late: timedelta) -> UUID | None:
    """An activity that ended so long ago, locked."""
    found: UUID | None = await conn.fetchval(SQL_LOCK_ENDED, late)
    return found


async def over(conn: Connection, id_: UUID) -> None:
    """Close the books of an activity."""
    await conn.execute(SQL_OVER, id_)


async def teams(conn: Connection, id_: UUID) -> list[Team]:
    """An activity's teams, by code."""
    return await many(conn, SQL_TEAMS, id_)


async def serve(conn: Connection, id_: UUID, code: str, served: int, version: int) -> Team | None:
    """How many people a team has served; None: there is no such team, or it has moved on."""
    return await one(conn, SQL_SERVE, id_, code, served, version)


async def templates(conn: Connection) -> list[Template]:
    """All templates, by code."""
    return await many(conn, SQL_TEMPLATES)


async def template(conn: Connection, code: str) -> Template | None:
    """One template."""
    return await one(conn, SQL_TEMPLATE, code)


async def set_template(conn: Connection, wanted: Template) -> bool:
    """Make a template, or change it to its next version; False: it has moved on."""
    return await conn.fetchval(SQL_SET_TEMPLATE, *astuple(wanted)) is not None
