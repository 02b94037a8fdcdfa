"""Riders' totals, deeds and days. A batch costs the same few statements whatever its size."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.badges.domain import KEPT_DAYS, Award, Deed, Measure, Rule, Standing
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, unnest
from shared.kit.privacy.erasure import Leaver


@dataclass(slots=True, eq=False)
class Day:
    """What a batch adds to a rider's day in one grid; less than 0 where something was taken back."""

    credited_on: date
    rider_id: UUID
    grid_code: str
    company: str
    points: int
    reports: int


@dataclass(frozen=True, slots=True)
class Active:
    """A day on which a rider reported something that was credited."""

    rider_id: UUID
    reported_on: date


@dataclass(slots=True, eq=False)
class NewAward:
    """A badge as it is awarded."""

    award_id: UUID
    rider_id: UUID
    code: str
    zh: str
    en: str
    measure: Measure
    least: int
    awarded_at: datetime


# Nobody erased has a row, and what is heard of them changes nothing
SQL_OPEN = """
INSERT INTO standings (rider_id) SELECT r FROM unnest($1::uuid[]) AS r
WHERE NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = r) ORDER BY r
ON CONFLICT DO NOTHING
"""
SQL_LOCK = Query(
    Standing,
    f"SELECT {columns(Standing)} FROM standings WHERE rider_id = ANY($1::uuid[]) ORDER BY rider_id FOR NO KEY UPDATE",
)
SQL_STANDING = Query(Standing, f"SELECT {columns(Standing)} FROM standings WHERE rider_id = $1")
SQL_DEEDS = Query(Deed, f"SELECT {columns(Deed)} FROM deeds WHERE source_id = ANY($1::uuid[])")
SQL_KEEP_DEEDS = f"""
INSERT INTO deeds AS d ({columns(Deed)}, heard_at) SELECT {columns(Deed, "n")}, $1 FROM {unnest(Deed, first=2)}
ORDER BY n.source_id
ON CONFLICT (source_id) DO UPDATE SET
    reported_on = excluded.reported_on, credited_on = excluded.credited_on, points = excluded.points,
    company = excluded.company, grid_code = excluded.grid_code, posted = excluded.posted, reversed = excluded.reversed
"""
SQL_ADD_DAYS = f"""
INSERT INTO days AS d ({columns(Day)}) SELECT {columns(Day, "n")} FROM {unnest(Day)}
ORDER BY n.credited_on, n.rider_id, n.grid_code, n.company
ON CONFLICT (credited_on, rider_id, grid_code, company)
DO UPDATE SET points = d.points + excluded.points, reports = d.reports + excluded.reports
"""
SQL_ACTIVE = Query(
    Active,
    f"""
SELECT d.rider_id, d.reported_on FROM unnest($1::uuid[]) AS r (rider_id) CROSS JOIN LATERAL (
    SELECT DISTINCT rider_id, reported_on FROM deeds
    WHERE rider_id = r.rider_id AND posted AND NOT reversed ORDER BY reported_on DESC LIMIT {KEPT_DAYS}
) d ORDER BY d.rider_id, d.reported_on
""",
)
SQL_SAVE = f"""
UPDATE standings s SET points = n.points, reports = n.reports, streak = n.streak, best_streak = n.best_streak,
    streak_on = n.streak_on, best_on = n.best_on
FROM {unnest(Standing)} WHERE s.rider_id = n.rider_id
"""
SQL_AWARD = Query(
    Award,
    f"""
INSERT INTO awards ({columns(NewAward)}) SELECT {columns(NewAward)} FROM {unnest(NewAward)}
ON CONFLICT (rider_id, code) DO NOTHING RETURNING {columns(Award)}
""",
)
# A claw-back takes what a badge was given for, and what is earned again gives it back.
SQL_VALIDATE = """
UPDATE awards a SET valid = NOT a.valid FROM standings s
WHERE a.rider_id = ANY($1::uuid[]) AND s.rider_id = a.rider_id AND a.valid <> (
    CASE a.measure WHEN 'points' THEN s.points WHEN 'reports' THEN s.reports ELSE s.best_streak END >= a.least)
"""
SQL_AWARDS = Query(Award, f"SELECT {columns(Award)} FROM awards WHERE rider_id = $1 ORDER BY awarded_at, code")
SQL_ONE_AWARD = Query(Award, f"SELECT {columns(Award)} FROM awards WHERE award_id = $1")
SQL_RULES = Query(Rule, f"SELECT {columns(Rule)} FROM rules ORDER BY code, version")
SQL_ADD_RULE = f"""
INSERT INTO rules ({columns(Rule)}, set_at) SELECT {columns(Rule, "n")}, $1 FROM {unnest(Rule, first=2)}
WHERE n.version = 1 + coalesce((SELECT max(r.version) FROM rules r WHERE r.code = n.code), 0)
ON CONFLICT DO NOTHING RETURNING version
"""
SQL_HIDE = "INSERT INTO hidden (rider_id, since) VALUES ($1, $2) ON CONFLICT DO NOTHING"
SQL_SHOW = "DELETE FROM hidden WHERE rider_id = $1"
# Of whoever has left a board may still be kept that was made before.
SQL_OFF_BOARDS = """
SELECT rider_id FROM hidden WHERE rider_id = ANY($1::uuid[])
UNION ALL SELECT rider_id FROM erased_riders WHERE rider_id = ANY($1::uuid[])
"""
SQL_FORGET = (
    "DELETE FROM standings WHERE rider_id = ANY($1::uuid[])",
    "DELETE FROM deeds WHERE rider_id = ANY($1::uuid[])",
    "DELETE FROM days WHERE rider_id = ANY($1::uuid[])",
    "DELETE FROM awards WHERE rider_id = ANY($1::uuid[])",
    "DELETE FROM hidden WHERE rider_id = ANY($1::uuid[])",
)


