"""The areas that a service knows, in its own schema."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from shared.kit.areas.tree import KnownArea
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import arrays, unnest


@dataclass(slots=True, eq=False)
class AreaRow:
    """An area as it is kept; `path` and `successors` parted by spaces."""

    code: str
    level: str
    path: str
    in_force: bool
    successors: str
    version: int


# The row's lock is held to the commit: who sees a revision sees all rows up to it
SQL_RAISE_MAP_REVISION = """
INSERT INTO known_map AS m (revision) VALUES (1)
ON CONFLICT (singleton) DO UPDATE SET revision = m.revision + 1 RETURNING revision
"""
SQL_MAP_REVISION = "SELECT revision FROM known_map"
SQL_KEEP_AREAS = f"""
INSERT INTO known_areas AS k (code, level, path, in_force, successors, version, revision)
SELECT t.code, t.level, string_to_array(t.path, ' '), t.in_force, string_to_array(t.successors, ' '), t.version, $1
FROM {unnest(AreaRow, "t", first=2)}
ON CONFLICT (code) DO UPDATE
SET level = EXCLUDED.level, path = EXCLUDED.path, in_force = EXCLUDED.in_force, successors = EXCLUDED.successors,
    version = EXCLUDED.version, revision = EXCLUDED.revision
WHERE k.version < EXCLUDED.version
"""
SQL_AREAS_SINCE = """
SELECT code, level, path, in_force, successors, version FROM known_areas WHERE revision > $1 ORDER BY code
"""
SQL_AREAS_PAGE = """
SELECT code, level, path, in_force, successors, version FROM known_areas WHERE code > $1 ORDER BY code LIMIT $2
"""
SQL_AREAS_COUNT = "SELECT count(*) FROM known_areas"


@dataclass(frozen=True, slots=True)
class KeptArea:
    """A known area with the version of its newest event."""

    area: KnownArea
    version: int


async def keep(conn: Connection, areas: Sequence[KeptArea]) -> None:
    """Take over areas; older versions than those known change nothing."""
    if not areas:
        return
    revision: int = await conn.fetchval(SQL_RAISE_MAP_REVISION)
    rows = [
        AreaRow(
            code=kept.area.code, level=kept.area.level, path=" ".join(kept.area.path), in_force=kept.area.in_force,
            successors=" ".join(kept.area.successors), version=kept.version,
        )
        for kept in areas
    ]  # fmt: skip
    await conn.execute(SQL_KEEP_AREAS, revision, *arrays(AreaRow, rows))


async def revision_of(conn: Connection) -> int:
    """Counts changes; 0: no map was ever heard of."""
    return await conn.fetchval(SQL_MAP_REVISION) or 0


async def since(conn: Connection, revision: int) -> list[KeptArea]:
    """Areas that changed after a revision; 0: all."""
    return _kept(await conn.fetch(SQL_AREAS_SINCE, revision))


async def page(conn: Connection, after: str, most: int) -> list[KeptArea]:
    """The next areas after a code, by code; those out of force, too."""
    return _kept(await conn.fetch(SQL_AREAS_PAGE, after, most))


async def count(conn: Connection) -> int:
    """How many there are, those out of force included."""
    return await conn.fetchval(SQL_AREAS_COUNT) or 0


def _kept(rows: Sequence[asyncpg.Record]) -> list[KeptArea]:
    return [
        KeptArea(
            KnownArea(
                code=row["code"],
                level=row["level"],
                path=tuple(row["path"]),
                in_force=row["in_force"],
                successors=tuple(row["successors"]),
            ),
            row["version"],
        )
        for row in rows
    ]
