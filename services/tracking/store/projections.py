"""What topics say, written down. Each function takes a batch; its number of statements doesn't depend on the size."""

from collections.abc import Sequence

from services.tracking.domain import CaseReport, CaseState, CaseStep, Movement, ReceivedReport, Routing
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import arrays, columns, unnest

SQL_ADD_REPORTS = f"""
INSERT INTO reports ({columns(ReceivedReport)}) SELECT {columns(ReceivedReport)} FROM {unnest(ReceivedReport)}
ON CONFLICT DO NOTHING
"""

SQL_ADD_ROUTINGS = f"""
INSERT INTO routings ({columns(Routing)}) SELECT {columns(Routing)} FROM {unnest(Routing)}
ON CONFLICT DO NOTHING
"""

# The street in which the map has the grid; where it has none above it, the district or the city; else the largest area
# above; by the national numbering only where the map says nothing of what is above. Never the grid itself: a city's
# page adds these numbers up, and a city has tens of thousands of grids. Without any area above it is counted under ''.
# Decided when the case comes to a grid, and kept: a number that was counted in one street leaves the same one. What was
# counted under none, or under the grid as once was done, is decided again with its next step. In key order, so that two
# processes never wait for each other in a circle.
SQL_UPSERT_CASES = f"""
WITH new AS (
    SELECT {columns(CaseState)} FROM {unnest(CaseState)}
), places AS MATERIALIZED (
    SELECT grid_code, coalesce(
        (SELECT above.code FROM unnest(k.path || k.code) WITH ORDINALITY AS way (code, depth)
         JOIN known_areas above ON above.code = way.code AND above.level IN ('street', 'district', 'city')
         ORDER BY depth DESC LIMIT 1),
        k.path[1], CASE WHEN grid_code ~ '^[0-9]{{12,}}$' THEN left(grid_code, 9) ELSE '' END) AS street
    FROM (SELECT DISTINCT grid_code FROM new) own LEFT JOIN known_areas k ON k.code = grid_code
)
INSERT INTO cases ({columns(CaseState)}, street)
SELECT {columns(CaseState, "new")}, street FROM new JOIN places USING (grid_code) ORDER BY case_id
ON CONFLICT (case_id) DO UPDATE SET version = excluded.version, state = excluded.state,
    street = CASE WHEN cases.grid_code = excluded.grid_code AND cases.street NOT IN ('', cases.grid_code)
        THEN cases.street ELSE excluded.street END,
    grid_code = excluded.grid_code, department = excluded.department, report_count = excluded.report_count,
    due_at = excluded.due_at, changed_at = excluded.changed_at
WHERE cases.version < excluded.version
"""

SQL_ADD_STEPS = f"""
INSERT INTO case_steps ({columns(CaseStep)}) SELECT {columns(CaseStep)} FROM {unnest(CaseStep)}
ON CONFLICT DO NOTHING
"""

SQL_ADD_CASE_REPORTS = f"""
INSERT INTO case_reports ({columns(CaseReport)}) SELECT {columns(CaseReport)} FROM {unnest(CaseReport)}
ON CONFLICT DO NOTHING
"""

SQL_ADD_MOVEMENTS = f"""
INSERT INTO movements ({columns(Movement)}) SELECT {columns(Movement)} FROM {unnest(Movement)}
ON CONFLICT DO NOTHING
"""


async def add_reports(conn: Connection, rows: Sequence[ReceivedReport]) -> None:
    """Reports that were received."""
    if rows:
        await conn.execute(SQL_ADD_REPORTS, *arrays(ReceivedReport, rows))


async def add_routings(conn: Connection, rows: Sequence[Routing]) -> None:
    """Decisions of routing."""
    if rows:
        await conn.execute(SQL_ADD_ROUTINGS, *arrays(Routing, rows))


async def upsert_cases(conn: Connection, rows: Sequence[CaseState]) -> None:
    """The latest states; at most one per case. An older version changes nothing."""
    if rows:
        await conn.execute(SQL_UPSERT_CASES, *arrays(CaseState, rows))


async def add_steps(conn: Connection, rows: Sequence[CaseStep]) -> None:
    """Steps of cases."""
    if rows:
        await conn.execute(SQL_ADD_STEPS, *arrays(CaseStep, rows))


async def add_case_reports(conn: Connection, rows: Sequence[CaseReport]) -> None:
    """Which case reports belong to; after the cases themselves."""
    if rows:
        await conn.execute(SQL_ADD_CASE_REPORTS, *arrays(CaseReport, rows))


async def add_movements(conn: Connection, rows: Sequence[Movement]) -> None:
    """Movements of reports' points."""
    if rows:
        await conn.execute(SQL_ADD_MOVEMENTS, *arrays(Movement, rows))