async def lock(conn: Connection, riders: Collection[UUID]) -> dict[UUID, Standing]:
    """The riders' totals, locked; made where missing, and missing where a rider is erased."""
    ordered = sorted(riders)
    await conn.execute(SQL_OPEN, ordered)
    return {found.rider_id: found for found in await many(conn, SQL_LOCK, ordered)}


async def deeds(conn: Connection, sources: Collection[UUID]) -> dict[UUID, Deed]:
    """What was heard of these reports, of riders that are locked."""
    return {found.source_id: found for found in await many(conn, SQL_DEEDS, list(sources))}


async def keep_deeds(conn: Connection, changed: Sequence[Deed], now: datetime) -> None:
    """Write what is known of reports now."""
    await conn.execute(SQL_KEEP_DEEDS, now, *arrays(Deed, changed))


async def add_days(conn: Connection, added: Sequence[Day]) -> None:
    """Add to riders' days."""
    if added:
        await conn.execute(SQL_ADD_DAYS, *arrays(Day, added))


async def active_days(conn: Connection, riders: Collection[UUID]) -> dict[UUID, list[date]]:
    """The newest days on which riders reported something that counts, ascending."""
    found: dict[UUID, list[date]] = {}
    for day in await many(conn, SQL_ACTIVE, list(riders)):
        found.setdefault(day.rider_id, []).append(day.reported_on)
    return found


async def save(conn: Connection, standings: Sequence[Standing]) -> None:
    """Write totals of locked riders."""
    await conn.execute(SQL_SAVE, *arrays(Standing, standings))


async def award(conn: Connection, wanted: Sequence[NewAward]) -> list[Award]:
    """Award badges; those that the riders didn't have."""
    return await many(conn, SQL_AWARD, *arrays(NewAward, wanted)) if wanted else []


async def validate(conn: Connection, riders: Collection[UUID]) -> None:
    """Let riders' badges be valid or not, as their totals are."""
    await conn.execute(SQL_VALIDATE, list(riders))


async def standing(conn: Connection, rider_id: UUID) -> Standing:
    """A rider's totals, zeros for one who has nothing."""
    return await one(conn, SQL_STANDING, rider_id) or Standing(rider_id, 0, 0, 0, 0, None, None)


async def awards(conn: Connection, rider_id: UUID) -> list[Award]:
    """A rider's badges, the oldest first."""
    return await many(conn, SQL_AWARDS, rider_id)


async def one_award(conn: Connection, award_id: UUID) -> Award | None:
    """One badge."""
    return await one(conn, SQL_ONE_AWARD, award_id)


async def rules(conn: Connection) -> list[Rule]:
    """All rules, by code and version."""
    return await many(conn, SQL_RULES)


async def add_rule(conn: Connection, rule: Rule, now: datetime) -> bool:
    """Append a rule as its code's next version; False if that version or instant is taken."""
    return await conn.fetchval(SQL_ADD_RULE, now, *arrays(Rule, [rule])) is not None


async def show(conn: Connection, rider_id: UUID, shown: bool, now: datetime) -> None:
    """Whether a rider is on boards; again changes nothing."""
    if shown:
        await conn.execute(SQL_SHOW, rider_id)
    else:
        await conn.execute(SQL_HIDE, rider_id, now)


async def off_boards_among(conn: Connection, riders: Collection[UUID]) -> set[UUID]:
    """Those of the riders who don't want to be on boards, or are erased."""
    return {row["rider_id"] for row in await conn.fetch(SQL_OFF_BOARDS, list(riders))}


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Remove all that is kept of riders; a badge of theirs can be verified no longer."""
    riders = [leaver.rider_id for leaver in leavers]
    for statement in SQL_FORGET:
        await conn.execute(statement, riders)


async def tallies(conn: Connection) -> dict[str, int]:
    """What is credited, and how many badges there are."""
    kept = await counters.kept(conn, "points", "reports", "awards")
    return {"points": kept.of("points"), "reports": kept.of("reports"), "awards": kept.total("awards")}
