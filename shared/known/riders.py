"""Riders in a service's own schema: whose they are, and whether they may act.

Services join `known_riders` in their own SQL where they need a language or a company beside other rows.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from shared.events.personal import number_mark
from shared.events.rider_changed import RiderChanged
from shared.kit.postgres.db import Connection
from shared.kit.privacy.erasure import Leaver
from shared.known.domain import Rider

# The newest of a batch wins, and only over something older: events carry the whole state. In key order, so that two
# processes never wait for each other in a circle.
SQL_RIDERS_KEEP = """
INSERT INTO known_riders AS k (rider_id, company, number, locale, consent, active, version)
SELECT DISTINCT ON (u.rider_id) u.rider_id, u.company, u.number, u.locale, u.consent, u.active, u.version
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $7::bigint[])
    AS u (rider_id, company, number, locale, consent, active, version)
WHERE NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = u.rider_id)
ORDER BY u.rider_id, u.version DESC
ON CONFLICT (rider_id) DO UPDATE
SET company = excluded.company, number = excluded.number, locale = excluded.locale, consent = excluded.consent,
    active = excluded.active, version = excluded.version
WHERE k.version < excluded.version
RETURNING rider_id, active
"""
# The version as well: a state that comes late, as a replayed letter does, is older than the end.
SQL_RIDERS_RETIRE = """
UPDATE known_riders k SET consent = false, active = false, version = u.version
FROM unnest($1::uuid[], $2::bigint[]) AS u (rider_id, version)
WHERE k.rider_id = u.rider_id AND k.version <= u.version AND (k.consent OR k.active) RETURNING k.rider_id
"""
SQL_RIDERS_FORGET = "DELETE FROM known_riders WHERE rider_id = ANY($1::uuid[])"
SQL_RIDERS_BY_NUMBER = """
SELECT r.rider_id, r.company, r.number, r.consent, r.active,
       EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = r.rider_id) AS erased
FROM unnest($1::text[], $2::text[]) AS u (company, number)
JOIN known_riders r ON r.company = u.company AND r.number = u.number
"""
# Not every one of them has had a row here: a restore enters also who registered after the backup.
SQL_ERASED_BY_NUMBER = "SELECT rider_id, number FROM erased_riders WHERE number = ANY($1::text[])"
SQL_RIDERS_BY_ID = """
SELECT u.rider_id, coalesce(r.company, '') AS company, coalesce(e.number, r.number) AS number,
       coalesce(r.consent, false) AS consent, coalesce(r.active, false) AS active, e.rider_id IS NOT NULL AS erased
FROM unnest($1::uuid[]) AS u (rider_id)
LEFT JOIN known_riders r ON r.rider_id = u.rider_id LEFT JOIN erased_riders e ON e.rider_id = u.rider_id
WHERE r.rider_id IS NOT NULL OR e.rider_id IS NOT NULL
"""
SQL_RIDERS_INACTIVE = """
SELECT rider_id FROM known_riders WHERE rider_id = ANY($1::uuid[]) AND NOT active
UNION SELECT rider_id FROM erased_riders WHERE rider_id = ANY($1::uuid[])
"""


async def keep(conn: Connection, riders: Sequence[tuple[RiderChanged, int]], *, numbers: bool) -> list[UUID]:
    """Take over states with their versions; older ones change nothing, and nobody who is erased comes back.

    Args:
        conn: in the transaction of the batch.
        riders: states, of one rider any number.
        numbers: keep the companies' own numbers of them.

    Returns:
        Those who have become inactive, or are new and inactive.
    """
    rows = await conn.fetch(
        SQL_RIDERS_KEEP,
        [body.rider_id for body, _ in riders],
        [body.company for body, _ in riders],
        [body.external_id if numbers else None for body, _ in riders],
        [body.locale for body, _ in riders],
        [body.consent for body, _ in riders],
        [body.active for body, _ in riders],
        [version for _, version in riders],
    )
    return [row["rider_id"] for row in rows if not row["active"]]


async def retire(conn: Connection, gone: Sequence[tuple[UUID, int]]) -> list[UUID]:
    """End what riders may, whose state up to a version is no more; a newer state stays. Returns who might something."""
    ids, versions = [rider for rider, _ in gone], [version for _, version in gone]
    return [row["rider_id"] for row in await conn.fetch(SQL_RIDERS_RETIRE, ids, versions)]


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Remove riders; again changes nothing. Their marks on the list of erased riders still refuse their numbers."""
    await conn.execute(SQL_RIDERS_FORGET, [one.rider_id for one in leavers])


async def by_number(conn: Connection, numbers: Collection[tuple[str, str]]) -> dict[tuple[str, str], Rider]:
    """Riders by (company, the company's own number), erased ones too: the mark of their number is in the list."""
    if not numbers:
        return {}
    rows = await conn.fetch(SQL_RIDERS_BY_NUMBER, [company for company, _ in numbers], [one for _, one in numbers])
    found = {(row["company"], row["number"]): Rider(**row) for row in rows}
    if len(found) < len(numbers):
        marks = {number_mark(*key): key for key in {*numbers} - {*found}}
        for row in await conn.fetch(SQL_ERASED_BY_NUMBER, list(marks)):
            company, _ = key = marks[row["number"]]
            found[key] = Rider(row["rider_id"], company, row["number"], consent=False, active=False, erased=True)
    return found


async def by_id(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Rider]:
    """Riders by id, erased ones too."""
    if not ids:
        return {}
    return {row["rider_id"]: Rider(**row) for row in await conn.fetch(SQL_RIDERS_BY_ID, list(ids))}


async def inactive_among(conn: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Those of the riders who may not act. Of whom nothing was heard yet may: an event of theirs came first."""
    if not ids:
        return set()
    return {row["rider_id"] for row in await conn.fetch(SQL_RIDERS_INACTIVE, list(ids))}
