"""All SQL of the riders service."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.riders.domain import Company, CompanyKey, Outlet, Rider, RiderFacts
from shared.events.personal import number_mark
from shared.kit.auth.resealing import Sealed, uuid_after
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, row_to, unnest
from shared.kit.privacy.erasure import Leaver
from shared.known.companies import SealedKeys


@dataclass(slots=True, eq=False)
class RiderRow:
    """A rider as their row is written; the name has a table of its own."""

    rider_id: UUID
    external_id: str
    kind: str
    outlet: str | None
    consent_at: datetime | None
    locale: str
    active: bool
    erased_at: datetime | None
    version: int

    @classmethod
    def of(cls, rider: Rider) -> "RiderRow":
        """A rider."""
        facts = rider.facts
        return cls(
            rider_id=rider.rider_id, external_id=rider.external_id, kind=facts.kind, outlet=facts.outlet,
            consent_at=facts.consent_at, locale=facts.locale, active=facts.active, erased_at=rider.erased_at,
            version=rider.version,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class KnownRider:
    """A rider as an operator finds them in a list: by number, without who they are."""

    rider_id: UUID
    external_id: str
    active: bool


COMPANY_COLUMNS = columns(Company)
_KEY = columns(CompanyKey)
RIDER_COLUMNS = """
r.rider_id, r.company, r.external_id, r.kind, r.outlet, r.consent_at, r.locale, r.active, r.erased_at, r.version,
coalesce(n.name, '') AS name FROM riders r LEFT JOIN rider_names n USING (rider_id)
"""

SQL_COMPANIES_BY_CODE = Query(Company, f"SELECT {COMPANY_COLUMNS} FROM companies WHERE code = ANY($1::text[])")
SQL_COMPANIES = Query(Company, f"SELECT {COMPANY_COLUMNS} FROM companies WHERE code > $1 ORDER BY code LIMIT $2")
SQL_COMPANY_INSERT = """
INSERT INTO companies (company_id, code, name, active, version, created_at, changed_at)
VALUES ($1, $2, $3, true, 1, $4, $4) ON CONFLICT (code) DO NOTHING RETURNING company_id
"""
SQL_COMPANY_LOCK = Query(Company, f"SELECT {COMPANY_COLUMNS} FROM companies WHERE code = $1 FOR NO KEY UPDATE")
SQL_COMPANY_UPDATE = Query(
    Company,
    f"""
UPDATE companies SET name = $2, active = $3, version = version + 1, changed_at = $4 WHERE company_id = $1
RETURNING {COMPANY_COLUMNS}
""",
)
SQL_KEYS = Query(
    CompanyKey,
    f"""
SELECT {_KEY} FROM company_keys WHERE company_id = $1
ORDER BY created_at DESC, key_id DESC LIMIT $2
""",
)
SQL_KEYS_ACTIVE = Query(
    CompanyKey,
    f"""
SELECT {_KEY} FROM company_keys WHERE company_id = $1 AND active
ORDER BY created_at DESC, key_id DESC
""",
)
SQL_COMPANY_KEYS_SEALED = """
SELECT c.version, c.active, k.key_id::text AS key_id, k.sealed
FROM companies c LEFT JOIN company_keys k ON k.company_id = c.company_id AND k.active
WHERE c.code = $1 ORDER BY k.created_at DESC, k.key_id DESC
"""
SQL_COMPANY_CODES = "SELECT code FROM companies"
SQL_KEY_INSERT = """
INSERT INTO company_keys (key_id, company_id, sealed, active, created_at) VALUES ($1, $2, $3, true, $4)
"""
SQL_KEYS_SEALED = """
SELECT k.key_id::text AS place, c.code AS bound_to, k.key_id::text AS key_id, k.sealed AS secret
FROM company_keys k JOIN companies c USING (company_id)
WHERE k.active AND k.key_id > $1 ORDER BY k.key_id LIMIT $2
"""
SQL_KEY_RESEAL = "UPDATE company_keys SET sealed = $3 WHERE key_id = $1 AND sealed = $2"
SQL_KEYS_DUE = """
SELECT c.code, k.key_id FROM company_keys k JOIN companies c USING (company_id)
WHERE k.active AND k.expires_at <= now() ORDER BY c.code, k.key_id
"""
SQL_KEYS_EXPIRE = """
UPDATE company_keys SET expires_at = least(expires_at, now() + $3::interval)
WHERE company_id = $1 AND key_id <> $2 AND active
"""
SQL_KEY_REVOKE = """
UPDATE company_keys SET active = false, revoked_at = $3, sealed = ''
WHERE company_id = $1 AND key_id = $2 AND active RETURNING key_id
"""
SQL_OUTLETS_UPSERT = f"""
INSERT INTO outlets AS o (company_id, changed_at, {columns(Outlet)})
SELECT $1, $2, {columns(Outlet)} FROM {unnest(Outlet, first=3)} ORDER BY code
ON CONFLICT (company_id, code) DO UPDATE
SET name = excluded.name, address = excluded.address, active = excluded.active, changed_at = excluded.changed_at
WHERE (o.name, o.address, o.active) IS DISTINCT FROM (excluded.name, excluded.address, excluded.active)
RETURNING code
"""
SQL_OUTLETS = Query(
    Outlet,
    f"""
