"""Suspicions, what was found, and the thresholds. The lock is a suspicion's row, taken in the order of reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.screening.domain import Finding, Limits, Reason, State
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, age_s, arrays, columns, many, unnest


@dataclass(slots=True, eq=False)
class NewFinding:
    """A finding as it is entered."""

    report_id: UUID
    reason: Reason
    score: int
    measured: int
    allowed: int
    span: int
    other_report: UUID | None
    other_rider: UUID | None
    other_person: str | None
    found_at: datetime


@dataclass(slots=True, eq=False)
class Entered:
    """A finding that is new."""

    report_id: UUID
    reason: Reason
    score: int


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A report under suspicion as it is now. `score`: of what nobody has decided on yet."""

    report_id: UUID
    rider_id: UUID
    state: State
    score: int
    version: int
    changed_at: datetime
    decided_by: str | None
    note: str


@dataclass(slots=True, eq=False)
class Suspect:
    """Whose report something was found of."""

    report_id: UUID
    rider_id: UUID


@dataclass(slots=True, eq=False)
class Added:
    """What a batch adds to a suspicion's score."""

    report_id: UUID
    score: int


SQL_LOCK = f"""
INSERT INTO suspicions ({columns(Suspect)}, changed_at)
SELECT {columns(Suspect, "n")}, $1 FROM {unnest(Suspect, first=2)} ORDER BY n.report_id
ON CONFLICT (report_id) DO UPDATE SET rider_id = excluded.rider_id
"""
SQL_KNOWN = "SELECT report_id, reason FROM findings WHERE report_id = ANY($1::uuid[])"
SQL_ENTER = Query(
    Entered,
    f"""
INSERT INTO findings ({columns(NewFinding)}) SELECT {columns(NewFinding)} FROM {unnest(NewFinding)}
ON CONFLICT (report_id, reason) DO NOTHING RETURNING report_id, reason, score
""",
)
# What was decided stays decided until something else is found; what was confirmed, for good.
SQL_RAISE = Query(
    Suspicion,
    f"""
WITH summed AS (
    SELECT s.report_id, s.score + n.score AS score,
           s.state IN ('watched', 'cleared') AND s.score + n.score >= $2 AS raises
    FROM {unnest(Added, first=3)} JOIN suspicions s ON s.report_id = n.report_id
)
UPDATE suspicions s SET score = m.score, state = CASE WHEN m.raises THEN 'raised' ELSE s.state END,
    version = s.version + m.raises::int, changed_at = CASE WHEN m.raises THEN $1 ELSE s.changed_at END
FROM summed m WHERE s.report_id = m.report_id
RETURNING {columns(Suspicion, "s")}
""",
)
SQL_DECIDE = Query(
    Suspicion,
    f"""
UPDATE suspicions SET state = $2, score = 0, version = version + 1, changed_at = $3, decided_by = $4,
    note = CASE WHEN EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = suspicions.rider_id) THEN '' ELSE $5 END
WHERE report_id = ANY($1::uuid[]) AND state = 'raised'
RETURNING {columns(Suspicion)}
""",
)
SQL_OF = Query(
    Suspicion,
    f"""
SELECT {columns(Suspicion)} FROM suspicions WHERE report_id = ANY($1::uuid[]) ORDER BY report_id FOR NO KEY UPDATE
""",
)
SQL_QUEUE = Query(
    Suspicion,
    f"""
SELECT {columns(Suspicion)} FROM suspicions
WHERE state = $1 AND (changed_at, report_id) > ($2, $3) ORDER BY changed_at, report_id LIMIT $4
""",
)
SQL_OF_RIDER = Query(
    Suspicion,
    f"""
SELECT {columns(Suspicion)} FROM suspicions
WHERE rider_id = $1 AND report_id > $2 AND state <> 'watched' ORDER BY report_id LIMIT $3
""",
)
SQL_FINDINGS = Query(
    Finding,
    """
SELECT f.report_id, s.rider_id, f.reason, f.score, f.measured, f.allowed, f.span, f.other_report, f.other_rider,
       f.other_person
FROM findings f JOIN suspicions s ON s.report_id = f.report_id
WHERE f.report_id = ANY($1::uuid[]) ORDER BY f.report_id, f.score DESC, f.reason
""",
)
SQL_OLDEST_AGE = """
SELECT extract(epoch FROM now() - min(changed_at))::float8 FROM suspicions WHERE state = 'raised'
"""
SQL_LIMITS = Query(Limits, f"SELECT {columns(Limits)} FROM limits ORDER BY effective_from")
SQL_LIMITS_PAGE = Query(Limits, f"SELECT {columns(Limits)} FROM limits WHERE version > $1 ORDER BY version LIMIT $2")
SQL_LIMITS_LAST = "SELECT max(version) FROM limits"
SQL_ADD_LIMITS = f"""
INSERT INTO limits ({columns(Limits)}, set_at) SELECT {columns(Limits, "n")}, $1 FROM {unnest(Limits, first=2)}
WHERE n.version = 1 + (SELECT max(version) FROM limits)
ON CONFLICT DO NOTHING RETURNING version
"""


