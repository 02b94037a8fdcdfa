"""Versions of the areas, and which one is in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.routing.domain import Area, AreaVersion, Level
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest


@dataclass(frozen=True, slots=True)
class Redrawn:
    """An area of two versions with its two polygons, WKB."""

    code: str
    level: str
    before: bytes
    after: bytes


@dataclass(slots=True, eq=False)
class NewArea:
    """An area as it is entered; the polygon as WKB."""

    code: str
    level: str
    name: str
    parent_code: str | None
    polygon: bytes | None
    square_metres: float
    fictional: bool


StoredArea = tuple[Area, bytes | None]
"""An area with its polygon: WKB, WGS-84."""
DROP_AREAS_MAX = 500

SQL_ADD_VERSION = """
INSERT INTO area_versions (version_id, label, level, datum, state, version, created_at, created_by)
VALUES ($1, $2, $3, $4, 'draft', 1, $5, $6)
"""
SQL_VERSION = """
SELECT v.*, count(a.code) AS areas, count(a.code) FILTER (WHERE a.level = 'grid') AS grids
FROM area_versions v LEFT JOIN areas a USING (version_id) WHERE v.version_id = $1 GROUP BY v.version_id
"""
# ids rise with time; areas of other versions than the page's aren't counted
SQL_VERSIONS = """
SELECT v.*, count(a.code) AS areas, count(a.code) FILTER (WHERE a.level = 'grid') AS grids
FROM (SELECT * FROM area_versions WHERE version_id < $1 ORDER BY version_id DESC LIMIT $2) v
LEFT JOIN areas a USING (version_id)
GROUP BY v.version_id, v.label, v.level, v.datum, v.state, v.version, v.created_at, v.created_by, v.activated_at,
    v.touched_at
ORDER BY v.version_id DESC
"""
# Locks the draft: chunks of one version go in one after the other, and none after the activation
SQL_TOUCH_DRAFT = """
UPDATE area_versions SET version = version + 1, touched_at = now()
WHERE version_id = $1 AND state = 'draft' RETURNING version
"""
SQL_ADD_AREAS = f"""
INSERT INTO areas (version_id, {columns(NewArea)}) SELECT $1, {columns(NewArea)} FROM {unnest(NewArea, first=2)}
ON CONFLICT (version_id, code) DO NOTHING RETURNING code
"""
SQL_COPY_AREAS = f"""
INSERT INTO areas (version_id, {columns(NewArea)}) SELECT $2, {columns(NewArea)} FROM areas WHERE version_id = $1
"""
SQL_AREAS_OF_CODES = "SELECT * FROM areas WHERE version_id = $1 AND code = ANY($2::text[])"
SQL_AREAS = "SELECT * FROM areas WHERE version_id = $1 ORDER BY code"
SQL_ACTIVATE = """
UPDATE area_versions SET state = 'activated', version = version + 1, activated_at = $3
WHERE version_id = $1 AND version = $2 RETURNING version
"""
SQL_PUT_IN_FORCE = """
INSERT INTO current_map (version_id) VALUES ($1) ON CONFLICT (singleton) DO UPDATE SET version_id = EXCLUDED.version_id
"""
SQL_NOTE_ACTIVATION = "INSERT INTO activations (version_id, effective_from, activated_by) VALUES ($1, $2, $3)"
# Locks it as a chunk does: who comes with one now finds no draft any more
SQL_ABANDONED = """
SELECT version_id FROM area_versions WHERE state = 'draft' AND touched_at < now() - $1::interval
ORDER BY touched_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""
SQL_DROP_AREAS = """
DELETE FROM areas WHERE version_id = $1
    AND code = ANY(ARRAY(SELECT code FROM areas WHERE version_id = $1 ORDER BY code LIMIT $2))
"""
SQL_DROP_DRAFT = "DELETE FROM area_versions WHERE version_id = $1 AND state = 'draft'"
# held to the commit: what was compared with the map in force before holds when the next one takes its place
SQL_LOCK_IN_FORCE = "SELECT version_id FROM current_map FOR UPDATE"
SQL_REDRAWN = Query(
    Redrawn,
    """
SELECT n.code, n.level, o.polygon AS before, n.polygon AS after
FROM areas n JOIN areas o ON o.version_id = $2 AND o.code = n.code
WHERE n.version_id = $1 AND n.polygon IS NOT NULL AND o.polygon IS NOT NULL AND n.polygon <> o.polygon
ORDER BY n.code
""",
)
SQL_IN_FORCE = "SELECT version_id, responsibilities_revision FROM current_map"


