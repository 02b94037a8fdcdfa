"""Everything that this service keeps sealed, for a change of the sealing key."""

from collections.abc import Sequence
from uuid import UUID

from shared.kit.auth.resealing import Sealed, uuid_after
from shared.kit.postgres.db import Connection

SQL_SEALED_WEBHOOKS = """
WITH page AS (
    SELECT webhook_id, company, sealed, sealed_previous FROM webhooks WHERE webhook_id > $1 ORDER BY webhook_id LIMIT $2
)
SELECT webhook_id::text AS place, company AS bound_to, webhook_id::text AS key_id, sealed AS secret FROM page
UNION ALL
SELECT webhook_id::text, company, webhook_id::text, sealed_previous FROM page WHERE sealed_previous IS NOT NULL
ORDER BY 1
"""
SQL_SEALED_CHANNELS = """
SELECT channel_id::text AS place, $3::text AS bound_to, channel_id::text AS key_id, sealed AS secret FROM channels
WHERE channel_id > $1 ORDER BY channel_id LIMIT $2
"""
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
Exchange = tuple[UUID, str, str]
"""(id, sealed before, sealed after)"""


async def webhooks(conn: Connection, after: str, most: int) -> list[Sealed]:
    """Secrets of webhooks, former ones too."""
    return [Sealed(**row) for row in await conn.fetch(SQL_SEALED_WEBHOOKS, uuid_after(after), most)]


async def channels(bound_to: str, conn: Connection, after: str, most: int) -> list[Sealed]:
    """Addresses of channels, sealed as `bound_to`."""
    return [Sealed(**row) for row in await conn.fetch(SQL_SEALED_CHANNELS, uuid_after(after), most, bound_to)]


async def exchange_webhooks(conn: Connection, secrets: Sequence[Exchange]) -> None:
    """Exchange the seals of one secret of each webhook; a webhook stands in it once."""
    await conn.execute(SQL_RESEAL_WEBHOOKS, *map(list, zip(*secrets, strict=True)))


async def exchange_channels(conn: Connection, addresses: Sequence[Exchange]) -> None:
    """Exchange the seals of addresses."""
    await conn.execute(SQL_RESEAL_CHANNELS, *map(list, zip(*addresses, strict=True)))
