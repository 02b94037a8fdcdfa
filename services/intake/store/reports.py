"""Accepted reports."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.intake.domain import AcceptedReport, Earlier
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, one, unnest


@dataclass(slots=True, eq=False)
class NewReport:
    """A report that counts, unless its number was there before."""

    report_id: UUID
    source: str
    external_id: str
    company: str
    rider_id: UUID
    kind: str
    content_hash: bytes


# A number that waits for its rider is an earlier report's. Ordered, so that two batches with common numbers wait for
# each other in one direction only
SQL_REPORTS_INSERT = f"""
INSERT INTO reports ({columns(NewReport)}, received_at)
SELECT {columns(NewReport)}, $1 FROM {unnest(NewReport, first=2)}
WHERE NOT EXISTS (SELECT FROM waiting_reports w WHERE w.company = n.source AND w.external_id = n.external_id)
ORDER BY source, external_id, report_id
ON CONFLICT (source, external_id) DO NOTHING
RETURNING report_id
"""
SQL_EARLIER = """
SELECT r.source, r.external_id, r.report_id, r.content_hash, r.received_at
FROM unnest($1::text[], $2::text[]) AS u (source, external_id)
JOIN reports r ON r.source = u.source AND r.external_id = u.external_id
"""
SQL_REPORT = Query(AcceptedReport, f"SELECT {columns(AcceptedReport)} FROM reports WHERE report_id = $1")
SQL_REPORTS_ERASE = """
UPDATE reports SET external_id = 'erased:' || report_id, content_hash = ''
WHERE rider_id = ANY($1::uuid[]) AND content_hash <> ''
"""


async def erase(conn: Connection, riders: Sequence[UUID]) -> None:
    """Take companies' numbers and traces of content off riders' reports."""
    await conn.execute(SQL_REPORTS_ERASE, list(riders))


async def insert_reports(conn: Connection, reports: Sequence[NewReport], now: datetime) -> set[UUID]:
    """Insert reports; returns the ids that were new."""
    rows = await conn.fetch(SQL_REPORTS_INSERT, now, *arrays(NewReport, reports))
    return {row["report_id"] for row in rows}


async def earlier(conn: Connection, numbers: Collection[tuple[str, str]]) -> dict[tuple[str, str], Earlier]:
    """Reports accepted under these (source, external_id)."""
    rows = await conn.fetch(SQL_EARLIER, [source for source, _ in numbers], [number for _, number in numbers])
    return {
        (row["source"], row["external_id"]): Earlier(row["report_id"], row["content_hash"], row["received_at"])
        for row in rows
    }


async def report(conn: Connection, report_id: UUID) -> AcceptedReport | None:
    """One accepted report."""
    return await one(conn, SQL_REPORT, report_id)


async def tallies(conn: Connection) -> dict[str, int]:
    """Figures for the reconciliation: accepted reports, riders known, photos stored, reports that wait for a rider."""
    kept = await counters.kept(conn, "accepted", "riders", "photos", "waiting")
    return {**{name: kept.of(name) for name in ("accepted", "riders", "photos")}, "waiting": kept.total("waiting")}
