"""Accepted reports."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from services.intake.domain import AcceptedReport, Earlier
from shared.kit import counters
from shared.kit.db import Connection

# Ordered, so that two batches with common numbers wait for each other in one direction only
SQL_REPORTS_INSERT = """
INSERT INTO reports (report_id, source, external_id, company, rider_id, kind, content_hash, received_at)
SELECT u.report_id, u.source, u.external_id, u.company, u.rider_id, u.kind, u.content_hash, $8
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::bytea[])
  AS u (report_id, source, external_id, company, rider_id, kind, content_hash)
ORDER BY u.source, u.external_id, u.report_id
ON CONFLICT (source, external_id) DO NOTHING
RETURNING report_id
"""
SQL_EARLIER = """
SELECT r.source, r.external_id, r.report_id, r.content_hash, r.received_at
FROM unnest($1::text[], $2::text[]) AS u (source, external_id)
JOIN reports r ON r.source = u.source AND r.external_id = u.external_id
"""
SQL_REPORT = """
SELECT report_id, source, external_id, company, rider_id, kind, received_at FROM reports WHERE report_id = $1
"""
SQL_REPORTS_ERASE = """
UPDATE reports SET external_id = 'erased:' || report_id, content_hash = ''
WHERE rider_id = ANY($1::uuid[]) AND content_hash <> ''
"""


async def erase(conn: Connection, riders: Sequence[UUID]) -> None:
    """Take companies' numbers and traces of content off riders' reports."""
    await conn.execute(SQL_REPORTS_ERASE, list(riders))


async def insert_reports(
    conn: Connection, reports: Sequence[tuple[UUID, str, str, str, UUID, str, bytes]], now: datetime
) -> set[UUID]:
    """Insert (report_id, source, external_id, company, rider_id, kind, content_hash); returns the ids that were new."""
    columns = zip(*reports, strict=True)
    return {row["report_id"] for row in await conn.fetch(SQL_REPORTS_INSERT, *map(list, columns), now)}


async def earlier(conn: Connection, numbers: Collection[tuple[str, str]]) -> dict[tuple[str, str], Earlier]:
    """Reports accepted under these (source, external_id)."""
    rows = await conn.fetch(SQL_EARLIER, [source for source, _ in numbers], [number for _, number in numbers])
    return {
        (row["source"], row["external_id"]): Earlier(row["report_id"], row["content_hash"], row["received_at"])
        for row in rows
    }


async def report(conn: Connection, report_id: UUID) -> AcceptedReport | None:
    """One accepted report."""
    row = await conn.fetchrow(SQL_REPORT, report_id)
    return AcceptedReport(*row.values()) if row is not None else None


async def tallies(conn: Connection) -> dict[str, int]:
    """Figures for the reconciliation: accepted reports, riders known, photos stored."""
    kept = await counters.kept(conn, "accepted", "riders", "photos")
    return {name: kept.of(name) for name in ("accepted", "riders", "photos")}
