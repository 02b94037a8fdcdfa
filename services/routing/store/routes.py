"""Where each report went, and those that wait for a person."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from services.routing.domain import StoredRoute
from shared.events.personal import COARSE_DECIMALS
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.merging import Place, merged
from shared.kit.postgres.rows import Copy, Query, arrays, columns, copy_rows, many, one, unnest
from shared.kit.privacy.erasure import Leaver


@dataclass(frozen=True, slots=True)
class Waiting:
    """A report in the manual queue; `report` is the body of its event, as JSON values."""

    report_id: UUID
    reason: str
    waiting_since: datetime
    report: dict[str, Any]


@dataclass(slots=True, eq=False)
class ToQueue:
    """A report that nobody's grid was found for; the nearest, where one is near; its body as JSON text."""

    report_id: UUID
    reason: str
    near: str | None
    report: str


BEFORE_ALL: Place = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
SQL_KNOWN = "SELECT report_id FROM routes WHERE report_id = ANY($1::uuid[])"
SQL_ENTER_ROUTES = Copy(StoredRoute, "routes")
SQL_QUEUE = f"""
INSERT INTO unroutable (report_id, reason, waiting_since, near, report)
SELECT report_id, reason, $1, near, report::jsonb FROM {unnest(ToQueue, first=2)}
"""
SQL_ASSIGN = """
UPDATE routes SET version = version + 1, outcome = 'routed', reason = NULL, grid_code = $2, department = $3,
    area_version = $4, routed_at = $5, assigned_by = $6
WHERE report_id = $1 AND outcome = 'unroutable' RETURNING version
"""
SQL_TAKE_FROM_QUEUE = """
DELETE FROM unroutable WHERE report_id = $1 AND ($2::text[] IS NULL OR near = ANY($2)) RETURNING report
"""
# The thing in the street still needs a grid: its place stays, coarse; the words and photos of who saw it go.
SQL_QUEUE_ERASE = """
UPDATE unroutable SET report = report || jsonb_build_object(
    'text', '', 'photos', '[]'::jsonb, 'external_id', 'erased',
    'lng', round((report ->> 'lng')::numeric, $2), 'lat', round((report ->> 'lat')::numeric, $2))
WHERE report ->> 'rider_id' = ANY($1::text[])
"""
SQL_ROUTE = Query(StoredRoute, f"SELECT {columns(StoredRoute)} FROM routes WHERE report_id = $1")
SQL_WAITING = Query(
    Waiting,
    f"""
SELECT {columns(Waiting)} FROM unroutable WHERE (waiting_since, report_id) > ($1, $2)
ORDER BY waiting_since, report_id LIMIT $3
""",
)
SQL_WAITING_NEAR = """
SELECT mine.code, u.waiting_since, u.report_id
FROM unnest($1::text[], $2::timestamptz[], $3::uuid[]) AS mine (code, waiting_since, report_id)
CROSS JOIN LATERAL (
    SELECT waiting_since, report_id FROM unroutable
    WHERE near = mine.code AND (waiting_since, report_id) > (mine.waiting_since, mine.report_id)
    ORDER BY waiting_since, report_id LIMIT $4
) u
ORDER BY mine.code, u.waiting_since, u.report_id
"""
SQL_WAITING_OF = Query(
    Waiting,
    f"""
SELECT {columns(Waiting)} FROM unroutable WHERE report_id = ANY($1::uuid[])
ORDER BY waiting_since, report_id
""",
)
SQL_NOWHERE_NEAR = """
SELECT report_id, report FROM unroutable WHERE near IS NULL AND report_id > $1 ORDER BY report_id LIMIT $2
"""
SQL_SET_NEAR = """
UPDATE unroutable u SET near = t.near FROM unnest($1::uuid[], $2::text[]) AS t (report_id, near)
WHERE u.report_id = t.report_id
"""
SQL_AT = "SELECT near, count(*) AS n FROM unroutable WHERE near = ANY($1::text[]) GROUP BY near"
SQL_NEAR_VANISHED = """
SELECT u.report_id, u.report FROM known_areas k JOIN unroutable u ON u.near = k.code WHERE NOT k.in_force
ORDER BY u.report_id LIMIT $1 FOR UPDATE OF u SKIP LOCKED
"""
# Not by a map that is older than the known areas: this would find the same rows for ever
SQL_MOVE_NEAR = """
UPDATE unroutable u SET near = t.near FROM unnest($1::uuid[], $2::text[]) AS t (report_id, near)
WHERE u.report_id = t.report_id AND EXISTS (SELECT FROM known_areas k WHERE k.code = t.near AND k.in_force)
RETURNING u.report_id
"""
# One look into the index a level. `now()`: waiting_since is the database's time, too.
SQL_OLDEST_AGES = """
SELECT level, coalesce((SELECT extract(epoch FROM now() - waiting_since)::float8 FROM unroutable
                        WHERE report ->> 'level' = level ORDER BY waiting_since LIMIT 1), 0) AS age_s
FROM unnest($1::text[]) AS level
"""


