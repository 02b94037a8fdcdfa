"""The kit's idempotency keys for a whole batch of requests: same table, same meaning, few statements."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.kit.postgres.db import Connection

# In key order, so that replicas that got repetitions of the same requests wait for each other instead of deadlocking
SQL_CLAIM_KEYS = """
INSERT INTO idempotency_keys (principal, key, body_hash)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) AS new (principal, key, body_hash) ORDER BY 1, 2
ON CONFLICT DO NOTHING RETURNING principal, key
"""
SQL_READ_KEYS = """
SELECT k.principal, k.key, k.body_hash, k.status, k.response
FROM unnest($1::text[], $2::text[]) AS wanted (principal, key)
JOIN idempotency_keys k ON k.principal = wanted.principal AND k.key = wanted.key
"""
SQL_STORE_ANSWERS = """
UPDATE idempotency_keys k SET status = new.status, response = new.response
FROM unnest($1::text[], $2::text[], $3::int[], $4::bytea[]) AS new (principal, key, status, response)
WHERE k.principal = new.principal AND k.key = new.key AND k.status IS NULL
"""
# A refusal isn't kept: the same wish may be granted when tried again
SQL_FREE_KEYS = """
DELETE FROM idempotency_keys k USING unnest($1::text[], $2::text[]) AS gone (principal, key)
WHERE k.principal = gone.principal AND k.key = gone.key AND k.status IS NULL
"""
Key = tuple[str, str]
"""(principal, Idempotency-Key)"""


@dataclass(frozen=True, slots=True)
class Kept:
    """The first answer to a key."""

    body_hash: bytes
    status: int
    body: bytes


async def claim(conn: Connection, hashes: dict[Key, bytes]) -> dict[Key, Kept]:
    """Claim new keys for this transaction; the first answers of those that are known."""
    rows = [(principal, key, body_hash) for (principal, key), body_hash in hashes.items()]
    claimed = {(row["principal"], row["key"]) for row in await conn.fetch(SQL_CLAIM_KEYS, *zip(*rows, strict=True))}
    known = [key for key in hashes if key not in claimed]
    if not known:
        return {}
    found = await conn.fetch(SQL_READ_KEYS, *zip(*known, strict=True))
    return {
        (row["principal"], row["key"]): Kept(row["body_hash"], row["status"], row["response"])
        for row in found
        if row["status"] is not None
    }


async def keep(conn: Connection, answers: Sequence[tuple[str, str, int, bytes]]) -> None:
    """Keep (principal, key, status, body) with the claimed keys."""
    if answers:
        await conn.execute(SQL_STORE_ANSWERS, *zip(*answers, strict=True))


async def free(conn: Connection, keys: Sequence[Key]) -> None:
    """Give claimed keys up."""
    if keys:
        await conn.execute(SQL_FREE_KEYS, *zip(*keys, strict=True))
