"""Sightings, vehicles and photos. A batch costs the same few statements whatever its size."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.screening.domain import PART_BITS, PART_SHIFTS, PhotoMatch, Sighting
from shared.events.rider_changed import RiderChanged
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest
from shared.kit.privacy.erasure import Leaver

HISTORY_MAX = 300
"""Reports of one rider that a batch reads: whoever has more in two days is found by these."""
MATCHES_MAX = 20
"""Other pictures like one that are found by each part of its hash, the newest first."""
BUCKET_MAX = 200
"""Pictures with one part of their hash in common that are read, the newest: of some parts there are thousands."""


@dataclass(slots=True, eq=False)
class NewSighting:
    """A report as it is kept for a day."""

    report_id: UUID
    rider_id: UUID
    occurred_at: datetime
    received_at: datetime
    lng: float
    lat: float
    accuracy_m: float
    grid_code: str | None


@dataclass(slots=True, eq=False)
class NewPhoto:
    """A photo's digests. `phash` is signed."""

    report_id: UUID
    sha256: str
    phash: int
    rider_id: UUID
    grid_code: str | None
    occurred_at: datetime
    received_at: datetime


@dataclass(slots=True, eq=False)
class Touched:
    """A rider of the batch, and the times between which their reports are read."""

    rider_id: UUID
    after: datetime
    until: datetime


@dataclass(slots=True, eq=False)
class Vehicle:
    """What a rider moves with, by the version of their state."""

    rider_id: UUID
    kind: str
    version: int


# A grid that a person named later is taken over; nothing else of a report changes. Nobody erased comes back.
SQL_KEEP_SIGHTINGS = f"""
INSERT INTO sightings AS s ({columns(NewSighting)})
SELECT {columns(NewSighting, "n")} FROM {unnest(NewSighting)}
WHERE NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = n.rider_id) ORDER BY n.report_id
ON CONFLICT (report_id) DO UPDATE SET grid_code = excluded.grid_code WHERE s.grid_code IS NULL
"""
SQL_HISTORY = Query(
    Sighting,
    f"""
SELECT h.report_id, h.rider_id, h.occurred_at, h.lng, h.lat, h.accuracy_m, v.kind
FROM {unnest(Touched, "t")}
CROSS JOIN LATERAL (
    SELECT report_id, rider_id, occurred_at, lng, lat, accuracy_m FROM sightings
    WHERE rider_id = t.rider_id AND occurred_at > t.after AND occurred_at <= t.until
    ORDER BY occurred_at DESC LIMIT {HISTORY_MAX}
) h LEFT JOIN vehicles v ON v.rider_id = h.rider_id
ORDER BY h.rider_id, h.occurred_at, h.report_id
""",
)
SQL_KEEP_VEHICLES = f"""
INSERT INTO vehicles AS v ({columns(Vehicle)})
SELECT DISTINCT ON (n.rider_id) {columns(Vehicle, "n")} FROM {unnest(Vehicle)}
WHERE NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = n.rider_id)
ORDER BY n.rider_id, n.version DESC
ON CONFLICT (rider_id) DO UPDATE SET kind = excluded.kind, version = excluded.version WHERE v.version < excluded.version
"""
SQL_KEEP_PHOTOS = f"""
INSERT INTO photos ({columns(NewPhoto)}) SELECT {columns(NewPhoto, "n")} FROM {unnest(NewPhoto)}
WHERE NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = n.rider_id) ORDER BY n.sha256, n.report_id
ON CONFLICT (sha256, report_id) DO UPDATE SET grid_code = excluded.grid_code WHERE photos.grid_code IS NULL
"""
# Each part has an index, which ends with the time. Those of the very same picture are among the newest of a part too
_PARTS = "\n    UNION ALL\n    ".join(
    f"(SELECT * FROM (SELECT {columns(NewPhoto, 'p')} FROM photos p "
    f"WHERE ((p.phash >> {shift}) & {PART_BITS}) = ((n.phash >> {shift}) & {PART_BITS}) "
    f"ORDER BY p.received_at DESC LIMIT {BUCKET_MAX}) p "
    f"WHERE p.sha256 <> n.sha256 AND bit_count((n.phash # p.phash)::bit(64)) <= $1 "
    f"ORDER BY p.received_at DESC LIMIT {MATCHES_MAX})"
    for shift in PART_SHIFTS
)
_MATCH = """
n.report_id, n.rider_id, n.grid_code, n.occurred_at, n.received_at, o.report_id AS other_report,
       o.rider_id AS other_rider, o.grid_code AS other_grid, o.occurred_at AS other_occurred,
       o.received_at AS other_received, """