SELECT {columns(Outlet, "o")} FROM outlets o JOIN companies c USING (company_id)
WHERE c.code = $1 AND o.code > $2 ORDER BY o.code LIMIT $3
""",
)
# Version 0: the row exists, so that it can be locked like every other one; it is filled in the same transaction.
SQL_RIDERS_CLAIM = """
INSERT INTO riders (rider_id, company, external_id, kind, locale, active, version, created_at, changed_at)
SELECT u.rider_id, u.company, u.external_id, 'other', 'zh', true, 0, $4, $4
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (rider_id, company, external_id)
ORDER BY u.company, u.external_id
ON CONFLICT (company, external_id) DO NOTHING
"""
SQL_RIDERS_LOCK = f"""
SELECT {RIDER_COLUMNS}
WHERE (r.company, r.external_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY r.rider_id FOR NO KEY UPDATE OF r
"""
# The list says who is erased, not the rows: a restore brings back numbers that left, and enters some without a row.
SQL_ERASED_NUMBERS = "SELECT number FROM erased_riders WHERE number = ANY($1::text[])"
SQL_RIDER_LOCK = f"""
SELECT {RIDER_COLUMNS} WHERE r.rider_id = $1 FOR NO KEY UPDATE OF r
"""
SQL_RIDERS_UPDATE = f"""
UPDATE riders r SET external_id = u.external_id, kind = u.kind, outlet = u.outlet, consent_at = u.consent_at,
       locale = u.locale, active = u.active, erased_at = u.erased_at, version = u.version, changed_at = $1
FROM {unnest(RiderRow, "u", first=2)}
WHERE r.rider_id = u.rider_id
"""
SQL_NAMES_UPSERT = """
INSERT INTO rider_names AS n (rider_id, name) SELECT * FROM unnest($1::uuid[], $2::text[])
ON CONFLICT (rider_id) DO UPDATE SET name = excluded.name WHERE n.name <> excluded.name
"""
SQL_NAMES_DELETE = "DELETE FROM rider_names WHERE rider_id = ANY($1::uuid[])"
SQL_RIDERS_UNCLAIM = "DELETE FROM riders WHERE rider_id = ANY($1::uuid[]) AND version = 0"
SQL_RIDERS_ERASE = f"""
UPDATE riders r SET external_id = u.number, outlet = NULL, consent_at = NULL, active = false,
       erased_at = coalesce(r.erased_at, u.erased_at)
FROM {unnest(Leaver, "u")}
WHERE r.rider_id = u.rider_id AND (r.external_id <> u.number OR r.erased_at IS NULL)
"""
SQL_RIDERS_VERSIONS = "SELECT rider_id, version FROM riders WHERE rider_id = ANY($1::uuid[]) ORDER BY rider_id"
SQL_RIDERS_ERASED_LATELY = """
SELECT rider_id, version FROM riders WHERE erased_at > now() - make_interval(days => $1) ORDER BY rider_id
"""
SQL_RIDER_BY_ID = f"""
SELECT {RIDER_COLUMNS} WHERE r.rider_id = $1
"""
SQL_RIDER_BY_EXTERNAL_ID = f"""
SELECT {RIDER_COLUMNS} WHERE r.company = $1 AND r.external_id = $2
"""
SQL_RIDERS_OF_COMPANY = Query(
    KnownRider,
    """
SELECT rider_id, external_id, active FROM riders
WHERE company = $1 AND external_id > $2 AND erased_at IS NULL ORDER BY external_id LIMIT $3
""",
)
SQL_OLDEST_KEYS = """
SELECT c.code, min(k.created_at) AS made_at FROM companies c JOIN company_keys k USING (company_id)
WHERE c.active AND k.active GROUP BY c.code
"""


_facts = row_to(RiderFacts)


def rider_of(row: asyncpg.Record) -> Rider:
    """The rider of a row with RIDER_COLUMNS."""
    return Rider(
        rider_id=row["rider_id"], company=row["company"], external_id=row["external_id"], facts=_facts(row),
        version=row["version"], erased_at=row["erased_at"],
    )  # fmt: skip


async def companies_by_code(conn: Connection, codes: Collection[str]) -> dict[str, Company]:
    """The companies that exist, by code."""
    return {company.code: company for company in await many(conn, SQL_COMPANIES_BY_CODE, list(codes))}


async def companies(conn: Connection, after: str, limit: int) -> list[Company]:
    """The next companies after a code, by code."""
    return await many(conn, SQL_COMPANIES, after, limit)


async def insert_company(conn: Connection, company_id: UUID, code: str, name: str, now: datetime) -> bool:
    """Make a company; False: the code is taken."""
    return await conn.fetchval(SQL_COMPANY_INSERT, company_id, code, name, now) is not None


async def lock_company(conn: Connection, code: str) -> Company | None:
    """A company, locked until the transaction ends."""
    return await one(conn, SQL_COMPANY_LOCK, code)


async def update_company(conn: Connection, company: Company, name: str, active: bool, now: datetime) -> Company:
    """One version on. The company is locked by the caller."""
    changed = await one(conn, SQL_COMPANY_UPDATE, company.company_id, name, active, now)
    assert changed is not None, "a locked company is still there"
    return changed


async def keys(conn: Connection, company_id: UUID, limit: int) -> list[CompanyKey]:
    """The newest keys of a company, those that have ended included."""
    return await many(conn, SQL_KEYS, company_id, limit)


async def active_keys(conn: Connection, company_id: UUID) -> list[CompanyKey]:
    """The keys of a company that are good, newest first."""
    return await many(conn, SQL_KEYS_ACTIVE, company_id)


async def sealed_keys_of(conn: Connection, code: str) -> SealedKeys | None:
    """The keys with which a company may sign, newest first; None for an unknown company."""
    rows = await conn.fetch(SQL_COMPANY_KEYS_SEALED, code)
    if not rows:
        return None
    keys = [(row["key_id"], row["sealed"]) for row in rows if row["key_id"] is not None]
    return SealedKeys(rows[0]["version"], rows[0]["active"], keys)


async def company_codes(conn: Connection) -> set[str]:
    """The codes of all companies."""
    return {row["code"] for row in await conn.fetch(SQL_COMPANY_CODES)}


async def insert_key(conn: Connection, key_id: UUID, company_id: UUID, sealed: str, now: datetime) -> None:
    """Keep a sealed key."""
    await conn.execute(SQL_KEY_INSERT, key_id, company_id, sealed, now)


async def expire_others(conn: Connection, company_id: UUID, key_id: UUID, after: timedelta) -> None:
    """Let all other active keys of a company end then by the database's clock, those that end sooner not later."""
    await conn.execute(SQL_KEYS_EXPIRE, company_id, key_id, after)


async def keys_due(conn: Connection) -> list[tuple[str, UUID]]:
    """(company's code, key id) of active keys whose time is over by the database's clock."""
    return [(row["code"], row["key_id"]) for row in await conn.fetch(SQL_KEYS_DUE)]


async def sealed_keys(conn: Connection, after: str, most: int) -> list[Sealed]:
    """Companies' active signing keys."""
    return [Sealed(**row) for row in await conn.fetch(SQL_KEYS_SEALED, uuid_after(after), most)]


async def reseal_key(conn: Connection, key_id: UUID, before: str, after: str) -> bool:
    """Exchange the seal of a key; False where it has changed since it was read."""
    return await conn.execute(SQL_KEY_RESEAL, key_id, before, after) == "UPDATE 1"


async def revoke_key(conn: Connection, company_id: UUID, key_id: UUID, now: datetime) -> bool:
    """End a key and forget its content; False: the company has no such active key."""
    return await conn.fetchval(SQL_KEY_REVOKE, company_id, key_id, now) is not None


async def upsert_outlets(conn: Connection, company_id: UUID, outlets: Sequence[Outlet], now: datetime) -> set[str]:
    """Make or change outlets, each code once; returns the codes of those that changed."""
    rows = await conn.fetch(SQL_OUTLETS_UPSERT, company_id, now, *arrays(Outlet, outlets))
    return {row["code"] for row in rows}


async def outlets(conn: Connection, company: str, after: str, limit: int) -> list[Outlet]:
    """The next outlets of a company after a code, by code."""
    return await many(conn, SQL_OUTLETS, company, after, limit)


async def claim_riders(
    conn: Connection, keys: Collection[tuple[str, str]], now: datetime
) -> dict[tuple[str, str], Rider]:
    """Riders by (company, external id), all locked in the order of their ids; those that did not exist have version 0.

    Inserting first leaves nothing to race for: whoever comes second waits, then locks the row of the first. Erased
    riders are left out: a row made for one is taken away again, or got its mark while we waited for it.
    """
    ordered = sorted(keys)
    company_codes = [company for company, _ in ordered]
    external_ids = [external_id for _, external_id in ordered]
    await conn.execute(SQL_RIDERS_CLAIM, [new_id() for _ in ordered], company_codes, external_ids, now)
    rows = await conn.fetch(SQL_RIDERS_LOCK, company_codes, external_ids)
    found = {(row["company"], row["external_id"]): rider_of(row) for row in rows}
    # after the locks: who was erased while we waited is in the list by now
    marks = {number_mark(*key): key for key in ordered}
    gone = [marks[row["number"]] for row in await conn.fetch(SQL_ERASED_NUMBERS, list(marks))]
    await unclaim_riders(conn, [rider.rider_id for key in gone if (rider := found.pop(key, None)) is not None])
    return found


async def unclaim_riders(conn: Connection, ids: Sequence[UUID]) -> None:
    """Take away rows that `claim_riders` made and nothing has filled."""
    if ids:
        await conn.execute(SQL_RIDERS_UNCLAIM, ids)


async def lock_rider(conn: Connection, rider_id: UUID) -> Rider | None:
    """A rider, locked until the transaction ends."""
    row = await conn.fetchrow(SQL_RIDER_LOCK, rider_id)
    return rider_of(row) if row is not None else None


async def save_riders(conn: Connection, riders: Sequence[Rider], now: datetime) -> None:
    """Write riders that the caller has locked, and their names."""
    await conn.execute(SQL_RIDERS_UPDATE, now, *arrays(RiderRow, [RiderRow.of(rider) for rider in riders]))
    named = [rider for rider in riders if rider.erased_at is None]
    await conn.execute(SQL_NAMES_UPSERT, [rider.rider_id for rider in named], [rider.facts.name for rider in named])


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Erase who riders are. Of a list that a restore brings back, too."""
    await conn.execute(SQL_NAMES_DELETE, [leaver.rider_id for leaver in leavers])
    await conn.execute(SQL_RIDERS_ERASE, *arrays(Leaver, leavers))


async def versions(conn: Connection, riders: Sequence[UUID]) -> dict[UUID, int]:
    """The riders' versions, by id."""
    return _versions(await conn.fetch(SQL_RIDERS_VERSIONS, list(riders)))


async def erased_lately(conn: Connection, days: int) -> dict[UUID, int]:
    """Versions of the riders who were erased within so many days, by id."""
    return _versions(await conn.fetch(SQL_RIDERS_ERASED_LATELY, days))


def _versions(rows: Sequence[asyncpg.Record]) -> dict[UUID, int]:
    return {row["rider_id"]: row["version"] for row in rows}


async def rider_by_id(conn: Connection, rider_id: UUID) -> Rider | None:
    """A rider by the suite's id."""
    row = await conn.fetchrow(SQL_RIDER_BY_ID, rider_id)
    return rider_of(row) if row is not None else None


async def rider_by_external_id(conn: Connection, company: str, external_id: str) -> Rider | None:
    """A rider by the company's own number."""
    row = await conn.fetchrow(SQL_RIDER_BY_EXTERNAL_ID, company, external_id)
    return rider_of(row) if row is not None else None


async def riders_of(conn: Connection, company: str, after: str, limit: int) -> list[KnownRider]:
    """A company's riders by number, without those that are erased."""
    return await many(conn, SQL_RIDERS_OF_COMPANY, company, after, limit)


async def tallies(conn: Connection) -> dict[str, int]:
    """Figures for the reconciliation: companies, riders, riders_active, rider_versions (= events of riders)."""
    kept = await counters.kept(conn, "companies", "riders", "versions")
    return {
        "companies": kept.of("companies"),
        "riders": kept.total("riders"),
        "riders_active": kept.of("riders", "active"),
        "rider_versions": kept.of("versions"),
    }


async def oldest_keys(conn: Connection) -> dict[str, datetime]:
    """When each active company's oldest active signing key was made."""
    return {row["code"]: row["made_at"] for row in await conn.fetch(SQL_OLDEST_KEYS)}