async def add_version(conn: Connection, version: AreaVersion) -> None:
    """Save a new draft."""
    await conn.execute(
        SQL_ADD_VERSION,
        version.version_id,
        version.label,
        version.level,
        version.datum,
        version.created_at,
        version.created_by,
    )


async def versions(conn: Connection, before: UUID, limit: int) -> list[AreaVersion]:
    """The next versions before an id, the newest first."""
    return [_version(row) for row in await conn.fetch(SQL_VERSIONS, before, limit)]


async def version_of(conn: Connection, version_id: UUID) -> AreaVersion | None:
    """One version with its counts."""
    row = await conn.fetchrow(SQL_VERSION, version_id)
    return None if row is None else _version(row)


async def touch_draft(conn: Connection, version_id: UUID) -> int | None:
    """Lock a draft against others until the transaction ends; its new version, None where it is no draft."""
    version: int | None = await conn.fetchval(SQL_TOUCH_DRAFT, version_id)
    return version


async def copy_areas(conn: Connection, version_id: UUID, to: UUID) -> None:
    """Give the new draft `to` all areas of a version."""
    await conn.execute(SQL_COPY_AREAS, version_id, to)


async def add_areas(conn: Connection, version_id: UUID, areas: Sequence[StoredArea]) -> set[str]:
    """Save areas of one draft; the codes that are new (the others are in it already and stay as they are)."""
    new = [
        NewArea(
            code=area.code, level=area.level, name=area.name, parent_code=area.parent_code, polygon=polygon,
            square_metres=area.square_metres, fictional=area.fictional,
        )
        for area, polygon in areas
    ]  # fmt: skip
    rows = await conn.fetch(SQL_ADD_AREAS, version_id, *arrays(NewArea, new))
    return {row["code"] for row in rows}


async def areas_of_codes(conn: Connection, version_id: UUID, codes: Sequence[str]) -> list[StoredArea]:
    """Some areas of a version, in no order."""
    return [_area(row) for row in await conn.fetch(SQL_AREAS_OF_CODES, version_id, list(codes))]


async def areas(conn: Connection, version_id: UUID) -> list[StoredArea]:
    """All areas of a version, by code."""
    return [_area(row) for row in await conn.fetch(SQL_AREAS, version_id)]


async def redrawn(conn: Connection, version_id: UUID, before: UUID) -> list[Redrawn]:
    """Areas of a version that the version `before` has on other polygons, by code."""
    return await many(conn, SQL_REDRAWN, version_id, before)


async def lock_in_force(conn: Connection) -> UUID | None:
    """The version in force, which stays so until the transaction ends."""
    version_id: UUID | None = await conn.fetchval(SQL_LOCK_IN_FORCE)
    return version_id


async def activate(conn: Connection, version: AreaVersion, at: datetime, by: str) -> bool:
    """Put a version in force from now on; False where it changed since it was read."""
    if await conn.fetchval(SQL_ACTIVATE, version.version_id, version.version, at) is None:
        return False
    await conn.execute(SQL_PUT_IN_FORCE, version.version_id)
    await conn.execute(SQL_NOTE_ACTIVATION, version.version_id, at, by)
    return True


async def drop_draft(conn: Connection, version_id: UUID) -> None:
    """Remove a draft that the caller has locked, with its areas: whole, in statements of bounded size."""
    while await conn.execute(SQL_DROP_AREAS, version_id, DROP_AREAS_MAX) == f"DELETE {DROP_AREAS_MAX}":
        pass
    await conn.execute(SQL_DROP_DRAFT, version_id)


async def abandoned_draft(conn: Connection, age: timedelta) -> UUID | None:
    """The draft that nobody has touched for longest, locked; None where none is so old or another process has it."""
    version_id: UUID | None = await conn.fetchval(SQL_ABANDONED, age)
    return version_id


async def in_force(conn: Connection) -> tuple[UUID | None, int]:
    """The version in force (None: no map yet) and the revision of the responsibilities."""
    row = await conn.fetchrow(SQL_IN_FORCE)
    return (None, 0) if row is None else (row["version_id"], row["responsibilities_revision"])


def _version(row: asyncpg.Record) -> AreaVersion:
    return AreaVersion(
        version_id=row["version_id"],
        label=row["label"],
        level=Level(row["level"]),
        datum=row["datum"],
        state=row["state"],
        version=row["version"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        activated_at=row["activated_at"],
        areas=row["areas"],
        grids=row["grids"],
    )


def _area(row: asyncpg.Record) -> StoredArea:
    area = Area(
        code=row["code"], level=Level(row["level"]), name=row["name"], parent_code=row["parent_code"],
        square_metres=row["square_metres"], fictional=row["fictional"],
    )  # fmt: skip
    return area, row["polygon"]
