"""What is kept of a day at the place and after it: check-ins, what riders say of it, photos."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many, one


@dataclass(frozen=True, slots=True)
class CheckIn:
    """A rider was there."""

    activity_id: UUID
    rider_id: UUID
    signup_id: UUID
    deed_id: UUID
    way: Literal["staff", "site"]
    checked_by: str | None
    checked_in_at: datetime


@dataclass(frozen=True, slots=True)
class Opinion:
    """What somebody said of an activity, without who."""

    id: UUID
    stars: int
    words: str
    given_at: datetime


@dataclass(frozen=True, slots=True)
class Stars:
    """How many opinions there are, and the sum of their stars."""

    opinions: int
    stars: int


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo for publicity. `ref`: its id or address."""

    id: UUID
    ref: str
    caption: str
    added_at: datetime


# The primary key decides: shown twice, or at two doors at once, it is one check-in
SQL_CHECK_IN = """
INSERT INTO check_ins (activity_id, rider_id, signup_id, deed_id, way, checked_by, checked_in_at)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (activity_id, rider_id) DO NOTHING RETURNING deed_id
"""
SQL_ONE_CHECK_IN = Query(CheckIn, f"SELECT {columns(CheckIn)} FROM check_ins WHERE activity_id = $1 AND rider_id = $2")
SQL_UNDO = Query(
    CheckIn, f"DELETE FROM check_ins WHERE activity_id = $1 AND signup_id = $2 RETURNING {columns(CheckIn)}"
)
SQL_SAY_OPINION = Query(
    Opinion,
    """
INSERT INTO feedback AS f (activity_id, rider_id, id, stars, words, given_at)
SELECT c.activity_id, c.rider_id, $3, $4, $5, $6 FROM check_ins c WHERE c.activity_id = $1 AND c.rider_id = $2
ON CONFLICT (activity_id, rider_id) DO UPDATE SET stars = excluded.stars, words = excluded.words,
    given_at = excluded.given_at
RETURNING f.id, f.stars, f.words, f.given_at
""",
)
SQL_OPINIONS = Query(
    Opinion,
    f"SELECT {columns(Opinion)} FROM feedback WHERE activity_id = $1 AND id > $2 ORDER BY id LIMIT $3",
)
SQL_STARS = Query(
    Stars,
    "SELECT count(*) AS opinions, coalesce(sum(stars), 0)::bigint AS stars FROM feedback WHERE activity_id = $1",
)
# Nobody is on it who doesn't agree: the statement that adds it looks, under the locks of their sign-ups
SQL_LOCK_PEOPLE = """
SELECT id FROM signups WHERE activity_id = $1 AND number = ANY($2::int[]) AND photo_consent AND rider_id IS NOT NULL
ORDER BY id FOR SHARE
"""
SQL_ADD_PHOTO = "INSERT INTO photos (id, activity_id, ref, caption, added_by, added_at) VALUES ($1, $2, $3, $4, $5, $6)"
SQL_ADD_PEOPLE = "INSERT INTO photo_people (photo_id, signup_id) SELECT $1, unnest($2::uuid[])"
SQL_PHOTOS = Query(
    Photo,
    f"""
SELECT {columns(Photo, "p")} FROM photos p
WHERE p.activity_id = $1 AND p.id > $2 AND NOT EXISTS (
    SELECT FROM photo_people w JOIN signups s ON s.id = w.signup_id WHERE w.photo_id = p.id AND NOT s.photo_consent)
ORDER BY p.id LIMIT $3
""",
)
SQL_DROP_PHOTO = "DELETE FROM photos WHERE activity_id = $1 AND id = $2 RETURNING id"


async def check_in(conn: Connection, new: CheckIn) -> bool:
    """Note that a rider is there; False: it is noted already."""
    values = (new.activity_id, new.rider_id, new.signup_id, new.deed_id, new.way, new.checked_by, new.checked_in_at)
    return await conn.fetchval(SQL_CHECK_IN, *values) is not None


async def one_check_in(conn: Connection, activity_id: UUID, rider_id: UUID) -> CheckIn | None:
    """A rider's check-in."""
    return await one(conn, SQL_ONE_CHECK_IN, activity_id, rider_id)


async def undo(conn: Connection, activity_id: UUID, signup_id: UUID) -> CheckIn | None:
    """Take a check-in back; None: there is none."""
    return await one(conn, SQL_UNDO, activity_id, signup_id)


async def say_opinion(
    conn: Connection, activity_id: UUID, rider_id: UUID, id_: UUID, stars: int, words: str, now: datetime
) -> Opinion | None:
    """Keep what a rider says of an activity, instead of what they said before; None: they were not there."""
    return await one(conn, SQL_SAY_OPINION, activity_id, rider_id, id_, stars, words, now)


async def opinions(conn: Connection, activity_id: UUID, after: UUID, limit: int) -> list[Opinion]:
    """What was said of an activity, by id."""
    return await many(conn, SQL_OPINIONS, activity_id, after, limit)


async def stars(conn: Connection, activity_id: UUID) -> Stars:
    """How an activity was liked."""
    return await one(conn, SQL_STARS, activity_id) or Stars(0, 0)


async def add_photo(conn: Connection, activity_id: UUID, photo: Photo, numbers: Collection[int], added_by: str) -> bool:
    """Add a photo on which these are; False: one of them has not agreed, or there is no such number."""
    wanted = sorted(set(numbers))
    people = [row["id"] for row in await conn.fetch(SQL_LOCK_PEOPLE, activity_id, wanted)]
    if len(people) != len(wanted):
        return False
    await conn.execute(SQL_ADD_PHOTO, photo.id, activity_id, photo.ref, photo.caption, added_by, photo.added_at)
    await conn.execute(SQL_ADD_PEOPLE, photo.id, people)
    return True


async def photos(conn: Connection, activity_id: UUID, after: UUID, limit: int) -> list[Photo]:
    """Photos on which everybody agrees to be shown."""
    return await many(conn, SQL_PHOTOS, activity_id, after, limit)


async def drop_photo(conn: Connection, activity_id: UUID, id_: UUID) -> bool:
    """Take a photo away; False: there is none."""
    return await conn.fetchval(SQL_DROP_PHOTO, activity_id, id_) is not None
