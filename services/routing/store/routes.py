"""Where each report went, and those that wait for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.routing.domain import StoredRoute
from shared.kit.db import Connection


@dataclass(frozen=True, slots=True)
class Waiting:
    """A report in the manual queue; `report` is the body of its event, as JSON values."""

    report_id: UUID
    reason: str
    waiting_since: datetime
    report: dict[str, Any]


SQL_KNOWN = "SELECT report_id FROM routes WHERE report_id = ANY($1::uuid[])"
ROUTE_COLUMNS = (
    "report_id", "version", "outcome", "reason", "grid_code", "alternatives", "department", "area_version", "routed_at",
)  # fmt: skip
SQL_QUEUE = """
INSERT INTO unroutable (report_id, reason, waiting_since, report)
SELECT t.report_id, t.reason, $4, t.report::jsonb FROM unnest($1::uuid[], $2::text[], $3::text[])
     AS t (report_id, reason, report)
"""
SQL_ASSIGN = """
UPDATE routes SET version = version + 1, outcome = 'routed', reason = NULL, grid_code = $2, department = $3,
    area_version = $4, routed_at = $5, assigned_by = $6
WHERE report_id = $1 AND outcome = 'unroutable' RETURNING version
"""
SQL_TAKE_FROM_QUEUE = "DELETE FROM unroutable WHERE report_id = $1 RETURNING report"
SQL_ROUTE = "SELECT * FROM routes WHERE report_id = $1"
SQL_WAITING = """
SELECT report_id, reason, waiting_since, report FROM unroutable
WHERE $1::timestamptz IS NULL OR (waiting_since, report_id) > ($1, $2::uuid)
ORDER BY waiting_since, report_id LIMIT $3
"""
SQL_TALLIES = """
SELECT count(*) FILTER (WHERE outcome = 'routed') AS routed,
       count(*) FILTER (WHERE outcome = 'unroutable') AS unroutable FROM routes
"""


async def add(conn: Connection, routes: Sequence[StoredRoute]) -> set[UUID]:
    """Save first routes; the reports that had none before.

    A report comes once; a second event about it (after a restore, with a new id) finds it routed. Should another
    process save it between the look and the copy, the unique key undoes this batch, and the next try finds it.
    """
    if not routes:
        return set()
    known = {row[0] for row in await conn.fetch(SQL_KNOWN, [route.report_id for route in routes])}
    new = [
        (r.report_id, r.version, r.outcome, r.reason, r.grid_code, r.alternatives, r.department, r.area_version,
         r.routed_at)
        for r in routes
        if r.report_id not in known
    ]  # fmt: skip
    if new:
        await conn.copy_records_to_table("routes", records=new, columns=ROUTE_COLUMNS)
    return {row[0] for row in new}


async def queue(conn: Connection, reports: Sequence[tuple[UUID, str, str]], since: datetime) -> None:
    """Put reports (id, reason, body as JSON text) in the manual queue."""
    if reports:
        await conn.execute(SQL_QUEUE, *(list(column) for column in zip(*reports, strict=True)), since)


async def take_from_queue(conn: Connection, report_id: UUID) -> dict[str, Any] | None:
    """Remove a report from the manual queue; its body, None where it doesn't wait (any more)."""
    report: dict[str, Any] | None = await conn.fetchval(SQL_TAKE_FROM_QUEUE, report_id)
    return report


async def assign(conn: Connection, route: StoredRoute) -> int | None:
    """Save the grid that a person named; the route's new version, None where the report doesn't wait for one."""
    version: int | None = await conn.fetchval(
        SQL_ASSIGN,
        route.report_id,
        route.grid_code,
        route.department,
        route.area_version,
        route.routed_at,
        route.assigned_by,
    )
    return version


async def route_of(conn: Connection, report_id: UUID) -> StoredRoute | None:
    """Where a report went."""
    row = await conn.fetchrow(SQL_ROUTE, report_id)
    return None if row is None else _route(row)


async def waiting(conn: Connection, after: tuple[datetime, UUID] | None, limit: int) -> list[Waiting]:
    """The manual queue, the longest waiting first, from behind the given place on."""
    since, report_id = after or (None, None)
    rows = await conn.fetch(SQL_WAITING, since, report_id, limit)
    return [Waiting(row["report_id"], row["reason"], row["waiting_since"], row["report"]) for row in rows]


async def tallies(conn: Connection) -> dict[str, int]:
    """Reports by outcome, for the reconciliation."""
    row = await conn.fetchrow(SQL_TALLIES)
    return {"routed": row["routed"], "unroutable": row["unroutable"]} if row is not None else {}


def _route(row: asyncpg.Record) -> StoredRoute:
    return StoredRoute(
        report_id=row["report_id"],
        version=row["version"],
        outcome=row["outcome"],
        reason=row["reason"],
        grid_code=row["grid_code"],
        alternatives=tuple(row["alternatives"]),
        department=row["department"],
        area_version=row["area_version"],
        routed_at=row["routed_at"],
        assigned_by=row["assigned_by"],
    )