async def add(conn: Connection, routes: Sequence[StoredRoute]) -> set[UUID]:
    """Save first routes; the reports that had none before.

    A report comes once; a second event about it (after a restore, with a new id) finds it routed. Should another
    process save it between the look and the copy, the unique key undoes this batch, and the next try finds it.
    """
    if not routes:
        return set()
    known = {row["report_id"] for row in await conn.fetch(SQL_KNOWN, [route.report_id for route in routes])}
    new = [route for route in routes if route.report_id not in known]
    await copy_rows(conn, SQL_ENTER_ROUTES, new)
    return {route.report_id for route in new}


async def queue(conn: Connection, reports: Sequence[ToQueue], since: datetime) -> None:
    """Put reports in the manual queue."""
    if reports:
        await conn.execute(SQL_QUEUE, since, *arrays(ToQueue, reports))


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Take riders' words and photos off reports in the manual queue."""
    await conn.execute(SQL_QUEUE_ERASE, [str(leaver.rider_id) for leaver in leavers], COARSE_DECIMALS)


async def take_from_queue(conn: Connection, report_id: UUID, areas: Collection[str] | None) -> dict[str, Any] | None:
    """Remove a report from the manual queue; its body, None where it doesn't wait (any more) near these areas."""
    near = None if areas is None else list(areas)
    report: dict[str, Any] | None = await conn.fetchval(SQL_TAKE_FROM_QUEUE, report_id, near)
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
    return await one(conn, SQL_ROUTE, report_id)


async def waiting(
    conn: Connection, after: tuple[datetime, UUID] | None, limit: int, areas: Collection[str] | None
) -> list[Waiting]:
    """The manual queue near these areas (None: everywhere), the longest waiting first, from behind a place on."""
    if areas is None:
        return await many(conn, SQL_WAITING, *(after or BEFORE_ALL), limit)
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        found = await merged(areas, after or BEFORE_ALL, limit, partial(_near, conn))
        return await many(conn, SQL_WAITING_OF, [report_id for _, report_id in found])


async def _near(conn: Connection, codes: Sequence[str], after: Sequence[Place], step: int) -> list[tuple[str, Place]]:
    places = [since for since, _ in after], [report_id for _, report_id in after]
    rows = await conn.fetch(SQL_WAITING_NEAR, codes, *places, step)
    return [(code, (since, report_id)) for code, since, report_id in rows]


async def oldest_ages(conn: Connection, levels: Sequence[str]) -> dict[str, float]:
    """Seconds for which the oldest report of each level has waited in the manual queue, 0 where none does."""
    return {row["level"]: row["age_s"] for row in await conn.fetch(SQL_OLDEST_AGES, list(levels))}


async def nowhere_near(conn: Connection, after: UUID, limit: int) -> list[tuple[UUID, dict[str, Any]]]:
    """Waiting reports (id, body) whose nearest grid isn't known, by id."""
    rows = await conn.fetch(SQL_NOWHERE_NEAR, after, limit)
    return [(row["report_id"], row["report"]) for row in rows]


async def set_near(conn: Connection, near: Sequence[tuple[UUID, str]]) -> None:
    """Note the nearest grids of waiting reports."""
    await conn.execute(SQL_SET_NEAR, [report_id for report_id, _ in near], [grid for _, grid in near])


async def at(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """How many reports wait near each of these grids, as far as any does."""
    return {row["near"]: row["n"] for row in await conn.fetch(SQL_AT, list(codes))}


async def near_vanished(conn: Connection, most: int) -> list[tuple[UUID, dict[str, Any]]]:
    """Waiting reports (id, body), locked, whose nearest grid is out of force."""
    return [(row["report_id"], row["report"]) for row in await conn.fetch(SQL_NEAR_VANISHED, most)]


async def move_near(conn: Connection, near: Sequence[tuple[UUID, str]]) -> int:
    """Note the nearest grids of waiting reports as far as the grids are in force; of how many."""
    return len(await conn.fetch(SQL_MOVE_NEAR, [report_id for report_id, _ in near], [grid for _, grid in near]))


async def tallies(conn: Connection) -> dict[str, int]:
    """Reports by outcome, for the reconciliation."""
    kept = await counters.kept(conn, "outcome")
    return {name: kept.of("outcome", name) for name in ("routed", "unroutable")}
