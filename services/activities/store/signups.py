"""Sign-ups: who has a place, who waits, and the figures made of them. Whoever writes them has locked their activity."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.activities.domain import Outcome, Signup, SignupState
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, unnest
from shared.kit.privacy.erasure import Leaver


@dataclass(frozen=True, slots=True)
class NewSignup:
    """Somebody who wants a place; `at` is their place in the batch."""

    id: UUID
    activity_id: UUID
    rider_id: UUID
    company: str
    team: str | None
    photo_consent: bool
    at: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What a draw gives to a number."""

    number: int
    turn: int


@dataclass(frozen=True, slots=True)
class Mine:
    """A rider's sign-up as they read it."""

    id: UUID
    activity_id: UUID
    title_zh: str
    title_en: str
    address: str
    starts_at: datetime
    ends_at: datetime
    activity_state: str
    number: int
    ahead: int | None
    state: SignupState
    outcome: Outcome | None
    photo_consent: bool
    team: str | None


@dataclass(frozen=True, slots=True)
class Sums:
    """What a company's riders did in a month."""

    riders: int
    signups: int
    attended: int


_S = columns(Signup, "s")
# Who comes when somebody waits already waits behind them, also where a place has just become free
SQL_ADD = Query(
    Signup,
    f"""
INSERT INTO signups AS s (id, version, activity_id, rider_id, company, number, turn, team, photo_consent, state,
                          signed_up_at, confirmed_at)
SELECT id, 1, activity_id, rider_id, company, number, number, team, photo_consent, state,
       $1::timestamptz, CASE WHEN state = 'confirmed' THEN $1 END
FROM (
    SELECT w.*, (a.signups + w.place)::integer AS number,
           CASE WHEN a.way = 'lot' THEN 'wished'
                WHEN a.waiting = 0 AND a.confirmed + w.place <= a.places THEN 'confirmed' ELSE 'waiting' END AS state
    FROM (SELECT n.*, row_number() OVER (PARTITION BY n.activity_id ORDER BY n.at) AS place
          FROM {unnest(NewSignup, first=2)}) AS w
    JOIN activities a ON a.id = w.activity_id
) AS placed
ORDER BY activity_id, number
RETURNING {_S}
""",
)
SQL_OF = Query(
    Signup,
    f"""
SELECT {_S} FROM unnest($1::uuid[], $2::uuid[]) AS w (activity_id, rider_id)
JOIN signups s ON s.activity_id = w.activity_id AND s.rider_id = w.rider_id AND s.state <> 'cancelled'
""",
)
SQL_LAST_OF = Query(
    Signup, f"SELECT {_S} FROM signups s WHERE s.activity_id = $1 AND s.rider_id = $2 ORDER BY s.number DESC LIMIT 1"
)
SQL_BY_NUMBER = Query(Signup, f"SELECT {_S} FROM signups s WHERE s.activity_id = $1 AND s.number = $2")
SQL_CANCEL = Query(
    Signup,
    f"""
UPDATE signups s SET state = 'cancelled', version = s.version + 1
WHERE s.activity_id = $1 AND s.rider_id = $2 AND s.state <> 'cancelled' AND s.outcome IS NULL RETURNING {_S}
""",
)
SQL_CANCEL_ALL = Query(
    Signup,
    f"""
UPDATE signups s SET state = 'cancelled', version = s.version + 1
WHERE s.activity_id = $1 AND s.state <> 'cancelled' RETURNING {_S}
""",
)
SQL_MOVE_UP = Query(
    Signup,
    f"""
UPDATE signups s SET state = 'confirmed', confirmed_at = $2::timestamptz, version = s.version + 1
WHERE s.id IN (
    SELECT l.id FROM unnest($1::uuid[]) AS w (id) JOIN activities a ON a.id = w.id CROSS JOIN LATERAL (
        SELECT id FROM signups WHERE activity_id = a.id AND state = 'waiting' ORDER BY turn
        LIMIT greatest(a.places - a.confirmed, 0)) AS l)
RETURNING {_S}
""",
)
SQL_WITHDRAWN = "SELECT number FROM signups WHERE activity_id = $1 AND state = 'cancelled' ORDER BY number"
SQL_DRAW = Query(
    Signup,
    f"""
UPDATE signups s SET turn = n.turn, version = s.version + 1,
    confirmed_at = CASE WHEN n.turn <= $3::bigint THEN $2::timestamptz END,
    state = CASE WHEN n.turn <= $3 THEN 'confirmed' ELSE 'waiting' END
FROM {unnest(Turn, first=4)} WHERE s.activity_id = $1 AND s.number = n.number AND s.state = 'wished'
RETURNING {_S}
""",
)
SQL_WINNERS = "SELECT number FROM signups WHERE activity_id = $1 AND state = 'confirmed' ORDER BY turn, number"
SQL_TOUCH = Query(
    Signup,
    f"""
UPDATE signups s SET version = s.version + 1 WHERE s.activity_id = $1 AND s.state <> 'cancelled' RETURNING {_S}
""",
)
# Who has got the place within the time of the reminder has just read when it is
SQL_REMIND = Query(
    Signup,
    f"""
UPDATE signups s SET version = s.version + 1, reminded_at = now() WHERE s.id IN (
    SELECT r.id FROM activities a CROSS JOIN LATERAL (
        SELECT id FROM signups WHERE activity_id = a.id AND state = 'confirmed' AND reminded_at IS NULL
          AND confirmed_at < a.starts_at - $1::interval AND rider_id IS NOT NULL
        ORDER BY id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) AS r
    WHERE a.state = 'open' AND a.starts_at > now() AND a.starts_at <= now() + $1::interval LIMIT $2)
RETURNING {_S}
""",
)
SQL_ATTENDED = Query(
    Signup,
    f"""
UPDATE signups s SET outcome = 'attended', version = s.version + 1
WHERE s.id = $1 AND s.state = 'confirmed' AND s.outcome IS NULL RETURNING {_S}
""",
)
SQL_NOT_ATTENDED = """
UPDATE signups SET outcome = NULL, version = version + 1 WHERE id = $1 AND outcome = 'attended'
"""
SQL_NO_SHOWS = """
UPDATE signups SET outcome = 'no_show', version = version + 1
WHERE activity_id = $1 AND state = 'confirmed' AND outcome IS NULL
"""
SQL_CONSENT = Query(
    Signup,
    f"""
UPDATE signups s SET photo_consent = $3, version = s.version + 1
WHERE s.activity_id = $1 AND s.rider_id = $2 AND s.state <> 'cancelled' RETURNING {_S}
""",
)
SQL_ALL_MINE = """
SELECT s.id, s.activity_id, a.title_zh, a.title_en, a.address, a.starts_at, a.ends_at, a.state AS activity_state,
       s.number, s.state, s.outcome, s.photo_consent, s.team,
       CASE WHEN s.state = 'waiting' THEN (
           SELECT count(*) FROM signups o
           WHERE o.activity_id = s.activity_id AND o.state = 'waiting' AND o.turn < s.turn
       ) END AS ahead
FROM signups s JOIN activities a ON a.id = s.activity_id
"""
SQL_MINE = Query(Mine, f"{SQL_ALL_MINE} WHERE s.rider_id = $1 AND s.id < $2 ORDER BY s.id DESC LIMIT $3")
SQL_OWN = Query(Mine, f"{SQL_ALL_MINE} WHERE s.activity_id = $1 AND s.rider_id = $2 ORDER BY s.number DESC LIMIT 1")
SQL_PAGE = Query(
    Signup, f"SELECT {_S} FROM signups s WHERE s.activity_id = $1 AND s.number > $2 ORDER BY s.number LIMIT $3"
)
SQL_COMPANY = Query(
    Sums,
    """
SELECT count(DISTINCT s.rider_id) AS riders, count(*) AS signups,
       count(*) FILTER (WHERE s.outcome = 'attended') AS attended
FROM activities a JOIN signups s ON s.activity_id = a.id
WHERE a.ends_at >= $2 AND a.ends_at < $3 AND a.state = 'over' AND s.company = $1 AND s.state <> 'cancelled'
  AND s.rider_id IS NOT NULL
""",
)
SQL_LOCK_OF_RIDERS = """
SELECT id FROM activities WHERE id IN (SELECT activity_id FROM signups WHERE rider_id = ANY($1::uuid[]))
ORDER BY id FOR NO KEY UPDATE
"""
SQL_FORGET = (
    "DELETE FROM check_ins WHERE rider_id = ANY($1::uuid[])",
    "DELETE FROM feedback WHERE rider_id = ANY($1::uuid[])",
    """DELETE FROM photos WHERE id IN (
        SELECT p.photo_id FROM photo_people p JOIN signups s ON s.id = p.signup_id
        WHERE s.rider_id = ANY($1::uuid[]))""",
    """UPDATE signups s SET rider_id = NULL, company = '', photo_consent = false, version = s.version + 1,
           state = CASE WHEN a.state = 'open' AND s.outcome IS NULL AND a.starts_at > now() THEN 'cancelled'
                        ELSE s.state END
       FROM activities a WHERE a.id = s.activity_id AND s.rider_id = ANY($1::uuid[])""",
)


