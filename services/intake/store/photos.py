"""Rows of photos; their pixels are in objects.py."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from services.intake.domain import PhotoRecord, Place, ProcessedPhoto, StoredPhoto
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest


@dataclass(slots=True, eq=False)
class NewPhoto:
    """An upload; degrees where its EXIF had a place."""

    photo_id: UUID
    owner: str
    sha256: str
    phash: str
    width: int
    height: int
    lng: float | None
    lat: float | None


# A repeat renews uploaded_at, so that the purge leaves it alone for another day
SQL_PHOTO_CLAIM = f"""
INSERT INTO photos AS p ({columns(NewPhoto)}, state, uploaded_at)
SELECT {columns(NewPhoto)}, 'uploading', now() FROM {unnest(NewPhoto)}
ON CONFLICT (owner, sha256) WHERE state <> 'purging' DO UPDATE SET uploaded_at = excluded.uploaded_at
RETURNING photo_id, owner, sha256, phash, width, height, lng, lat, state, NULL::uuid AS rider_id,
          '{{}}'::text[] AS grids
"""
SQL_PHOTO_STORED = """
UPDATE photos SET state = 'stored' WHERE photo_id = $1 AND state IN ('uploading', 'stored') RETURNING photo_id
"""
SQL_PHOTO = """
SELECT p.photo_id, p.owner, p.sha256, p.phash, p.width, p.height, p.lng, p.lat, p.state, r.rider_id,
       coalesce(k.grids, '{}') AS grids
FROM photos p LEFT JOIN reports r ON r.report_id = p.report_id LEFT JOIN photo_cases k ON k.case_id = p.case_id
WHERE p.photo_id = $1
"""
SQL_PHOTOS_LOCK = Query(
    StoredPhoto,
    f"""