SQL_SAME_PHOTOS = Query(
    PhotoMatch,
    f"""
SELECT {_MATCH} true AS exact, 0 AS bits
FROM {unnest(NewPhoto)} CROSS JOIN LATERAL (
    SELECT {columns(NewPhoto, "p")} FROM photos p WHERE p.sha256 = n.sha256 AND p.report_id <> n.report_id
    ORDER BY p.report_id LIMIT {MATCHES_MAX}
) o
""",
)
SQL_SIMILAR_PHOTOS = Query(
    PhotoMatch,
    f"""
SELECT DISTINCT {_MATCH} false AS exact,
       bit_count((n.phash # o.phash)::bit(64))::int AS bits
FROM {unnest(NewPhoto, first=2)} CROSS JOIN LATERAL (
    {_PARTS}
) o WHERE o.report_id <> n.report_id
""",
)
SQL_FORGET_SIGHTINGS = "DELETE FROM sightings WHERE rider_id = ANY($1::uuid[])"
SQL_FORGET_PHOTOS = "DELETE FROM photos WHERE rider_id = ANY($1::uuid[])"
SQL_FORGET_VEHICLES = "DELETE FROM vehicles WHERE rider_id = ANY($1::uuid[])"
SQL_FORGET_MEETINGS = "DELETE FROM meetings WHERE rider_id = ANY($1::uuid[])"
SQL_FORGET_VERDICTS = "DELETE FROM verdicts WHERE rider_id = ANY($1::uuid[])"
# One note is written under all reports of a decision, and may say of any of them whose they are.
SQL_FORGET_NOTES = """
WITH theirs AS (
    SELECT DISTINCT state, changed_at, note FROM suspicions WHERE rider_id = ANY($1::uuid[]) AND note <> ''
), locked AS (
    SELECT s.report_id FROM suspicions s JOIN theirs t USING (state, changed_at, note) ORDER BY s.report_id
    FOR NO KEY UPDATE OF s
)
UPDATE suspicions s SET note = '' FROM locked WHERE s.report_id = locked.report_id
"""
SQL_LOCK = "SELECT count(pg_advisory_xact_lock(key)) FROM unnest($1::bigint[]) AS key"


async def lock(conn: Connection, keys: Iterable[int]) -> None:
    """Wait for whoever works on the same riders or pictures; held until the transaction ends. `keys`: of 64 bits."""
    await conn.execute(SQL_LOCK, sorted(set(keys)))


async def keep_sightings(conn: Connection, rows: Sequence[NewSighting]) -> None:
    """Keep where and when riders reported; what is there already stays as it is."""
    await conn.execute(SQL_KEEP_SIGHTINGS, *arrays(NewSighting, rows))


async def history(conn: Connection, touched: Sequence[Touched]) -> list[Sighting]:
    """Reports of these riders between their times, by rider and in the order in which things were seen."""
    return await many(conn, SQL_HISTORY, *arrays(Touched, touched))


async def keep_photos(conn: Connection, rows: Sequence[NewPhoto]) -> None:
    """Keep photos' digests; again changes nothing."""
    await conn.execute(SQL_KEEP_PHOTOS, *arrays(NewPhoto, rows))


async def same_photos(conn: Connection, rows: Sequence[NewPhoto]) -> list[PhotoMatch]:
    """Other reports with the very same picture."""
    return await many(conn, SQL_SAME_PHOTOS, *arrays(NewPhoto, rows))


async def similar_photos(conn: Connection, rows: Sequence[NewPhoto], bits: int) -> list[PhotoMatch]:
    """Other reports whose picture differs in so many bits at most; those of more than three may be missed."""
    return await many(conn, SQL_SIMILAR_PHOTOS, bits, *arrays(NewPhoto, rows))


async def keep_vehicles(conn: Connection, riders: Sequence[tuple[RiderChanged, int]]) -> None:
    """Take over what riders move with; older states change nothing."""
    rows = [Vehicle(body.rider_id, body.kind, version) for body, version in riders]
    await conn.execute(SQL_KEEP_VEHICLES, *arrays(Vehicle, rows))


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Remove what could show anybody's way, picture or company. What was decided stays, under an id that leads to
    nobody, and without words: the ledger refers to it.
    """
    riders = [one.rider_id for one in leavers]
    for statement in (
        SQL_FORGET_SIGHTINGS, SQL_FORGET_PHOTOS, SQL_FORGET_VEHICLES, SQL_FORGET_MEETINGS, SQL_FORGET_VERDICTS,
        SQL_FORGET_NOTES,
    ):  # fmt: skip
        await conn.execute(statement, riders)


def around(seen: Sequence[NewSighting]) -> list[Touched]:
    """For each rider of a batch the day before its first report and the day after its last."""
    found: dict[UUID, Touched] = {}
    day = timedelta(days=1)
    for one in seen:
        after, until = one.occurred_at - day, one.occurred_at + day
        known = found.setdefault(one.rider_id, Touched(one.rider_id, after, until))
        known.after, known.until = min(known.after, after), max(known.until, until)
    return list(found.values())
