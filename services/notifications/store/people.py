"""What riders have chosen, and the ways to them and to operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID

import asyncpg

from services.notifications.domain import Channel, ChannelKind, Language, Preferences, TopicGroup
from services.notifications.store.reporters import SQL_ERASE_REPORTERS
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import arrays, unnest
from shared.kit.privacy.erasure import Leaver


@dataclass(slots=True, eq=False)
class NewChannel:
    """A channel as it is entered; `topics` parted by commas."""

    channel_id: UUID
    rider_id: UUID | None
    area: str | None
    kind: ChannelKind
    sealed: str
    hint: str
    topics: str
    language: Language | None
    created_at: datetime
    verified: bool


SQL_ERASE_PREFERENCES = "DELETE FROM preferences WHERE rider_id = ANY ($1::uuid[])"
SQL_ERASE_MESSAGES = "DELETE FROM messages WHERE rider_id = ANY ($1::uuid[])"
SQL_ERASE_DELIVERIES = "DELETE FROM deliveries WHERE rider_id = ANY ($1::uuid[])"
# Who has left gets nothing more, and their addresses go: they are personal data without a purpose.
# Deliveries without a channel are never claimed; the sweeper removes them.
SQL_FORGET_ADDRESSES = "DELETE FROM channels WHERE rider_id = ANY ($1::uuid[])"
SQL_FORGET_CODE_LIMITS = "DELETE FROM code_limits WHERE subject = ANY ($1::uuid[]::text[])"
SQL_PREFERENCES = "SELECT language, quiet_from, quiet_until, version FROM preferences WHERE rider_id = $1"
SQL_CHANNELS = """
SELECT channel_id, kind, sealed, hint, topics, language, area, verified_at IS NOT NULL AS verified FROM channels
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
SQL_PUT_CHANNEL = f"""
INSERT INTO channels (channel_id, rider_id, area, kind, sealed, hint, topics, language, created_at, verified_at)
SELECT channel_id, rider_id, area, kind, sealed, hint, string_to_array(topics, ','), language, created_at,
       CASE WHEN verified THEN now() END
FROM {unnest(NewChannel)}
ON CONFLICT (channel_id) DO UPDATE SET topics = excluded.topics
"""
SQL_OPERATOR_CHANNELS = """
SELECT channel_id, kind, sealed, hint, topics, language, area, verified_at IS NOT NULL AS verified FROM channels
WHERE area IS NOT NULL AND channel_id > $1 ORDER BY channel_id LIMIT $2
"""
SQL_OPERATOR_CHANNEL_AREA = "SELECT area FROM channels WHERE channel_id = $1 AND area IS NOT NULL"
SQL_CHANNELS_AT = "SELECT area, count(*) AS n FROM channels WHERE area = ANY ($1::text[]) GROUP BY area"
SQL_SUCCEEDED_CHANNELS = """
SELECT c.channel_id, c.kind, c.sealed, c.hint, c.topics, c.language, c.area, c.verified_at IS NOT NULL AS verified,
       k.successors
FROM known_areas k JOIN channels c ON c.area = k.code WHERE k.successors <> '{}'
ORDER BY c.channel_id LIMIT $1 FOR UPDATE OF c SKIP LOCKED
"""
SQL_MOVE_CHANNEL = "UPDATE channels SET area = $2 WHERE channel_id = $1"
SQL_DROP_OPERATOR_CHANNEL = "DELETE FROM channels WHERE channel_id = $1 AND area IS NOT NULL RETURNING channel_id"


async def forget(conn: Connection, leavers: Sequence[Leaver]) -> None:
    """Remove riders' addresses and codes, choices and messages, and what was sent to their addresses."""
    riders = [one.rider_id for one in leavers]
    for statement in (
        SQL_FORGET_ADDRESSES, SQL_ERASE_PREFERENCES, SQL_ERASE_MESSAGES, SQL_ERASE_DELIVERIES, SQL_ERASE_REPORTERS,
        SQL_FORGET_CODE_LIMITS,
    ):  # fmt: skip
        await conn.execute(statement, riders)


async def forget_addresses(conn: Connection, riders: Sequence[UUID]) -> None:
    """Remove riders' channels; what was still to go there never leaves."""
    await conn.execute(SQL_FORGET_ADDRESSES, list(riders))


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
    """Add a channel or change its topics. `rider_id` None: an operator's, for `channel.area`."""
    new = NewChannel(
        channel_id=channel.channel_id, rider_id=rider_id, area=channel.area, kind=channel.kind, sealed=channel.sealed,
        hint=channel.hint, topics=",".join(channel.topics), language=channel.language, created_at=now,
        verified=channel.verified,
    )  # fmt: skip
    await conn.execute(SQL_PUT_CHANNEL, *arrays(NewChannel, [new]))


async def operator_channels(conn: Connection, after: UUID, limit: int) -> list[Channel]:
    """The next operators' channels after an id, by id."""
    return [_channel(row) for row in await conn.fetch(SQL_OPERATOR_CHANNELS, after, limit)]


async def area_of_channel(conn: Connection, channel_id: UUID) -> str | None:
    """The area of an operators' channel; None: there is none."""
    area: str | None = await conn.fetchval(SQL_OPERATOR_CHANNEL_AREA, channel_id)
    return area


async def channels_at(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """How many operators' channels each of these areas has, as far as it has any."""
    return {row["area"]: row["n"] for row in await conn.fetch(SQL_CHANNELS_AT, list(codes))}


async def succeeded_channels(conn: Connection, most: int) -> list[tuple[Channel, tuple[str, ...]]]:
    """Operators' channels of areas that vanished, locked, each with the areas that took over."""
    rows = await conn.fetch(SQL_SUCCEEDED_CHANNELS, most)
    return [(_channel(row), tuple(row["successors"])) for row in rows]


async def move_channel(conn: Connection, channel_id: UUID, area: str) -> None:
    """Let a channel be another area's; what is still to go there goes."""
    await conn.execute(SQL_MOVE_CHANNEL, channel_id, area)


async def drop_operator_channel(conn: Connection, channel_id: UUID) -> bool:
    """Remove one. False: there is none."""
    return await conn.fetchval(SQL_DROP_OPERATOR_CHANNEL, channel_id) is not None


def _channel(row: asyncpg.Record) -> Channel:
    topics: tuple[TopicGroup, ...] = tuple(row["topics"])
    return Channel(
        channel_id=row["channel_id"], kind=row["kind"], sealed=row["sealed"], hint=row["hint"], topics=topics,
        language=row["language"], area=row["area"], verified=row["verified"],
    )  # fmt: skip