SELECT {columns(StoredPhoto)} FROM photos WHERE photo_id = ANY($1::uuid[]) AND state = 'stored'
ORDER BY photo_id FOR NO KEY UPDATE
""",
)
SQL_PHOTOS_ATTACH = """
UPDATE photos p SET report_id = u.report_id FROM unnest($1::uuid[], $2::uuid[]) AS u (photo_id, report_id)
WHERE p.photo_id = u.photo_id AND p.report_id IS NULL
"""
SQL_PHOTOS_ENTER_CASES = """
WITH entered AS (
    UPDATE photos p SET case_id = e.case_id FROM unnest($1::uuid[], $2::uuid[]) AS e (report_id, case_id)
    WHERE p.report_id = e.report_id AND p.case_id IS NULL RETURNING p.case_id
)
INSERT INTO photo_cases (case_id, version, grids) SELECT DISTINCT case_id, 0, '{}'::text[] FROM entered ORDER BY case_id
ON CONFLICT (case_id) DO NOTHING
"""
SQL_PHOTOS_FOLLOW_CASES = """
UPDATE photo_cases k SET version = e.version, grids = string_to_array(e.grids, ' ')
FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS e (case_id, version, grids)
WHERE k.case_id = e.case_id AND k.version < e.version
"""
SQL_ORPHANS_MARK = """
UPDATE photos SET state = 'purging' WHERE photo_id IN (
    SELECT photo_id FROM photos WHERE report_id IS NULL AND state <> 'purging' AND uploaded_at < now() - $1::interval
    ORDER BY photo_id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
"""
SQL_PURGING = """
SELECT photo_id FROM photos WHERE state = 'purging' AND next_try_at <= now() ORDER BY next_try_at LIMIT $1
"""
SQL_PURGING_OF = """
SELECT photo_id FROM photos WHERE leaver = ANY($2::uuid[]) AND state = 'purging' AND next_try_at <= now()
ORDER BY next_try_at LIMIT $1
"""
# A company's upload is a rider's photo where the rider's report is the one that uses it. An upload that goes already is
# waited for as well.
SQL_PHOTOS_ERASE = """
UPDATE photos p SET state = 'purging', report_id = NULL, lng = NULL, lat = NULL, leaver = e.rider_id
FROM (
    SELECT f.photo_id, u.rider_id FROM unnest($1::uuid[], $2::text[]) AS u (rider_id, owner)
    JOIN photos f ON f.owner = u.owner AND f.state <> 'purging'
    UNION SELECT f.photo_id, u.rider_id FROM unnest($1::uuid[], $2::text[]) AS u (rider_id, owner)
    JOIN photos f ON f.owner = u.owner AND f.state = 'purging' AND f.leaver IS NULL
    UNION SELECT f.photo_id, r.rider_id FROM reports r JOIN photos f ON f.report_id = r.report_id
    WHERE r.rider_id = ANY($1::uuid[])
) AS e WHERE p.photo_id = e.photo_id
"""
SQL_LEAVERS_WITH_PHOTOS = "SELECT DISTINCT leaver FROM photos WHERE leaver = ANY($1::uuid[])"
# One minute later, then two, at most a quarter of an hour: what a rider waits for, once the store lets it go.
SQL_PURGE_LATER = """
UPDATE photos SET tries = least(tries + 1, 1000),
    next_try_at = now() + make_interval(secs => least(900, 60 * 2 ^ least(tries, 4)))
WHERE photo_id IN (
    SELECT photo_id FROM photos WHERE photo_id = ANY($1::uuid[]) AND state = 'purging'
    ORDER BY photo_id FOR NO KEY UPDATE SKIP LOCKED)
"""
SQL_PHOTOS_REFUSED = "SELECT count(*) FROM photos WHERE state = 'purging' AND tries > 0"
SQL_PURGED_DELETE = "DELETE FROM photos WHERE photo_id = ANY($1::uuid[]) AND state = 'purging'"


def _record(row: asyncpg.Record) -> PhotoRecord:
    place = Place(row["lng"], row["lat"]) if row["lng"] is not None else None
    return PhotoRecord(
        photo_id=row["photo_id"],
        owner=row["owner"],
        sha256=row["sha256"],
        phash=row["phash"],
        width=row["width"],
        height=row["height"],
        place=place,
        stored=row["state"] == "stored",
        rider_id=row["rider_id"],
        grids=tuple(row["grids"]),
    )


async def claim(conn: Connection, photo_id: UUID, owner: str, photo: ProcessedPhoto) -> PhotoRecord:
    """A row for an upload: a new one with this id, or the owner's earlier one of the same bytes."""
    place = photo.place
    new = NewPhoto(
        photo_id=photo_id, owner=owner, sha256=photo.sha256, phash=photo.phash, width=photo.width, height=photo.height,
        lng=place.lng if place else None, lat=place.lat if place else None,
    )  # fmt: skip
    row = await conn.fetchrow(SQL_PHOTO_CLAIM, *arrays(NewPhoto, [new]))
    assert row is not None, "an upsert always returns its row"
    return _record(row)


async def mark_stored(conn: Connection, photo_id: UUID) -> bool:
    """The pixels are in the object store; False: the purge was faster."""
    return await conn.fetchval(SQL_PHOTO_STORED, photo_id) is not None


async def photo(conn: Connection, photo_id: UUID) -> PhotoRecord | None:
    """One photo, with the rider of the report that uses it."""
    row = await conn.fetchrow(SQL_PHOTO, photo_id)
    return _record(row) if row is not None else None


async def lock_photos(conn: Connection, ids: Collection[UUID]) -> dict[str, StoredPhoto]:
    """Stored photos by id as text, locked in the order of their ids, so that the purge can't take them meanwhile."""
    return {str(stored.photo_id): stored for stored in await many(conn, SQL_PHOTOS_LOCK, list(ids))}


async def attach(conn: Connection, uses: Sequence[tuple[UUID, UUID]]) -> None:
    """Note (photo_id, report_id) of accepted reports; a photo keeps its first report. The caller has the locks."""
    await conn.execute(SQL_PHOTOS_ATTACH, [photo_id for photo_id, _ in uses], [report_id for _, report_id in uses])


async def enter_cases(conn: Connection, entries: Sequence[tuple[UUID, UUID]]) -> None:
    """Note (report, case) for the photos of these reports; where the case is, `follow_cases` notes."""
    if entries:
        await conn.execute(SQL_PHOTOS_ENTER_CASES, *zip(*entries, strict=True))


async def follow_cases(conn: Connection, cases: Sequence[tuple[UUID, int, Sequence[str]]]) -> None:
    """Note (case, its version, its grids) of cases that have photos; older versions change nothing."""
    ids, versions, grids = zip(*cases, strict=True)
    await conn.execute(SQL_PHOTOS_FOLLOW_CASES, ids, versions, [" ".join(codes) for codes in grids])


async def mark_orphans(conn: Connection, age: timedelta, rows_max: int) -> None:
    """Decide that uploads older than `age` which no report uses will go."""
    await conn.execute(SQL_ORPHANS_MARK, age, rows_max)


async def erase(conn: Connection, riders: Sequence[UUID]) -> None:
    """Decide that riders' photos go, used or not; the purge takes them out of the object store."""
    await conn.execute(SQL_PHOTOS_ERASE, list(riders), [f"person:{rider}" for rider in riders])


async def leavers_with_photos(conn: Connection, riders: Sequence[UUID]) -> set[UUID]:
    """Those of the erased riders whose photos are not all gone yet."""
    return {row["leaver"] for row in await conn.fetch(SQL_LEAVERS_WITH_PHOTOS, list(riders))}


async def purging(conn: Connection, rows_max: int) -> list[UUID]:
    """Photos that must go and are due, also those that a crashed purge has left."""
    return [row["photo_id"] for row in await conn.fetch(SQL_PURGING, rows_max)]


async def purging_of(conn: Connection, riders: Sequence[UUID], rows_max: int) -> list[UUID]:
    """The same of erased riders."""
    return [row["photo_id"] for row in await conn.fetch(SQL_PURGING_OF, rows_max, list(riders))]


async def purge_later(conn: Connection, ids: Sequence[UUID]) -> None:
    """The store has refused to delete these photos' objects: leave them alone for a while."""
    await conn.execute(SQL_PURGE_LATER, list(ids))


async def refused(conn: Connection) -> int:
    """How many photos wait whose objects the store has refused to delete."""
    count: int = await conn.fetchval(SQL_PHOTOS_REFUSED)
    return count


async def delete_purged(conn: Connection, ids: Sequence[UUID]) -> None:
    """Forget photos whose objects are gone."""
    await conn.execute(SQL_PURGED_DELETE, list(ids))
