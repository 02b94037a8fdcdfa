"""Which reports companies are to hear of, and what is known of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, many

CROWDED_VERSION = 100
"""A case with more steps is read in pages."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of a company's report, from one snapshot.

    `version` rises with everything that becomes known: facts are added and never taken away. Of its case those steps
    count that concern it; what others report there does not.
    """

    report_id: UUID
    company: str
    external_id: str
    received_at: datetime
    version: int
    outcome: str | None
    routing_reason: str | None
    grid_code: str | None
    grid_name: str | None
    department: str | None
    routed_at: datetime | None
    case_id: UUID | None
    case_state: str | None
    case_grid_code: str | None
    case_department: str | None
    due_at: datetime | None
    case_changed_at: datetime | None
    movement: str | None
    amount: int | None
    points_reason: str | None
    moved_at: datetime | None


SQL_DUE_ADD = "INSERT INTO outbound_due (report_id) SELECT unnest($1::uuid[])"
SQL_DUE_ADD_OF_CASES = """
INSERT INTO outbound_due (report_id)
SELECT DISTINCT report_id FROM case_steps WHERE case_id = ANY($1::uuid[]) AND report_id IS NOT NULL
"""
SQL_CROWDS_ADD = """
INSERT INTO outbound_crowds (case_id) SELECT unnest($1::uuid[]) ORDER BY 1
ON CONFLICT (case_id) DO UPDATE SET after = 0
"""
# One transaction at a time, of all processes: what a later one reads is newer, and its events leave later.
SQL_TURN = "SELECT pg_try_advisory_xact_lock(hashtextextended('beegrid-outbound:' || current_schema(), 0))"
SQL_DUE_TAKE = """
DELETE FROM outbound_due WHERE id IN (SELECT id FROM outbound_due ORDER BY id LIMIT $1) RETURNING report_id
"""
SQL_CROWD_TAKE = "SELECT case_id, after FROM outbound_crowds ORDER BY case_id LIMIT 1 FOR UPDATE"
SQL_CROWD_PAGE = """
SELECT version, report_id FROM case_steps WHERE case_id = $1 AND version > $2 AND report_id IS NOT NULL
ORDER BY version LIMIT $3
"""
SQL_CROWD_GO_ON = "UPDATE outbound_crowds SET after = $2 WHERE case_id = $1"
SQL_CROWD_END = "DELETE FROM outbound_crowds WHERE case_id = $1"
# `s`: the case's last step that concerns the report. Of a crowded case the index of what people did there finds it.
SQL_KNOWN = Query(
    Known,
    """
SELECT r.report_id, r.company, r.external_id, r.at AS received_at,
       1 + coalesce(g.n, 0) + coalesce(s.version, 0) + coalesce(m.n, 0) AS version,
       g.outcome, g.reason AS routing_reason, g.grid_code, g.grid_name, g.department, g.at AS routed_at,
       c.case_id, c.state AS case_state, c.grid_code AS case_grid_code, c.department AS case_department, c.due_at,
       s.at AS case_changed_at, m.movement, m.amount, m.reason AS points_reason, m.at AS moved_at
FROM unnest($1::uuid[]) AS u (report_id) JOIN reports r ON r.report_id = u.report_id
LEFT JOIN LATERAL (SELECT *, count(*) OVER () AS n FROM routings o WHERE o.report_id = r.report_id
                   ORDER BY o.version DESC LIMIT 1) g ON true
LEFT JOIN case_reports l ON l.report_id = r.report_id LEFT JOIN cases c ON c.case_id = l.case_id
LEFT JOIN LATERAL (
    (SELECT version, at FROM case_steps o
     WHERE o.case_id = l.case_id AND version > 100 AND step NOT IN ('attached', 'repeated')
     ORDER BY version DESC LIMIT 1)
    UNION ALL
    (SELECT version, at FROM case_steps o
     WHERE o.case_id = l.case_id AND version <= 100 AND step NOT IN ('attached', 'repeated')
     ORDER BY version DESC LIMIT 1)
    UNION ALL SELECT l.version, l.at WHERE l.case_id IS NOT NULL
    ORDER BY version DESC LIMIT 1
) s ON true
LEFT JOIN LATERAL (SELECT *, count(*) OVER () AS n FROM movements o WHERE o.report_id = r.report_id
                   ORDER BY o.version DESC LIMIT 1) m ON true
WHERE r.by_company AND NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = r.rider_id)
ORDER BY r.report_id
""",
)


async def due(conn: Connection, reports: Collection[UUID]) -> None:
    """Note that something of these reports has changed."""
    if reports:
        await conn.execute(SQL_DUE_ADD, list(reports))


async def due_of_cases(conn: Connection, cases: Collection[UUID], crowded: Collection[UUID]) -> None:
    """Note that something of all reports of these cases has changed."""
    if cases:
        await conn.execute(SQL_DUE_ADD_OF_CASES, list(cases))
    if crowded:
        await conn.execute(SQL_CROWDS_ADD, list(crowded))


async def my_turn(conn: Connection) -> bool:
    """Whether nobody else says what has changed, until the transaction ends."""
    found: bool = await conn.fetchval(SQL_TURN)
    return found


async def take_due(conn: Connection, most: int) -> list[UUID]:
    """Reports of which something has changed, longest ago first; they aren't due any more."""
    return [row["report_id"] for row in await conn.fetch(SQL_DUE_TAKE, most)]


async def take_crowd(conn: Connection, most: int) -> list[UUID]:
    """The next reports of a crowded case that has changed."""
    crowd = await conn.fetchrow(SQL_CROWD_TAKE)
    if crowd is None:
        return []
    page = await conn.fetch(SQL_CROWD_PAGE, crowd["case_id"], crowd["after"], most)
    if len(page) < most:
        await conn.execute(SQL_CROWD_END, crowd["case_id"])
    else:
        await conn.execute(SQL_CROWD_GO_ON, crowd["case_id"], page[-1]["version"])
    return [row["report_id"] for row in page]


async def known(conn: Connection, reports: Collection[UUID]) -> Sequence[Known]:
    """What is known of those of the reports that a company has filed, and whose rider isn't erased, by report id."""
    return await many(conn, SQL_KNOWN, list(reports))
