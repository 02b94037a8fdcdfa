"""Everything that this service keeps sealed, for a change of the sealing key."""

from collections.abc import Sequence
from uuid import UUID

from shared.kit.db import Connection

SQL_SEALED_KEYS = """
SELECT c.code AS company, k.key_id::text AS key_id, k.sealed FROM company_keys k JOIN companies c USING (company_id)
"""
SQL_SEALED_WEBHOOKS = """
SELECT company, webhook_id::text AS key_id, sealed FROM webhooks
UNION ALL SELECT company, webhook_id::text, sealed_previous FROM webhooks WHERE sealed_previous IS NOT NULL
"""
SQL_SEALED_CHANNELS = "SELECT $1::text AS company, channel_id::text AS key_id, sealed FROM channels"
# Only what has not changed since it was read.
SQL_RESEAL_WEBHOOKS = """
UPDATE webhooks w SET sealed = CASE WHEN w.sealed = u.before THEN u.after ELSE w.sealed END,
    sealed_previous = CASE WHEN w.sealed_previous = u.before THEN u.after ELSE w.sealed_previous END
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (webhook_id, before, after)
WHERE w.webhook_id = u.webhook_id AND u.before IN (w.sealed, w.sealed_previous)
"""
SQL_RESEAL_CHANNELS = """
UPDATE channels c SET sealed = u.after FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (channel_id, before, after)
WHERE c.channel_id = u.channel_id AND c.sealed = u.before
"""
Sealed = tuple[str, str, str]
"""(what it is bound to, id, sealed)"""
Exchange = tuple[UUID, str, str]
"""(id, sealed before, sealed after)"""


async def company_keys(conn: Connection) -> list[Sealed]:
    """Companies' signing keys, as the riders service has told them."""
    return [(row[0], row[1], row[2]) for row in await conn.fetch(SQL_SEALED_KEYS)]


async def webhooks(conn: Connection) -> list[Sealed]:
    """Secrets of webhooks, former ones too."""
    return [(row[0], row[1], row[2]) for row in await conn.fetch(SQL_SEALED_WEBHOOKS)]


async def channels(conn: Connection, bound_to: str) -> list[Sealed]:
    """Addresses of channels, sealed as `bound_to`."""
    return [(row[0], row[1], row[2]) for row in await conn.fetch(SQL_SEALED_CHANNELS, bound_to)]


async def exchange_webhooks(conn: Connection, secrets: Sequence[Exchange]) -> None:
    """Exchange the seals of one secret of each webhook; a webhook stands in it once."""
    await conn.execute(SQL_RESEAL_WEBHOOKS, *map(list, zip(*secrets, strict=True)))


async def exchange_channels(conn: Connection, addresses: Sequence[Exchange]) -> None:
    """Exchange the seals of addresses."""
    await conn.execute(SQL_RESEAL_CHANNELS, *map(list, zip(*addresses, strict=True)))
