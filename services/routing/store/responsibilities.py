"""Which department answers where."""

from collections.abc import Sequence
from datetime import datetime

from services.routing.domain import Responsibility
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest

# First of all: the row's lock puts changes in order
SQL_RAISE_REVISION = """
INSERT INTO current_map (responsibilities_revision) VALUES (1)
ON CONFLICT (singleton) DO UPDATE SET responsibilities_revision = current_map.responsibilities_revision + 1
RETURNING responsibilities_revision
"""
SQL_PUT = f"""
INSERT INTO responsibilities ({columns(Responsibility)}, changed_at, changed_by)
SELECT {columns(Responsibility)}, $1, $2 FROM {unnest(Responsibility, first=3)}
ON CONFLICT (department_kind, area_code) DO UPDATE
SET department = EXCLUDED.department, name = EXCLUDED.name, changed_at = EXCLUDED.changed_at,
    changed_by = EXCLUDED.changed_by
"""
SQL_REMOVE = """
DELETE FROM responsibilities r USING unnest($1::text[], $2::text[]) AS t (department_kind, area_code)
WHERE r.department_kind = t.department_kind AND r.area_code = t.area_code
"""
# Where the new area has a department of its own already, that one stays
SQL_MOVE = """
INSERT INTO responsibilities (department_kind, area_code, department, name, changed_at, changed_by)
SELECT DISTINCT ON (r.department_kind, m.new) r.department_kind, m.new, r.department, r.name, r.changed_at, r.changed_by
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS m (old, new, line) JOIN responsibilities r ON r.area_code = m.old
ORDER BY r.department_kind, m.new, m.line
ON CONFLICT (department_kind, area_code) DO NOTHING
"""
SQL_DROP_MOVED = "DELETE FROM responsibilities WHERE area_code = ANY($1::text[])"
SQL_AT = "SELECT area_code, count(*) AS n FROM responsibilities WHERE area_code = ANY($1::text[]) GROUP BY 1"
SQL_PAGE = Query(
    Responsibility,
    f"""
SELECT {columns(Responsibility)} FROM responsibilities WHERE (department_kind, area_code) > ($1, $2)
ORDER BY department_kind, area_code LIMIT $3
""",
)
SQL_ALL = Query(
    Responsibility, f"SELECT {columns(Responsibility)} FROM responsibilities ORDER BY department_kind, area_code"
)


async def raise_revision(conn: Connection) -> int:
    """Lock and count up the revision; processes notice by it. Call before any change."""
    revision: int = await conn.fetchval(SQL_RAISE_REVISION)
    return revision


async def put(conn: Connection, rows: Sequence[Responsibility], at: datetime, by: str) -> None:
    """Save responsibilities; one department per kind and area, a later one replaces it."""
    await conn.execute(SQL_PUT, at, by, *arrays(Responsibility, rows))


async def remove(conn: Connection, keys: Sequence[tuple[str, str]]) -> None:
    """Take away responsibilities by (department kind, area code)."""
    await conn.execute(SQL_REMOVE, [kind for kind, _ in keys], [code for _, code in keys])


async def move(conn: Connection, moves: Sequence[tuple[str, str]]) -> None:
    """Carry responsibilities over from old area codes to new ones, in this order of preference."""
    await conn.execute(SQL_MOVE, [old for old, _ in moves], [new for _, new in moves])
    await conn.execute(SQL_DROP_MOVED, [old for old, _ in moves])


async def at(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """How many there are for each of these areas, as far as there are any."""
    return {row["area_code"]: row["n"] for row in await conn.fetch(SQL_AT, list(codes))}


async def page(conn: Connection, after: tuple[str, str], limit: int) -> list[Responsibility]:
    """The next ones after a kind and area, by these."""
    return await many(conn, SQL_PAGE, *after, limit)


async def everything(conn: Connection) -> list[Responsibility]:
    """All of them, by kind and area."""
    return await many(conn, SQL_ALL)
