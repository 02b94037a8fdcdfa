"""What topics tell, written down. Each function takes a batch; its number of statements doesn't depend on the size."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import attrgetter

from services.tracking.domain import CaseReport, CaseState, CaseStep, Movement, ReceivedReport, Routing
from shared.kit.db import Connection

SQL_ADD_REPORTS = """
INSERT INTO reports (report_id, company, external_id, rider_id, kind, level, lng, lat, seen_at, at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::float8[],
                     $8::float8[], $9::timestamptz[], $10::timestamptz[])
ON CONFLICT DO NOTHING
"""

SQL_ADD_ROUTINGS = """
INSERT INTO routings (report_id, version, company, outcome, reason, grid_code, grid_name, ambiguous, department, at)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::bool[], $9::text[], $10::timestamptz[])
ON CONFLICT DO NOTHING
"""

# The street in which the map has the grid; where it has none above it, the district or the city; else the largest area
# above; by the national numbering only where the map says nothing of what is above. Never the grid itself: a city's
# page adds these numbers up, and a city has tens of thousands of grids. Without any area above it is counted under ''.
# Decided when the case comes to a grid, and kept: a number that was counted in one street leaves the same one. What was
# counted under none, or under the grid as once was done, is decided again with its next step. In key order, so that two
# processes never wait for each other in a circle.
SQL_UPSERT_CASES = """
WITH new AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::float8[], $9::float8[], $10::int[], $11::timestamptz[], $12::timestamptz[],
                         $13::timestamptz[])
        AS n (case_id, version, state, kind, level, grid_code, department, lng, lat, report_count, opened_at, due_at,
              changed_at)
), places AS MATERIALIZED (
    SELECT grid_code, coalesce(
        (SELECT above.code FROM unnest(k.path || k.code) WITH ORDINALITY AS way (code, depth)
         JOIN known_areas above ON above.code = way.code AND above.level IN ('street', 'district', 'city')
         ORDER BY depth DESC LIMIT 1),
        k.path[1], CASE WHEN grid_code ~ '^[0-9]{12,}$' THEN left(grid_code, 9) ELSE '' END) AS street
    FROM (SELECT DISTINCT grid_code FROM new) own LEFT JOIN known_areas k ON k.code = grid_code
)
INSERT INTO cases (case_id, version, state, kind, level, grid_code, department, lng, lat, report_count, opened_at,
                   due_at, changed_at, street)
SELECT new.*, street FROM new JOIN places USING (grid_code) ORDER BY case_id
ON CONFLICT (case_id) DO UPDATE SET version = excluded.version, state = excluded.state,
    street = CASE WHEN cases.grid_code = excluded.grid_code AND cases.street NOT IN ('', cases.grid_code)
        THEN cases.street ELSE excluded.street END,
    grid_code = excluded.grid_code, department = excluded.department, report_count = excluded.report_count,
    due_at = excluded.due_at, changed_at = excluded.changed_at
WHERE cases.version < excluded.version
"""

SQL_ADD_STEPS = """
INSERT INTO case_steps (case_id, version, step, state, actor_name, actor_role, report_id, grid_code, note, at,
                        rider_id)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[],
                     $9::text[], $10::timestamptz[], $11::uuid[])
ON CONFLICT DO NOTHING
"""

SQL_ADD_CASE_REPORTS = """
INSERT INTO case_reports (report_id, case_id, company, version, at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[])
ON CONFLICT DO NOTHING
"""

SQL_ADD_MOVEMENTS = """
INSERT INTO movements (report_id, version, company, movement, amount, reason, at)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[])
ON CONFLICT DO NOTHING
"""

Row = ReceivedReport | Routing | CaseState | CaseStep | CaseReport | Movement


async def add_reports(conn: Connection, rows: Sequence[ReceivedReport]) -> None:
    """Reports that were received."""
    if rows:
        await conn.execute(SQL_ADD_REPORTS, *_columns(_values(rows)))


async def add_routings(conn: Connection, rows: Sequence[Routing]) -> None:
    """Decisions of routing."""
    if rows:
        await conn.execute(SQL_ADD_ROUTINGS, *_columns(_values(rows)))


async def upsert_cases(conn: Connection, rows: Sequence[CaseState]) -> None:
    """The latest states; at most one per case. An older version changes nothing."""
    if rows:
        await conn.execute(SQL_UPSERT_CASES, *_columns(_values(rows)))


async def add_steps(conn: Connection, rows: Sequence[CaseStep]) -> None:
    """Steps of cases."""
    if rows:
        await conn.execute(SQL_ADD_STEPS, *_columns(_values(rows)))


async def add_case_reports(conn: Connection, rows: Sequence[CaseReport]) -> None:
    """Which case reports belong to; after the cases themselves."""
    if rows:
        await conn.execute(SQL_ADD_CASE_REPORTS, *_columns(_values(rows)))


async def add_movements(conn: Connection, rows: Sequence[Movement]) -> None:
    """Movements of reports' points."""
    if rows:
        await conn.execute(SQL_ADD_MOVEMENTS, *_columns(_values(rows)))


def _values(rows: Sequence[Row]) -> Iterable[tuple[object, ...]]:
    # Not dataclasses.astuple, which copies every value: ten times slower.
    return map(attrgetter(*(field.name for field in fields(rows[0]))), rows)


def _columns(rows: Iterable[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return list(zip(*rows, strict=True))