async def add(conn: Connection, wanted: Sequence[NewSignup], now: datetime) -> list[Signup]:
    """Sign up riders who have no sign-up, in order; their activities are locked, so numbers have no gaps."""
    return await many(conn, SQL_ADD, now, *arrays(NewSignup, wanted))


async def of(conn: Connection, pairs: Collection[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], Signup]:
    """Sign-ups that are not cancelled, by (activity, rider)."""
    found = await many(conn, SQL_OF, [activity for activity, _ in pairs], [rider for _, rider in pairs])
    return {(one.activity_id, one.rider_id): one for one in found if one.rider_id is not None}


async def last_of(conn: Connection, activity_id: UUID, rider_id: UUID) -> Signup | None:
    """A rider's last sign-up for an activity, a cancelled one too."""
    return await one(conn, SQL_LAST_OF, activity_id, rider_id)


async def by_number(conn: Connection, activity_id: UUID, number: int) -> Signup | None:
    """The sign-up with a number."""
    return await one(conn, SQL_BY_NUMBER, activity_id, number)


async def cancel(conn: Connection, activity_id: UUID, rider_id: UUID) -> Signup | None:
    """Give a place or a wish back; None: there is none."""
    return await one(conn, SQL_CANCEL, activity_id, rider_id)


async def cancel_all(conn: Connection, activity_id: UUID) -> list[Signup]:
    """End all sign-ups of an activity."""
    return await many(conn, SQL_CANCEL_ALL, activity_id)


