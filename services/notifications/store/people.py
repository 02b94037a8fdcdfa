"""Riders and companies as other services tell them, and what riders have chosen."""

from collections.abc import Sequence
from datetime import datetime, time
from uuid import UUID

import asyncpg

from services.notifications.domain import Channel, Company, Language, Preferences, Rider, TopicGroup
from shared.kit.db import Connection

# The newest of a batch wins, and only over something older: events carry the whole state.
SQL_UPSERT_RIDERS = """
INSERT INTO riders (rider_id, company, locale, active, version)
SELECT DISTINCT ON (rider_id) rider_id, company, locale, active, version
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::bigint[])
    n (rider_id, company, locale, active, version)
ORDER BY rider_id, version DESC
ON CONFLICT (rider_id) DO UPDATE
SET company = excluded.company, locale = excluded.locale, active = excluded.active, version = excluded.version
WHERE riders.version < excluded.version
RETURNING rider_id, active
"""
SQL_ERASE_PREFERENCES = "DELETE FROM preferences WHERE rider_id = ANY ($1::uuid[])"
SQL_ERASE_MESSAGES = "DELETE FROM messages WHERE rider_id = ANY ($1::uuid[])"
# Who has left gets nothing more, and his addresses go: they are personal data without a purpose.
# Deliveries without a channel are never claimed; the sweeper removes them.
SQL_FORGET_ADDRESSES = "DELETE FROM channels WHERE rider_id = ANY ($1::uuid[])"
SQL_UPSERT_COMPANY = """
INSERT INTO companies (company_id, code, active, version) VALUES ($1, $2, $3, $4)
ON CONFLICT (company_id) DO UPDATE SET active = excluded.active, code = excluded.code, version = excluded.version
WHERE companies.version < excluded.version
RETURNING company_id
"""
SQL_DROP_KEYS = "DELETE FROM company_keys WHERE company_id = $1"
SQL_ADD_KEYS = """
INSERT INTO company_keys (company_id, position, key_id, sealed)
SELECT $1, k.position, k.key_id, k.sealed
FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY k (key_id, sealed, position)
"""
SQL_COMPANY_KEYS = """
SELECT k.key_id, k.sealed FROM companies c JOIN company_keys k USING (company_id)
WHERE c.code = $1 AND c.active ORDER BY k.position
"""
SQL_COMPANY_KNOWN = "SELECT EXISTS (SELECT FROM companies WHERE code = $1 AND active)"
SQL_PREFERENCES = "SELECT language, quiet_from, quiet_until, version FROM preferences WHERE rider_id = $1"
SQL_CHANNELS = """
SELECT channel_id, kind, sealed, hint, topics, language, area FROM channels
WHERE rider_id = $1 ORDER BY created_at, channel_id
"""
SQL_ADD_PREFERENCES = """
INSERT INTO preferences (rider_id, language, quiet_from, quiet_until, version) VALUES ($1, $2, $3, $4, 1)
ON CONFLICT DO NOTHING RETURNING version
"""
SQL_SET_PREFERENCES = """
UPDATE preferences SET language = $2, quiet_from = $3, quiet_until = $4, version = version + 1
WHERE rider_id = $1 AND version = $5 RETURNING version
"""
SQL_DROP_CHANNELS = "DELETE FROM channels WHERE rider_id = $1 AND channel_id <> ALL ($2::uuid[])"
SQL_PUT_CHANNEL = """
INSERT INTO channels (channel_id, rider_id, area, kind, sealed, hint, topics, language, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (channel_id) DO UPDATE SET topics = excluded.topics, sealed = excluded.sealed, hint = excluded.hint
"""
SQL_OPERATOR_CHANNELS = """
SELECT channel_id, kind, sealed, hint, topics, language, area FROM channels
WHERE area IS NOT NULL ORDER BY area, channel_id
"""
SQL_DROP_OPERATOR_CHANNEL = "DELETE FROM channels WHERE channel_id = $1 AND area IS NOT NULL RETURNING channel_id"


