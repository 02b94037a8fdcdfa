"""Companies in a service's own schema: whether they may act, and their sealed signing keys."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shared.events.company_changed import CompanyChanged
from shared.kit.auth.resealing import Sealed
from shared.kit.postgres.db import Connection

# The newest of a batch wins, and only over something older: events carry the whole state.
SQL_COMPANIES_KEEP = """
INSERT INTO known_companies AS c (code, active, keys, version)
SELECT DISTINCT ON (u.code) u.code, u.active, u.keys, u.version
FROM jsonb_to_recordset($1::jsonb) AS u (code text, active boolean, keys jsonb, version bigint)
ORDER BY u.code, u.version DESC
ON CONFLICT (code) DO UPDATE SET active = excluded.active, keys = excluded.keys, version = excluded.version
WHERE c.version < excluded.version
"""
SQL_COMPANIES_ACTIVE = "SELECT code, active FROM known_companies WHERE code = ANY($1::text[])"
SQL_COMPANY_KEYS = "SELECT version, active, keys FROM known_companies WHERE code = $1"
SQL_COMPANY_CODES = "SELECT code FROM known_companies"
SQL_COMPANY_KEYS_SEALED = """
SELECT c.code, k ->> 'key_id' AS key_id, k ->> 'sealed' AS sealed
FROM (SELECT code, keys FROM known_companies WHERE code > $1 ORDER BY code LIMIT $2) c
CROSS JOIN jsonb_array_elements(c.keys) k ORDER BY c.code
"""


@dataclass(frozen=True, slots=True)
class SealedKeys:
    """A company's active keys as (key id, sealed), newest first. The `version` grows with every change of them."""

    version: int
    active: bool
    keys: Sequence[tuple[str, str]]


async def keep(conn: Connection, companies: Sequence[tuple[CompanyChanged, int]]) -> None:
    """Take over states with their versions; older ones, late or replayed, change nothing."""
    states = [
        {
            "code": body.code,
            "active": body.active,
            "keys": [{"key_id": str(key.key_id), "sealed": key.sealed} for key in body.keys if key.active],
            "version": version,
        }
        for body, version in companies
    ]
    await conn.execute(SQL_COMPANIES_KEEP, states)


async def active_of(conn: Connection, codes: Collection[str]) -> dict[str, bool]:
    """Company code → active, of those that are known; company_refusal takes what `.get` finds here."""
    if not codes:
        return {}
    return {row["code"]: row["active"] for row in await conn.fetch(SQL_COMPANIES_ACTIVE, list(codes))}


async def all_codes(conn: Connection) -> set[str]:
    """The codes of all companies."""
    return {row["code"] for row in await conn.fetch(SQL_COMPANY_CODES)}


async def sealed_keys(conn: Connection, code: str) -> SealedKeys | None:
    """A company's keys; None: it is not known."""
    row = await conn.fetchrow(SQL_COMPANY_KEYS, code)
    if row is None:
        return None
    return SealedKeys(row["version"], row["active"], [(key["key_id"], key["sealed"]) for key in row["keys"]])


async def sealed_page(conn: Connection, after: str, most: int) -> list[Sealed]:
    """The keys of so many companies after a code."""
    rows = await conn.fetch(SQL_COMPANY_KEYS_SEALED, after, most)
    return [Sealed(row["code"], row["code"], row["key_id"], row["sealed"]) for row in rows]