async def move_up(conn: Connection, activities: Collection[UUID], now: datetime) -> list[Signup]:
    """Give free places of locked activities to who waits, by turn."""
    return await many(conn, SQL_MOVE_UP, sorted(activities), now)


async def withdrawn(conn: Connection, activity_id: UUID) -> list[int]:
    """Numbers that were cancelled, ascending."""
    return [row["number"] for row in await conn.fetch(SQL_WITHDRAWN, activity_id)]


async def winners(conn: Connection, activity_id: UUID) -> list[int]:
    """Numbers that have a place, by turn."""
    return [row["number"] for row in await conn.fetch(SQL_WINNERS, activity_id)]


async def draw(conn: Connection, activity_id: UUID, order: Sequence[int], places: int, now: datetime) -> list[Signup]:
    """Let numbers have their turns: the first ones a place, the others wait."""
    turns = [Turn(number, turn) for turn, number in enumerate(order, 1)]
    return await many(conn, SQL_DRAW, activity_id, now, places, *arrays(Turn, turns))


async def touch(conn: Connection, activity_id: UUID) -> list[Signup]:
    """All who take part or wait, with a version of their own for what they hear."""
    return await many(conn, SQL_TOUCH, activity_id)


async def remind(conn: Connection, before: timedelta, most: int) -> list[Signup]:
    """Some of those who are to be reminded, each once."""
    return await many(conn, SQL_REMIND, before, most)


async def attended(conn: Connection, id_: UUID) -> Signup | None:
    """Note that somebody came; None: they have no place, or it is noted already."""
    return await one(conn, SQL_ATTENDED, id_)


async def not_attended(conn: Connection, id_: UUID) -> None:
    """Take back that somebody came."""
    await conn.execute(SQL_NOT_ATTENDED, id_)


async def no_shows(conn: Connection, activity_id: UUID) -> None:
    """Whoever had a place and did not come."""
    await conn.execute(SQL_NO_SHOWS, activity_id)


async def consent(conn: Connection, activity_id: UUID, rider_id: UUID, agreed: bool) -> Signup | None:
    """Whether a rider may be on photos that are shown; None: no such sign-up."""
    return await one(conn, SQL_CONSENT, activity_id, rider_id, agreed)


async def mine(conn: Connection, rider_id: UUID, before: UUID, limit: int) -> list[Mine]:
    """A rider's sign-ups, the newest first."""
    return await many(conn, SQL_MINE, rider_id, before, limit)


async def own(conn: Connection, activity_id: UUID, rider_id: UUID) -> Mine | None:
    """A rider's last sign-up for an activity."""
    return await one(conn, SQL_OWN, activity_id, rider_id)


async def page(conn: Connection, activity_id: UUID, after: int, limit: int) -> list[Signup]:
    """An activity's sign-ups by number."""
    return await many(conn, SQL_PAGE, activity_id, after, limit)


async def of_company(conn: Connection, company: str, since: datetime, until: datetime) -> Sums:
    """What a company's riders took part in, of activities that ended in [since, until)."""
    return await one(conn, SQL_COMPANY, company, since, until) or Sums(0, 0, 0)


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Remove who riders were; a place of theirs that is not used yet is free, and given on by the clock."""
    riders = [leaver.rider_id for leaver in leavers]
    await conn.execute(SQL_LOCK_OF_RIDERS, riders)
    for statement in SQL_FORGET:
        await conn.execute(statement, riders)


async def tallies(conn: Connection) -> dict[str, int]:
    """Figures for a reconciliation: signups = confirmed + waiting + wished + cancelled."""
    kept = await counters.kept(conn, "signups", "entered", "outcomes", "activities")
    states = {state: kept.of("signups", state) for state in ("confirmed", "waiting", "wished", "cancelled")}
    return {
        **states, "signups": kept.of("entered"), "activities": kept.total("activities"),
        "attended": kept.of("outcomes", "attended"), "no_shows": kept.of("outcomes", "no_show"),
    }  # fmt: skip