async def lock(conn: Connection, suspects: Sequence[Suspect], now: datetime) -> None:
    """Make the suspicions that are new, `watched`, and lock them all."""
    await conn.execute(SQL_LOCK, now, *arrays(Suspect, suspects))


async def known(conn: Connection, reports: Sequence[UUID]) -> set[tuple[UUID, Reason]]:
    """What was found of these reports already: it is never found again."""
    return {(row["report_id"], row["reason"]) for row in await conn.fetch(SQL_KNOWN, list(reports))}


async def enter(conn: Connection, found: Sequence[NewFinding]) -> list[Entered]:
    """Keep what was found; what of it was not known before."""
    return await many(conn, SQL_ENTER, *arrays(NewFinding, found))


async def add(conn: Connection, added: Sequence[Added], raise_at: int, now: datetime) -> list[Suspicion]:
    """Add to the scores of locked suspicions; as they are now. Those raised by it were `changed_at` now."""
    return await many(conn, SQL_RAISE, now, raise_at, *arrays(Added, added))


async def decide(
    conn: Connection, reports: Sequence[UUID], state: State, now: datetime, by: str, note: str
) -> list[Suspicion]:
    """End suspicions that are raised; only those. Of a rider who is erased no words are kept."""
    return await many(conn, SQL_DECIDE, list(reports), state, now, by, note)


async def of(conn: Connection, reports: Sequence[UUID]) -> list[Suspicion]:
    """The suspicions of these reports, locked."""
    return await many(conn, SQL_OF, list(reports))


async def queue(conn: Connection, state: State, after: tuple[datetime, UUID], limit: int) -> list[Suspicion]:
    """Suspicions in one state, those that wait longest first, behind one."""
    return await many(conn, SQL_QUEUE, state, *after, limit)


async def of_rider(conn: Connection, rider_id: UUID, after: UUID, limit: int) -> list[Suspicion]:
    """One rider's suspicions, by report, behind one."""
    return await many(conn, SQL_OF_RIDER, rider_id, after, limit)


async def findings(conn: Connection, reports: Sequence[UUID]) -> dict[UUID, list[Finding]]:
    """What was found of these reports, the worst first."""
    found: dict[UUID, list[Finding]] = {}
    for one in await many(conn, SQL_FINDINGS, list(reports)):
        found.setdefault(one.report_id, []).append(one)
    return found


async def oldest_age_s(conn: Connection) -> float:
    """Seconds for which the oldest suspicion has waited for somebody, 0 where none does."""
    return await age_s(conn, SQL_OLDEST_AGE)


async def limits(conn: Connection) -> list[Limits]:
    """All thresholds, ascending by the instant they begin."""
    return await many(conn, SQL_LIMITS)


async def limits_page(conn: Connection, after: int, limit: int) -> list[Limits]:
    """The next thresholds after a version, by version."""
    return await many(conn, SQL_LIMITS_PAGE, after, limit)


async def last_limits(conn: Connection) -> int:
    """The newest version."""
    version: int = await conn.fetchval(SQL_LIMITS_LAST)
    return version


async def add_limits(conn: Connection, limits_: Limits, now: datetime) -> bool:
    """Append thresholds as the next version; False if that version or instant is taken."""
    return await conn.fetchval(SQL_ADD_LIMITS, now, *arrays(Limits, [limits_])) is not None


async def tallies(conn: Connection) -> dict[str, int]:
    """How many suspicions are in which state."""
    kept = await counters.kept(conn, "suspicions")
    return {state: kept.of("suspicions", state) for state in ("watched", "raised", "cleared", "confirmed")}
