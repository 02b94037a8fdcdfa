"""Which grids lie in areas, as far as cases are kept under them."""

from collections.abc import Collection

from services.cases.domain import LIVE, State
from shared.kit.areas import AreaTree
from shared.kit.postgres.db import Connection

# Without a map, the national numbering says what lies in an area: the grids that cases are kept under are asked
SQL_GRIDS_LIVE = """
WITH RECURSIVE grids AS (
    (SELECT grid_code FROM cases WHERE live ORDER BY grid_code LIMIT 1)
    UNION ALL
    SELECT (SELECT c.grid_code FROM cases c WHERE c.live AND c.grid_code > grids.grid_code
            ORDER BY c.grid_code LIMIT 1)
    FROM grids WHERE grids.grid_code IS NOT NULL
)
SELECT grid_code FROM grids WHERE grid_code IS NOT NULL
"""
SQL_GRIDS_OF_STATE = """
WITH RECURSIVE grids AS (
    (SELECT grid_code FROM cases WHERE state = $1 ORDER BY grid_code LIMIT 1)
    UNION ALL
    SELECT (SELECT c.grid_code FROM cases c WHERE c.state = $1 AND c.grid_code > grids.grid_code
            ORDER BY c.grid_code LIMIT 1)
    FROM grids WHERE grids.grid_code IS NOT NULL
)
SELECT grid_code FROM grids WHERE grid_code IS NOT NULL
"""
SQL_GRIDS_MAYBE = """
SELECT DISTINCT other FROM cases c, unnest(c.alternatives) AS other WHERE c.live AND c.alternatives <> '{}'
"""


async def within(conn: Connection, areas: Collection[str], tree: AreaTree, state: State | None) -> list[str]:
    """Codes of the areas and of all that lies in them, by the map or, without one, by the numbers in use.

    In use: by cases of that state, None: by live ones.
    """
    if tree.known or not areas:
        return list(tree.below(areas))
    used = await (conn.fetch(SQL_GRIDS_LIVE) if state is None else conn.fetch(SQL_GRIDS_OF_STATE, state))
    if state is None or state in LIVE:
        used += await conn.fetch(SQL_GRIDS_MAYBE)
    return [*areas, *(code for (code,) in used if any(tree.covers(area, code) for area in areas))]
