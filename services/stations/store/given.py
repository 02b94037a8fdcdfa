"""What is given to stations and said of them: lists of services, feedback, donations."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from uuid import UUID

from services.stations.domain.words import Donation, Feedback, ServiceList
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many, one

_FEEDBACK = columns(Feedback, "f")
_DONATION = columns(Donation)
_LIST = columns(ServiceList)
# The next version, or none: two at once are one of them and a refusal
SQL_ADD_LIST = """
INSERT INTO service_lists (station_id, year, version, items, published_at, published_by)
SELECT $1, $2, $3, $4, now(), $5
WHERE $3 = 1 + coalesce((SELECT max(version) FROM service_lists WHERE station_id = $1 AND year = $2), 0)
ON CONFLICT DO NOTHING RETURNING version
"""
SQL_LIST = Query(
    ServiceList, f"SELECT {_LIST} FROM service_lists WHERE station_id = $1 AND year = $2 ORDER BY version DESC LIMIT 1"
)
SQL_LISTS = Query(
    ServiceList,
    f"""
SELECT {_LIST} FROM service_lists WHERE station_id = $1 AND (year, version) < ($2, $3)
ORDER BY year DESC, version DESC LIMIT $4
""",
)
SQL_GIVE_FEEDBACK = """
INSERT INTO feedback (id, station_id, rider_id, given_on, stars, words, state, given_at, due_at)
VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $6 = '' THEN 'noted' ELSE 'waiting' END, now(), $7)
ON CONFLICT (rider_id, station_id, given_on) DO NOTHING RETURNING id
"""
SQL_ONE_FEEDBACK = Query(Feedback, f"SELECT {_FEEDBACK} FROM feedback f WHERE id = $1")
SQL_FEEDBACK = Query(
    Feedback,
    f"""
SELECT {_FEEDBACK} FROM feedback f JOIN stations s ON s.id = f.station_id
WHERE f.id > $1 AND ($2::text[] IS NULL OR s.area_code = ANY($2) OR s.id = ANY($3::uuid[]))
  AND ($4::uuid IS NULL OR s.id = $4) AND (NOT $5 OR f.state = 'waiting') ORDER BY f.id LIMIT $6
""",
)
SQL_MY_FEEDBACK = Query(
    Feedback, f"SELECT {_FEEDBACK} FROM feedback f WHERE rider_id = $1 AND id > $2 ORDER BY id LIMIT $3"
)
SQL_ANSWER = Query(
    Feedback,
    f"""
UPDATE feedback f SET state = 'answered', answer = $2, answered_at = now(), answered_by = $3
WHERE id = $1 AND state = 'waiting' RETURNING {_FEEDBACK}
""",
)
SQL_OVERDUE = "SELECT count(*) FROM feedback WHERE state = 'waiting' AND due_at < now()"
SQL_FORGET = """
UPDATE feedback SET rider_id = NULL, words = '', state = CASE WHEN state = 'waiting' THEN 'noted' ELSE state END
WHERE rider_id = ANY($1::uuid[])
"""
SQL_ADD_DONATION = """
INSERT INTO donations (id, station_id, donor, named, goods, quantity, unit, given_on, thanks, recorded_by, recorded_at)
SELECT g.id, g.station_id, g.donor, g.named, g.goods, g.quantity, g.unit, g.given_on, g.thanks, $2, now()
FROM jsonb_to_record($1::jsonb) AS g (id uuid, station_id uuid, donor text, named boolean, goods text,
    quantity integer, unit text, given_on date, thanks text)
"""
SQL_WITHDRAW_DONATION = "UPDATE donations SET withdrawn_reason = $2 WHERE id = $1"
SQL_DONATION = Query(Donation, f"SELECT {_DONATION} FROM donations WHERE id = $1")
SQL_DONATIONS = Query(
    Donation,
    f"""
SELECT {_DONATION} FROM donations WHERE station_id = $1 AND id < $2 AND withdrawn_reason IS NULL
ORDER BY id DESC LIMIT $3
""",
)


async def add_list(
    conn: Connection, station_id: UUID, year: int, version: int, items: Sequence[dict[str, str]], by: str
) -> bool:
    """Publish a list as the year's next version; False: that isn't the next one."""
    body = {"items": list(items)}
    return await conn.fetchval(SQL_ADD_LIST, station_id, year, version, body, by) is not None


async def newest_list(conn: Connection, station_id: UUID, year: int) -> ServiceList | None:
    """The list of a year."""
    return await one(conn, SQL_LIST, station_id, year)


async def lists(conn: Connection, station_id: UUID, before: tuple[int, int], limit: int) -> list[ServiceList]:
    """All of a station's lists, the newest first."""
    return await many(conn, SQL_LISTS, station_id, *before, limit)


async def give_feedback(
    conn: Connection, id_: UUID, station_id: UUID, rider_id: UUID, on: date, stars: int, words: str, due_at: datetime
) -> bool:
    """Keep a rider's stars and words; False: they have given some that day. Stars alone wait for nothing."""
    values = (id_, station_id, rider_id, on, stars, words, due_at)
    return await conn.fetchval(SQL_GIVE_FEEDBACK, *values) is not None


async def one_feedback(conn: Connection, id_: UUID) -> Feedback | None:
    """One rider's words."""
    return await one(conn, SQL_ONE_FEEDBACK, id_)


async def feedback(
    conn: Connection, after: UUID, areas: Collection[str] | None, kept: Collection[UUID], of: UUID | None, *,
    waiting: bool, limit: int,
) -> list[Feedback]:  # fmt: skip
    """What was said of stations in these areas (None: of all) and of these stations, the oldest first."""
    within = None if areas is None else list(areas)
    return await many(conn, SQL_FEEDBACK, after, within, list(kept), of, waiting, limit)


async def feedback_of(conn: Connection, rider_id: UUID, after: UUID, limit: int) -> list[Feedback]:
    """What a rider has said."""
    return await many(conn, SQL_MY_FEEDBACK, rider_id, after, limit)


async def answer(conn: Connection, id_: UUID, words: str, by: str) -> Feedback | None:
    """Answer what waits; None: nothing does."""
    return await one(conn, SQL_ANSWER, id_, words, by)


async def overdue(conn: Connection) -> int:
    """How many wait for an answer beyond their time."""
    found: int = await conn.fetchval(SQL_OVERDUE)
    return found


async def forget(conn: Connection, riders: Sequence[UUID]) -> None:
    """Riders' words go; their stars stay, and are nobody's."""
    await conn.execute(SQL_FORGET, list(riders))


async def add_donation(conn: Connection, new: Donation, by: str) -> None:
    """Record what somebody gave."""
    names = ("id", "station_id", "donor", "named", "goods", "quantity", "unit", "thanks")
    body = {**{name: getattr(new, name) for name in names}, "given_on": new.given_on.isoformat()}
    await conn.execute(SQL_ADD_DONATION, body, by)


async def donation(conn: Connection, id_: UUID) -> Donation | None:
    """One record, also one that was taken back."""
    return await one(conn, SQL_DONATION, id_)


async def withdraw_donation(conn: Connection, id_: UUID, reason: str) -> None:
    """Take a wrong record back; again changes the reason."""
    await conn.execute(SQL_WITHDRAW_DONATION, id_, reason)


async def donations(conn: Connection, station_id: UUID, before: UUID, limit: int) -> list[Donation]:
    """What a station was given, the latest first."""
    return await many(conn, SQL_DONATIONS, station_id, before, limit)
