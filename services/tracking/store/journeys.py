"""The journeys of reports, read together from what the topics said."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.tracking.domain import CaseState, CaseStep, Journey, Movement, ReceivedReport, Routing
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many, one


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


SQL_REPORT = Query(ReceivedReport, f"SELECT {columns(ReceivedReport)} FROM reports WHERE report_id = $1")
SQL_ROUTINGS = Query(Routing, f"SELECT {columns(Routing)} FROM routings WHERE report_id = $1 ORDER BY version")
SQL_CASE = Query(
    CaseState,
    f"""
SELECT {columns(CaseState, "c")} FROM case_reports l JOIN cases c USING (case_id) WHERE l.report_id = $1
""",
)
# The first steps whole; of a crowded case's later ones those that people took, and the report's own.
SQL_STEPS = Query(
    CaseStep,
    f"""
SELECT {columns(CaseStep)} FROM (
    (SELECT * FROM case_steps WHERE case_id = $1 AND version <= 100)
    UNION
    (SELECT * FROM case_steps WHERE case_id = $1 AND version > 100 AND step NOT IN ('attached', 'repeated')
     ORDER BY version DESC LIMIT 400)
    UNION
    (SELECT * FROM case_steps
     WHERE case_id = $1 AND version = (SELECT version FROM case_reports WHERE report_id = $2))
) seen ORDER BY version
""",
)
SQL_MOVEMENTS = Query(Movement, f"SELECT {columns(Movement)} FROM movements WHERE report_id = $1 ORDER BY version")

# By pages of the primary key: no transaction stays open while a slow reader downloads.
SQL_EXPORT = Query(
    ExportRow,
    """
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
""",
)


async def journey(conn: Connection, report_id: UUID) -> Journey | None:
    """All that is known of a report; None before intake's event has arrived."""
    report = await one(conn, SQL_REPORT, report_id)
    if report is None:
        return None
    routings = await many(conn, SQL_ROUTINGS, report_id)
    movements = await many(conn, SQL_MOVEMENTS, report_id)
    case = await one(conn, SQL_CASE, report_id)
    if case is None:
        return Journey(report, routings, movements=movements)
    steps = await many(conn, SQL_STEPS, case.case_id, report_id)
    return Journey(report, routings, case, steps, movements)


async def export_page(conn: Connection, company: str, after: UUID, rows_max: int) -> Sequence[ExportRow]:
    """The next reports of a company after a report id, by report id."""
    return await many(conn, SQL_EXPORT, company, after, rows_max)
