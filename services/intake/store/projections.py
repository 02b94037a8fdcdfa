"""What the riders service says: companies with their keys, riders."""

from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg

from services.intake.domain import Rider
from shared.events.company_changed import CompanyChanged
from shared.events.personal import number_mark
from shared.events.rider_changed import RiderChanged
from shared.kit.db import Connection
from shared.kit.erasure import Leaver
from shared.kit.resealing import Sealed, uuid_after

SQL_COMPANIES_UPSERT = """
INSERT INTO companies AS c (code, company_id, active, keys, version)
SELECT code, company_id, active, keys, version
FROM jsonb_to_recordset($1::jsonb) AS u (code text, company_id uuid, active boolean, keys jsonb, version bigint)
ORDER BY code
ON CONFLICT (code) DO UPDATE
SET company_id = excluded.company_id, active = excluded.active, keys = excluded.keys, version = excluded.version
WHERE c.version < excluded.version
"""
SQL_RIDERS_UPSERT = """
INSERT INTO riders AS r (rider_id, company, external_id, consent, active, version)
SELECT u.rider_id, u.company, coalesce(e.number, u.external_id), u.consent AND e.number IS NULL,
       u.active AND e.number IS NULL, u.version
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::boolean[], $6::bigint[])
    AS u (rider_id, company, external_id, consent, active, version)
LEFT JOIN erased_riders e ON e.rider_id = u.rider_id ORDER BY u.rider_id
ON CONFLICT (rider_id) DO UPDATE
SET consent = excluded.consent, active = excluded.active, version = excluded.version
WHERE r.version < excluded.version
"""
SQL_RIDERS_ERASE = """
UPDATE riders r SET external_id = u.number, consent = false, active = false
FROM unnest($1::uuid[], $2::text[]) AS u (rider_id, number) WHERE r.rider_id = u.rider_id
"""
SQL_RIDERS_RETIRE = """
UPDATE riders r SET consent = false, active = false
FROM unnest($1::uuid[], $2::bigint[]) AS u (rider_id, version)
WHERE r.rider_id = u.rider_id AND r.version <= u.version AND (r.consent OR r.active)
"""
SQL_COMPANIES_ACTIVE = "SELECT code, active FROM companies WHERE code = ANY($1::text[])"
SQL_SEALED = """
SELECT c.company_id::text, c.code, k ->> 'key_id', k ->> 'sealed'
FROM (SELECT company_id, code, keys FROM companies WHERE company_id > $1 ORDER BY company_id LIMIT $2) c
CROSS JOIN jsonb_array_elements(c.keys) k ORDER BY 1
"""
SQL_COMPANY_KEYS = "SELECT version, keys FROM companies WHERE code = $1"
SQL_COMPANY_CODES = "SELECT code FROM companies"
SQL_RIDERS_BY_NUMBER = """
SELECT r.rider_id, r.company, r.external_id, r.consent, r.active, NULL::boolean AS company_active,
       EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = r.rider_id) AS erased
FROM unnest($1::text[], $2::text[]) AS u (company, external_id)
JOIN riders r ON r.company = u.company AND r.external_id = u.external_id
"""
# Not every one of them has a row here: a restore enters also who registered after the backup.
SQL_ERASED_NUMBERS = "SELECT rider_id, number FROM erased_riders WHERE number = ANY($1::text[])"
SQL_RIDERS_BY_ID = """
SELECT r.rider_id, r.company, r.external_id, r.consent, r.active, c.active AS company_active,
       EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = r.rider_id) AS erased
FROM riders r LEFT JOIN companies c ON c.code = r.company WHERE r.rider_id = ANY($1::uuid[])
"""


async def upsert_companies(conn: Connection, companies: Sequence[tuple[CompanyChanged, int]]) -> None:
    """Keep the newest state of each company, with its version; each company once."""
    states = [
        {
            "code": body.code,
            "company_id": str(body.company_id),
            "active": body.active,
            "keys": [{"key_id": str(key.key_id), "sealed": key.sealed} for key in body.keys if key.active],
            "version": version,
        }
        for body, version in companies
    ]
    await conn.execute(SQL_COMPANIES_UPSERT, states)


async def upsert_riders(conn: Connection, riders: Sequence[tuple[RiderChanged, int]]) -> None:
    """Keep the newest state of each rider, with its version; each rider once."""
    ordered = sorted(riders, key=lambda one: one[0].rider_id)
    await conn.execute(
        SQL_RIDERS_UPSERT,
        [body.rider_id for body, _ in ordered],
        [body.company for body, _ in ordered],
        [body.external_id for body, _ in ordered],
        [body.consent for body, _ in ordered],
        [body.active for body, _ in ordered],
        [version for _, version in ordered],
    )


async def erase_riders(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Put marks in place of companies' numbers of riders; who is unknown here gets one when heard of."""
    await conn.execute(SQL_RIDERS_ERASE, [one.rider_id for one in leavers], [one.number for one in leavers])


async def retire_riders(conn: Connection, gone: Sequence[tuple[UUID, int]]) -> None:
    """End what riders may, whose state up to a version is no more; a newer state stays."""
    await conn.execute(SQL_RIDERS_RETIRE, [rider for rider, _ in gone], [version for _, version in gone])


async def companies_active(conn: Connection, codes: Collection[str]) -> dict[str, bool]:
    """Company code → active, of those that are known."""
    return {row["code"]: row["active"] for row in await conn.fetch(SQL_COMPANIES_ACTIVE, list(codes))}


async def company_codes(conn: Connection) -> set[str]:
    """The codes of all companies."""
    return {row["code"] for row in await conn.fetch(SQL_COMPANY_CODES)}


async def company_keys(conn: Connection, code: str) -> tuple[int, list[tuple[str, str]]]:
    """The company's version and its active keys as (key id, sealed); (0, []) for an unknown company."""
    row = await conn.fetchrow(SQL_COMPANY_KEYS, code)
    if row is None:
        return 0, []
    return row["version"], [(key["key_id"], key["sealed"]) for key in row["keys"]]


async def sealed(conn: Connection, after: str, most: int) -> list[Sealed]:
    """Companies' keys."""
    return [Sealed(*row) for row in await conn.fetch(SQL_SEALED, uuid_after(after), most)]


async def riders_by_number(conn: Connection, numbers: Collection[tuple[str, str]]) -> dict[tuple[str, str], Rider]:
    """Riders by (company, the company's own number); of erased ones the mark of their number is in the list."""
    rows = await conn.fetch(
        SQL_RIDERS_BY_NUMBER, [company for company, _ in numbers], [number for _, number in numbers]
    )
    found = {(row["company"], row["external_id"]): _rider(row) for row in rows}
    if len(found) < len(numbers):
        marks = {number_mark(*key): key for key in {*numbers} - {*found}}
        for row in await conn.fetch(SQL_ERASED_NUMBERS, list(marks)):
            company, _ = key = marks[row["number"]]
            found[key] = Rider(
                row["rider_id"], company, row["number"], consent=False, active=False, company_active=None, erased=True
            )
    return found


async def riders_by_id(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Rider]:
    """Riders by id, with whether their company is active."""
    return {row["rider_id"]: _rider(row) for row in await conn.fetch(SQL_RIDERS_BY_ID, list(ids))}


def _rider(row: asyncpg.Record) -> Rider:
    return Rider(*row.values())