async def upsert_riders(conn: Connection, riders: Sequence[Rider]) -> list[UUID]:
    """Take over riders' newest states. Returns those who have become inactive."""
    rows = await conn.fetch(
        SQL_UPSERT_RIDERS,
        [r.rider_id for r in riders],
        [r.company for r in riders],
        [r.locale for r in riders],
        [r.active for r in riders],
        [r.version for r in riders],
    )
    return [row["rider_id"] for row in rows if not row["active"]]


async def erase(conn: Connection, riders: Sequence[UUID]) -> None:
    """Remove riders' messages and choices."""
    await conn.execute(SQL_ERASE_PREFERENCES, list(riders))
    await conn.execute(SQL_ERASE_MESSAGES, list(riders))


async def forget_addresses(conn: Connection, riders: Sequence[UUID]) -> None:
    """Remove riders' channels; what was still to go there never leaves."""
    await conn.execute(SQL_FORGET_ADDRESSES, list(riders))


async def upsert_company(conn: Connection, company: Company) -> bool:
    """Take over a company and its keys. False: something newer is known already."""
    fresh = await conn.fetchval(SQL_UPSERT_COMPANY, company.company_id, company.code, company.active, company.version)
    if fresh is None:
        return False
    await conn.execute(SQL_DROP_KEYS, company.company_id)
    await conn.execute(SQL_ADD_KEYS, company.company_id, [k for k, _ in company.keys], [s for _, s in company.keys])
    return True


async def company_keys(conn: Connection, code: str) -> list[tuple[UUID, str]]:
    """The active sealed keys of an active company, newest first; [] for any other."""
    return [(row["key_id"], row["sealed"]) for row in await conn.fetch(SQL_COMPANY_KEYS, code)]


async def company_known(conn: Connection, code: str) -> bool:
    """Whether the company exists and is active."""
    known: bool = await conn.fetchval(SQL_COMPANY_KNOWN, code)
    return known


async def preferences(conn: Connection, rider_id: UUID) -> Preferences:
    """What the rider has chosen, or the defaults as version 0."""
    row = await conn.fetchrow(SQL_PREFERENCES, rider_id)
    channels = tuple(_channel(one) for one in await conn.fetch(SQL_CHANNELS, rider_id))
    if row is None:
        return Preferences(None, None, channels, 0)
    quiet = (row["quiet_from"], row["quiet_until"]) if row["quiet_from"] is not None else None
    return Preferences(row["language"], quiet, channels, row["version"])


async def put_preferences(
    conn: Connection, rider_id: UUID, language: Language | None, quiet: tuple[time, time] | None, version: int
) -> int | None:
    """Save over the version that was read. The new version, or None where somebody else was quicker."""
    begin, end = quiet or (None, None)
    if version == 0:
        saved: int | None = await conn.fetchval(SQL_ADD_PREFERENCES, rider_id, language, begin, end)
    else:
        saved = await conn.fetchval(SQL_SET_PREFERENCES, rider_id, language, begin, end, version)
    return saved


async def drop_channels_except(conn: Connection, rider_id: UUID, kept: Sequence[UUID]) -> None:
    """Remove a rider's other channels; what was still to go there never leaves."""
    await conn.execute(SQL_DROP_CHANNELS, rider_id, list(kept))


async def put_channel(conn: Connection, channel: Channel, rider_id: UUID | None, now: datetime) -> None:
    """Add a channel or change its topics and address. `rider_id` None: an operator's, for `channel.area`."""
    await conn.execute(
        SQL_PUT_CHANNEL,
        channel.channel_id, rider_id, channel.area, channel.kind, channel.sealed, channel.hint, list(channel.topics),
        channel.language, now,
    )  # fmt: skip


async def operator_channels(conn: Connection) -> list[Channel]:
    """All operators' channels."""
    return [_channel(row) for row in await conn.fetch(SQL_OPERATOR_CHANNELS)]


async def drop_operator_channel(conn: Connection, channel_id: UUID) -> bool:
    """Remove one. False: there is none."""
    return await conn.fetchval(SQL_DROP_OPERATOR_CHANNEL, channel_id) is not None


def _channel(row: asyncpg.Record) -> Channel:
    topics: tuple[TopicGroup, ...] = tuple(row["topics"])
    return Channel(row["channel_id"], row["kind"], row["sealed"], row["hint"], topics, row["language"], row["area"])
