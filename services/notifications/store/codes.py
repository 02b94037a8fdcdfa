"""Codes that prove whose an address is, and how many of them a rider or an address may cause."""

from datetime import timedelta
from uuid import UUID

from services.notifications.domain import CODE_ATTEMPTS_MAX, CODE_TEMPLATE, CODE_TRIES_MAX, CODE_VALID
from shared.kit.postgres.db import Connection

# Whoever asks for a code, or tries one, holds the channel until the end.
SQL_LOCK_CHANNEL = """
SELECT sealed, verified_at IS NOT NULL AS verified FROM channels WHERE channel_id = $1 AND rider_id = $2 FOR UPDATE
"""
# Counts one more, or changes nothing where that would be one too many, or too soon.
SQL_COUNT = """
INSERT INTO code_limits AS l (subject, window_from, codes, last_at) VALUES ($1, now(), 1, now())
ON CONFLICT (subject) DO UPDATE SET
    window_from = CASE WHEN l.window_from <= now() - $3::interval THEN now() ELSE l.window_from END,
    codes = CASE WHEN l.window_from <= now() - $3::interval THEN 1 ELSE l.codes + 1 END,
    last_at = now()
WHERE (l.codes < $2 OR l.window_from <= now() - $3::interval) AND l.last_at <= now() - $4::interval
RETURNING codes
"""
SQL_WAIT = """
SELECT extract(epoch FROM greatest(last_at + $4::interval, CASE WHEN codes >= $2 THEN window_from + $3::interval END)
                          - now())::float8
FROM code_limits WHERE subject = $1
"""
# One that waits already, since the mail server is away, is enough.
SQL_QUEUE = """
INSERT INTO deliveries (event_id, lane, target_id, rider_id, template, params, attempts_allowed, next_attempt_at,
                        created_at)
SELECT gen_random_uuid(), 'channel', $1, $2, $3, '{}', $4, now(), now()
WHERE NOT EXISTS (SELECT FROM deliveries WHERE target_id = $1 AND template = $3 AND state IN ('pending', 'failed'))
"""
SQL_PUT_CODE = """
INSERT INTO channel_codes (channel_id, code_hash, expires_at)
SELECT channel_id, $2, now() + $3::interval FROM channels WHERE channel_id = $1
ON CONFLICT (channel_id) DO UPDATE SET code_hash = excluded.code_hash, expires_at = excluded.expires_at, tries = 0
"""
# A try is spent before it is known whether it is right; the row stays locked until the end.
SQL_TRY = """
UPDATE channel_codes SET tries = tries + 1 WHERE channel_id = $1 AND tries < $2 AND expires_at > now()
RETURNING code_hash
"""
SQL_VERIFY = "UPDATE channels SET verified_at = now() WHERE channel_id = $1 AND verified_at IS NULL"
SQL_DROP_CODE = "DELETE FROM channel_codes WHERE channel_id = $1"


async def lock_channel(conn: Connection, channel_id: UUID, rider_id: UUID) -> tuple[str, bool] | None:
    """(sealed address, verified) of a rider's channel, locked; None: the rider has no such channel."""
    row = await conn.fetchrow(SQL_LOCK_CHANNEL, channel_id, rider_id)
    return None if row is None else (row["sealed"], row["verified"])


async def count(conn: Connection, subject: str, most: int, window: timedelta, pause: timedelta) -> bool:
    """Count one more code of a rider or an address. False: too many in the window, or too soon; nothing is counted."""
    return await conn.fetchval(SQL_COUNT, subject, most, window, pause) is not None


async def wait_s(conn: Connection, subject: str, most: int, window: timedelta, pause: timedelta) -> float:
    """Seconds until another one may be counted, 0 for now."""
    found: float | None = await conn.fetchval(SQL_WAIT, subject, most, window, pause)
    return max(0.0, found or 0.0)


async def queue(conn: Connection, channel_id: UUID, rider_id: UUID) -> None:
    """Let a code be made and sent. It is made when it leaves, so that no table has it and an outage spoils none."""
    await conn.execute(SQL_QUEUE, channel_id, rider_id, CODE_TEMPLATE, CODE_ATTEMPTS_MAX)


async def put(conn: Connection, channel_id: UUID, code_hash: bytes) -> None:
    """The code that is good for a channel from now on, instead of any other."""
    await conn.execute(SQL_PUT_CODE, channel_id, code_hash, CODE_VALID)


async def spend_try(conn: Connection, channel_id: UUID) -> bytes | None:
    """The hash that a code must have; None: there is no code that is good, or it was tried too often."""
    found: bytes | None = await conn.fetchval(SQL_TRY, channel_id, CODE_TRIES_MAX)
    return found


async def verify(conn: Connection, channel_id: UUID) -> None:
    """Whoever entered the address has shown that it is theirs; the code is used up."""
    await conn.execute(SQL_VERIFY, channel_id)
    await conn.execute(SQL_DROP_CODE, channel_id)
