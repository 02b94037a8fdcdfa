"""The journeys of reports, read together from what the topics told."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.tracking.domain import CaseState, CaseStep, Journey, Movement, ReceivedReport, Routing
from shared.kit.db import Connection

SQL_REPORT = """
SELECT report_id, company, external_id, rider_id, kind, level, lng, lat, seen_at, at FROM reports WHERE report_id = $1
"""
SQL_ROUTINGS = """
SELECT report_id, version, company, outcome, reason, grid_code, grid_name, ambiguous, department, at FROM routings
WHERE report_id = $1 ORDER BY version
"""
SQL_CASE = """
SELECT c.case_id, c.version, c.state, c.kind, c.level, c.grid_code, c.department, c.lng, c.lat, c.report_count,
       c.opened_at, c.due_at, c.changed_at
FROM case_reports l JOIN cases c USING (case_id) WHERE l.report_id = $1
"""
# The first steps whole; of a crowded case's later ones those that people took, and the report's own.
SQL_STEPS = """
SELECT case_id, version, step, state, actor_name, actor_role, report_id, grid_code, note, at,
       rider_id FROM (
    (SELECT * FROM case_steps WHERE case_id = $1 AND version <= 100)
    UNION
    (SELECT * FROM case_steps WHERE case_id = $1 AND version > 100 AND step NOT IN ('attached', 'repeated')
     ORDER BY version DESC LIMIT 400)
    UNION
    (SELECT * FROM case_steps
     WHERE case_id = $1 AND version = (SELECT version FROM case_reports WHERE report_id = $2))
) told ORDER BY version
"""
SQL_MOVEMENTS = """
SELECT report_id, version, company, movement, amount, reason, at FROM movements WHERE report_id = $1 ORDER BY version
"""

# By pages of the primary key: no transaction stays open while a slow reader downloads.
SQL_EXPORT = """
SELECT r.external_id, r.report_id,
       coalesce(c.grid_code, CASE WHEN o.outcome = 'routed' THEN o.grid_code END) AS grid_code,
       coalesce(o.ambiguous, false) AS ambiguous, l.case_id,
       coalesce(c.state, o.outcome, 'received') AS state,
       CASE WHEN m.movement = 'posted' THEN m.amount ELSE 0 END AS points
FROM (SELECT report_id, external_id FROM reports WHERE company = $1 AND report_id > $2 ORDER BY report_id LIMIT $3) r
LEFT JOIN LATERAL (SELECT outcome, grid_code, ambiguous FROM routings WHERE report_id = r.report_id
                   ORDER BY version DESC LIMIT 1) o ON true
LEFT JOIN case_reports l ON l.report_id = r.report_id
LEFT JOIN cases c ON c.case_id = l.case_id
LEFT JOIN LATERAL (SELECT movement, amount FROM movements WHERE report_id = r.report_id
                   ORDER BY version DESC LIMIT 1) m ON true
ORDER BY r.report_id
"""


@dataclass(frozen=True, slots=True)
class ExportRow:
    """Where one report stands. `points` are those credited; `grid_code` is the case's by now; none while unroutable."""

    external_id: str
    report_id: UUID
    grid_code: str | None
    ambiguous: bool
    case_id: UUID | None
    state: str
    points: int


async def journey(conn: Connection, report_id: UUID) -> Journey | None:
    """All that is known of a report; None before intake's event has arrived."""
    row = await conn.fetchrow(SQL_REPORT, report_id)
    if row is None:
        return None
    report = ReceivedReport(**row)
    routings = [Routing(**one) for one in await conn.fetch(SQL_ROUTINGS, report_id)]
    movements = [Movement(**one) for one in await conn.fetch(SQL_MOVEMENTS, report_id)]
    found = await conn.fetchrow(SQL_CASE, report_id)
    if found is None:
        return Journey(report, routings, movements=movements)
    case = CaseState(**found)
    steps = [CaseStep(**one) for one in await conn.fetch(SQL_STEPS, case.case_id, report_id)]
    return Journey(report, routings, case, steps, movements)


async def export_page(conn: Connection, company: str, after: UUID, rows_max: int) -> Sequence[ExportRow]:
    """The next reports of a company after a report id, by report id."""
    rows: list[asyncpg.Record] = await conn.fetch(SQL_EXPORT, company, after, rows_max)
    return [ExportRow(**row) for row in rows]
