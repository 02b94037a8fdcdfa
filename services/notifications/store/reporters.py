"""Who reported which case, as the cases service publishes it, report by report; and crowds still being notified."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, age_s, arrays, columns, many, one, unnest


@dataclass(frozen=True, slots=True)
class Reporter:
    """One rider's report of a case."""

    case_id: UUID
    company: str
    ordinal: int
    rider_id: UUID
    report_id: UUID


@dataclass(frozen=True, slots=True)
class Crowd:
    """A step of a case whose many reporters are notified some at a time; so far up to (company, ordinal)."""

    event_id: UUID
    case_id: UUID
    report_count: int
    template: str
    params: dict[str, Any]
    created_at: datetime
    reached_company: str = ""
    reached_ordinal: int = 0


SQL_ADD = f"""
INSERT INTO case_reporters ({columns(Reporter)}, created_at)
SELECT {columns(Reporter)}, $1 FROM {unnest(Reporter, first=2)}
WHERE NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = n.rider_id)
ON CONFLICT DO NOTHING
"""
SQL_OF_CASES = Query(
    Reporter,
    f"""
SELECT {columns(Reporter)} FROM case_reporters
WHERE case_id = ANY ($1::uuid[]) AND ordinal <= $2 ORDER BY case_id, ordinal
""",
)
SQL_OF_COMPANIES = Query(
    Reporter,
    """
SELECT c.case_id, h.company, r.ordinal, r.rider_id, r.report_id
FROM unnest($1::uuid[]) AS c (case_id) CROSS JOIN unnest($2::text[]) AS h (company)
CROSS JOIN LATERAL (
    SELECT ordinal, rider_id, report_id FROM case_reporters
    WHERE case_id = c.case_id AND company = h.company ORDER BY ordinal LIMIT $3
) r
""",
)
SQL_PAGE = Query(
    Reporter,
    f"""
SELECT {columns(Reporter)} FROM case_reporters
WHERE case_id = $1 AND (company, ordinal) > ($2, $3) AND ordinal <= $4 ORDER BY company, ordinal LIMIT $5
""",
)
SQL_ERASE_REPORTERS = "DELETE FROM case_reporters WHERE rider_id = ANY ($1::uuid[])"
SQL_QUEUE_CROWDS = f"""
INSERT INTO crowds ({columns(Crowd)}, queued_at) SELECT {columns(Crowd)}, $1 FROM {unnest(Crowd, first=2)}
ON CONFLICT DO NOTHING
"""
SQL_NEXT_CROWD = Query(
    Crowd,
    f"""
SELECT {columns(Crowd)} FROM crowds
ORDER BY queued_at, event_id LIMIT 1 FOR UPDATE SKIP LOCKED
""",
)
SQL_GO_ON = "UPDATE crowds SET reached_company = $2, reached_ordinal = $3 WHERE event_id = $1"
SQL_OLDEST_AGE = "SELECT extract(epoch FROM now() - min(queued_at))::float8 FROM crowds"
SQL_ALL_NOTIFIED = "DELETE FROM crowds WHERE event_id = $1"


async def add(conn: Connection, reporters: Sequence[Reporter], now: datetime) -> None:
    """Keep reporters; each has one place in a case."""
    if reporters:
        await conn.execute(SQL_ADD, now, *arrays(Reporter, reporters))


async def of_cases(conn: Connection, case_ids: Collection[UUID], up_to: int) -> list[Reporter]:
    """The first reporters of these cases, up to an ordinal, in order."""
    return await many(conn, SQL_OF_CASES, list(case_ids), up_to) if case_ids else []


async def of_companies(
    conn: Connection, case_ids: Collection[UUID], companies: Collection[str], most: int
) -> list[Reporter]:
    """The first reporters of each company in each of these cases, however crowded."""
    if not case_ids or not companies:
        return []
    return await many(conn, SQL_OF_COMPANIES, list(case_ids), list(companies), most)


async def page(conn: Connection, crowd: Crowd, most: int) -> list[Reporter]:
    """The next reporters of a crowd."""
    after = (crowd.reached_company, crowd.reached_ordinal)
    return await many(conn, SQL_PAGE, crowd.case_id, *after, crowd.report_count, most)


async def queue(conn: Connection, crowds: Sequence[Crowd], now: datetime) -> None:
    """Leave crowds to be notified some at a time."""
    if crowds:
        await conn.execute(SQL_QUEUE_CROWDS, now, *arrays(Crowd, crowds))


async def next_crowd(conn: Connection) -> Crowd | None:
    """The oldest that nobody works on, locked."""
    return await one(conn, SQL_NEXT_CROWD)


async def oldest_age_s(conn: Connection) -> float:
    """Seconds for which the oldest crowd has waited or been under way, 0 where there is none."""
    return await age_s(conn, SQL_OLDEST_AGE)


async def go_on(conn: Connection, crowd: Crowd, last: Reporter) -> None:
    """Remember who was the last to be notified."""
    await conn.execute(SQL_GO_ON, crowd.event_id, last.company, last.ordinal)


async def all_notified(conn: Connection, crowd: Crowd) -> None:
    """Everybody is."""
    await conn.execute(SQL_ALL_NOTIFIED, crowd.event_id)
