"""Cases by area: what is kept under areas' codes, and what a new map moves."""

from collections.abc import Sequence
from uuid import UUID

from services.cases.domain import Case
from services.cases.store import lock_cases
from shared.kit.postgres.db import Connection

# Live cases of grids that vanished and were taken over. Codes meet codes: a place's grids compared to an array of all
# that ever vanished would cost the one times the other.
SQL_SUCCEEDED = """
SELECT c.case_id FROM (
    SELECT c.case_id FROM known_areas k JOIN cases c ON c.live AND c.grid_code = k.code WHERE k.successors <> '{}'
    UNION
    SELECT c.case_id FROM cases c CROSS JOIN LATERAL unnest(c.alternatives) AS other
    JOIN known_areas k ON k.code = other WHERE c.live AND c.alternatives <> '{}' AND k.successors <> '{}'
    LIMIT $1
) AS c
"""
SQL_SUCCESSORS = "SELECT code, successors[1] AS successor FROM known_areas WHERE successors <> '{}'"
SQL_LIVE_AT = """
SELECT grid_code, count(*) AS n FROM cases WHERE live AND grid_code = ANY ($1::text[]) GROUP BY grid_code
"""
# Years of them: no more are looked at than say that there are many
SQL_ENDED_AT = """
SELECT code, n FROM unnest($1::text[]) AS code
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
        (SELECT FROM cases WHERE state = 'closed' AND grid_code = code COLLATE "C" LIMIT $2)
        UNION ALL
        (SELECT FROM cases WHERE state = 'invalid' AND grid_code = code COLLATE "C" LIMIT $2)
        LIMIT $2
    ) AS ended
) AS counted
WHERE n > 0
"""
COUNTED_MAX = 100
CODES_AT_ONCE = 1_000


async def succeeded(conn: Connection, most: int) -> dict[UUID, Case]:
    """Live cases in grids that others took over, locked."""
    found = [row["case_id"] for row in await conn.fetch(SQL_SUCCEEDED, most)]
    return await lock_cases(conn, sorted(found))


async def successors(conn: Connection) -> dict[str, str]:
    """Grids that others took over → the preferred one of those."""
    return {row["code"]: row["successor"] for row in await conn.fetch(SQL_SUCCESSORS)}


async def live_at(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """How many live cases each of these grids has, as far as it has any."""
    return {row["grid_code"]: row["n"] for row in await conn.fetch(SQL_LIVE_AT, list(codes))}


async def ended_at(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """How many closed and invalid cases each of these grids has, as far as it has any; `COUNTED_MAX`: at least."""
    found: dict[str, int] = {}
    for some in (codes[start : start + CODES_AT_ONCE] for start in range(0, len(codes), CODES_AT_ONCE)):
        found |= {row["code"]: row["n"] for row in await conn.fetch(SQL_ENDED_AT, list(some), COUNTED_MAX)}
    return found
