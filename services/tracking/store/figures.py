"""Counts and durations over all reports."""

from dataclasses import dataclass
from datetime import datetime

from services.tracking.domain import CaseState
from shared.kit.db import Connection

SQL_PROGRESS = """
SELECT count(*) AS received,
       count(*) FILTER (WHERE o.outcome = 'routed') AS routed,
       count(*) FILTER (WHERE o.outcome = 'unroutable') AS unroutable,
       count(l.case_id) AS in_case,
       count(*) FILTER (WHERE c.state = 'closed') AS closed,
       count(*) FILTER (WHERE m.movement = 'posted') AS points_posted,
       coalesce(sum(m.amount) FILTER (WHERE m.movement = 'posted'), 0)::bigint AS points,
       count(*) FILTER (WHERE o.outcome = 'unroutable' OR (c.state IN ('closed', 'invalid')
                          AND m.movement IN ('posted', 'voided', 'refused', 'reversed'))) AS settled
FROM reports r
LEFT JOIN (SELECT DISTINCT ON (report_id) report_id, outcome FROM routings ORDER BY report_id, version DESC) o
     USING (report_id)
LEFT JOIN case_reports l USING (report_id)
LEFT JOIN cases c USING (case_id)
LEFT JOIN (SELECT DISTINCT ON (report_id) report_id, movement, amount FROM movements ORDER BY report_id, version DESC) m
     USING (report_id)
WHERE $1::text IS NULL OR r.company = $1
"""

# Each stage's own event time: what the stage wrote as it happened, not when it was heard here.
SQL_HOPS = """
WITH stages AS (
    SELECT r.at AS accepted,
           (SELECT min(at) FROM routings o WHERE o.report_id = r.report_id AND o.outcome = 'routed') AS routed,
           l.at AS in_case,
           (SELECT min(at) FROM movements m WHERE m.report_id = r.report_id AND m.movement = 'held') AS held,
           (SELECT max(at) FROM case_steps s WHERE s.case_id = l.case_id AND s.step = 'closed') AS closed,
           (SELECT min(at) FROM movements m WHERE m.report_id = r.report_id AND m.movement = 'posted') AS posted
    FROM reports r LEFT JOIN case_reports l USING (report_id)
    WHERE ($1::timestamptz IS NULL OR r.at >= $1)
), hops (hop, place, seconds) AS (
    SELECT 'accepted_to_routed', 1, extract(epoch FROM routed - accepted) FROM stages
    UNION ALL SELECT 'routed_to_case', 2, extract(epoch FROM in_case - routed) FROM stages
    UNION ALL SELECT 'accepted_to_case', 6, extract(epoch FROM in_case - accepted) FROM stages
    UNION ALL SELECT 'case_to_held', 3, extract(epoch FROM held - in_case) FROM stages
    UNION ALL SELECT 'accepted_to_held', 4, extract(epoch FROM held - accepted) FROM stages
    UNION ALL SELECT 'closed_to_posted', 5, extract(epoch FROM posted - closed) FROM stages
)
SELECT hop, count(seconds) AS reports,
       (percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) * 1000)::float8 AS p50_ms,
       (percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) * 1000)::float8 AS p95_ms,
       (percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) * 1000)::float8 AS p99_ms
FROM hops GROUP BY hop, place ORDER BY place
"""

SQL_CASES_BY_STATE = "SELECT state, count(*) AS number FROM cases GROUP BY state"
SQL_CASES_BY_KIND = """
SELECT kind AS name, count(*) AS number FROM cases GROUP BY kind ORDER BY number DESC, kind LIMIT $1
"""
SQL_CASES_BY_STREET = """
SELECT CASE WHEN grid_code ~ '^[0-9]{12,}$' THEN left(grid_code, 9) ELSE grid_code END AS name, count(*) AS number
FROM cases GROUP BY 1 ORDER BY number DESC, name LIMIT $1
"""
SQL_LATEST_CASES = """
SELECT case_id, version, state, kind, level, grid_code, department, lng, lat, report_count, opened_at, due_at,
       changed_at
FROM cases ORDER BY case_id DESC LIMIT $1
"""

SQL_TALLIES = """
SELECT (SELECT count(*) FROM reports) AS received,
       (SELECT count(DISTINCT report_id) FROM routings WHERE outcome = 'routed') AS routed,
       (SELECT count(*) FROM case_reports) AS in_case,
       (SELECT count(*) FROM cases) AS cases,
       (SELECT count(*) FROM case_steps) AS case_steps,
       (SELECT count(*) FROM cases WHERE state = 'closed') AS closed,
       (SELECT count(DISTINCT report_id) FROM movements WHERE movement = 'held') AS held,
       (SELECT count(DISTINCT report_id) FROM movements WHERE movement = 'posted') AS posted
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far reports have come. Settled: no step of the suite is due any more (unroutable ones wait for a person)."""

    received: int
    routed: int
    unroutable: int
    in_case: int
    closed: int
    points_posted: int
    points: int
    settled: int


@dataclass(frozen=True, slots=True)
class Hop:
    """Durations between two stages, over the reports that reached both; none where no report did."""

    hop: str
    reports: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Count:
    """A number of cases with what they have in common."""

    name: str
    number: int


async def progress(conn: Connection, company: str | None) -> Progress:
    """Counts of reports, of one company or of all."""
    row = await conn.fetchrow(SQL_PROGRESS, company)
    return Progress(**row) if row else Progress(0, 0, 0, 0, 0, 0, 0, 0)


async def hops(conn: Connection, since: datetime | None) -> list[Hop]:
    """Durations from stage to stage of reports received since an instant."""
    return [Hop(**row) for row in await conn.fetch(SQL_HOPS, since)]


async def cases_by_state(conn: Connection) -> dict[str, int]:
    """Numbers of cases."""
    return {row["state"]: row["number"] for row in await conn.fetch(SQL_CASES_BY_STATE)}


async def cases_by_kind(conn: Connection, rows_max: int) -> list[Count]:
    """The most frequent kinds, by code."""
    return [Count(**row) for row in await conn.fetch(SQL_CASES_BY_KIND, rows_max)]


async def cases_by_street(conn: Connection, rows_max: int) -> list[Count]:
    """The streets with the most cases, by code (9 digits); grids, where codes aren't of the national numbering."""
    return [Count(**row) for row in await conn.fetch(SQL_CASES_BY_STREET, rows_max)]


async def latest_cases(conn: Connection, rows_max: int) -> list[CaseState]:
    """The cases opened last: their ids rise with time."""
    return [CaseState(**row) for row in await conn.fetch(SQL_LATEST_CASES, rows_max)]


async def tallies(conn: Connection) -> dict[str, int]:
    """Counts for the reconciliation: received, routed, in_case, cases, case_steps, closed, held, posted."""
    row = await conn.fetchrow(SQL_TALLIES)
    return dict(row) if row else {}
