"""The areas that a service knows, in its own schema."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.kit.areas.tree import KnownArea
from shared.kit.db import Connection

# The row's lock is held to the commit: who sees a revision sees all rows up to it
SQL_RAISE_MAP_REVISION = """
INSERT INTO known_map AS m (revision) VALUES (1)
ON CONFLICT (singleton) DO UPDATE SET revision = m.revision + 1 RETURNING revision
"""
SQL_MAP_REVISION = "SELECT revision FROM known_map"
SQL_KEEP_AREAS = """
INSERT INTO known_areas AS k (code, level, path, in_force, successors, version, revision)
SELECT t.code, t.level, string_to_array(t.path, ' '), t.in_force, string_to_array(t.successors, ' '), t.version, $7
FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[], $5::text[], $6::bigint[])
     AS t (code, level, path, in_force, successors, version)
ON CONFLICT (code) DO UPDATE
SET level = EXCLUDED.level, path = EXCLUDED.path, in_force = EXCLUDED.in_force, successors = EXCLUDED.successors,
    version = EXCLUDED.version, revision = EXCLUDED.revision
WHERE k.version < EXCLUDED.version
"""
SQL_AREAS_SINCE = """
SELECT code, level, path, in_force, successors, version FROM known_areas WHERE revision > $1 ORDER BY code
"""


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
    await conn.execute(
        SQL_KEEP_AREAS,
        [kept.area.code for kept in areas],
        [kept.area.level for kept in areas],
        [" ".join(kept.area.path) for kept in areas],
        [kept.area.in_force for kept in areas],
        [" ".join(kept.area.successors) for kept in areas],
        [kept.version for kept in areas],
        revision,
    )


async def revision_of(conn: Connection) -> int:
    """Counts changes; 0: no map was ever heard of."""
    return await conn.fetchval(SQL_MAP_REVISION) or 0


async def since(conn: Connection, revision: int) -> list[KeptArea]:
    """Areas that changed after a revision; 0: all."""
    return [
        KeptArea(
            KnownArea(row["code"], row["level"], tuple(row["path"]), row["in_force"], tuple(row["successors"])),
            row["version"],
        )
        for row in await conn.fetch(SQL_AREAS_SINCE, revision)
    ]
