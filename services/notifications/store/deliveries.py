"""Deliveries: queued, claimed by one of several processes, settled, and what an operator sees of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from services.notifications.domain import (
    Attempt,
    Channel,
    ChannelParcel,
    Claim,
    Delivery,
    DeliveryState,
    Outcome,
    Settlement,
    choose_language,
)
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, row_to, unnest


@dataclass(slots=True, eq=False)
class ToWebhook:
    """An event as a company's webhook gets it."""

    event_id: UUID
    target_id: UUID
    template: str
    params: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class ToAreas:
    """A message for the channels of areas: the codes of all that have the grid, parted by spaces."""

    event_id: UUID
    areas: str
    template: str
    params: Mapping[str, Any]


BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
SQL_QUEUE_WEBHOOKS = f"""
INSERT INTO deliveries (event_id, lane, target_id, template, params, attempts_allowed, next_attempt_at, created_at)
SELECT n.event_id, 'webhook', n.target_id, n.template, n.params, $1, $2, $2 FROM {unnest(ToWebhook, first=3)}
ON CONFLICT (event_id, target_id) DO NOTHING
"""
SQL_QUEUE_EMERGENCIES = f"""
INSERT INTO deliveries (event_id, lane, target_id, template, params, attempts_allowed, next_attempt_at, created_at)
SELECT n.event_id, 'channel', c.channel_id, n.template, n.params, $1, $2, $2 FROM {unnest(ToAreas, first=3)}
JOIN channels c ON c.area = ANY (string_to_array(n.areas, ' ')) AND 'emergency' = ANY (c.topics)
ON CONFLICT (event_id, target_id) DO NOTHING
"""
# Fair between companies: of each as many as it has room for, of those without a room of their own as many as $3; a
# failing webhook is probed with one delivery.
SQL_CLAIM_WEBHOOKS = Query(
    Delivery,
    f"""
WITH due AS (
    SELECT d.delivery_id FROM webhooks w
    LEFT JOIN unnest($5::uuid[], $6::integer[]) r (webhook_id, room) ON r.webhook_id = w.webhook_id
    CROSS JOIN LATERAL (
        SELECT delivery_id, next_attempt_at FROM deliveries
        WHERE target_id = w.webhook_id AND state IN ('pending', 'failed') AND next_attempt_at <= $1
        ORDER BY next_attempt_at
        LIMIT least(coalesce(r.room, $3::integer), CASE WHEN w.failures > 0 THEN 1 END)
        FOR UPDATE SKIP LOCKED
    ) d
    WHERE w.active AND w.paused_until <= $1 AND coalesce(r.room, $3::integer) > 0
    ORDER BY d.next_attempt_at LIMIT $2
)
UPDATE deliveries d SET attempts = attempts + 1, next_attempt_at = $4 FROM due
WHERE d.delivery_id = due.delivery_id
RETURNING {columns(Delivery, "d")}
""",
)
SQL_PAUSE_WHILE_PROBED = """
UPDATE webhooks SET paused_until = $2 WHERE webhook_id = ANY ($1::uuid[]) AND failures > 0
"""
# To an address that nobody has shown to be theirs goes a code, and nothing else.
SQL_DUE_CHANNELS = f"""
SELECT {columns(Delivery, "d")}, d.has_slot,
       c.kind, c.sealed, c.hint, c.topics, c.language AS channel_language, c.area,
       c.verified_at IS NOT NULL AS verified, p.language, p.quiet_from, p.quiet_until, r.locale
FROM deliveries d
JOIN channels c ON c.channel_id = d.target_id
LEFT JOIN preferences p ON p.rider_id = c.rider_id
LEFT JOIN known_riders r ON r.rider_id = c.rider_id
WHERE d.lane = 'channel' AND d.state IN ('pending', 'failed') AND d.next_attempt_at <= $1
    AND (c.verified_at IS NULL) = (d.template = 'address_code')
ORDER BY d.next_attempt_at LIMIT $2
FOR UPDATE OF d SKIP LOCKED
"""
# Reserves n places in each channel's row of time; returns the first one.
SQL_RESERVE_SLOTS = """
WITH wanted AS (
    SELECT c.channel_id, n.places, n.step FROM channels c
    JOIN unnest($1::uuid[], $2::integer[], $3::interval[]) n (channel_id, places, step) USING (channel_id)
    ORDER BY c.channel_id FOR UPDATE OF c
)
UPDATE channels c SET next_slot_at = greatest(c.next_slot_at, $4) + w.places * w.step FROM wanted w
WHERE c.channel_id = w.channel_id
RETURNING c.channel_id, c.next_slot_at - w.places * w.step AS first_at
"""
SQL_CLAIM = f"""
UPDATE deliveries d SET attempts = d.attempts + n.attempt, next_attempt_at = n.at, has_slot = n.has_slot
FROM {unnest(Claim)}
WHERE d.delivery_id = n.delivery_id
"""
# A late answer of a process whose claim has expired counts only when it is good news.
SQL_SETTLE = """
UPDATE deliveries SET state = $3, next_attempt_at = $4, reason = $5, has_slot = false,
    finished_at = CASE WHEN $3 IN ('sent', 'dead') THEN $6::timestamptz END
WHERE delivery_id = $1 AND state IN ('pending', 'failed') AND (attempts = $2 OR $3 = 'sent')
RETURNING delivery_id
"""
# The attempt that the claim counted was none.
SQL_PUT_BACK = """
UPDATE deliveries SET attempts = attempts - 1, next_attempt_at = $3
WHERE delivery_id = $1 AND state IN ('pending', 'failed') AND attempts = $2
"""
SQL_RECORD_ATTEMPT = """
INSERT INTO delivery_attempts (delivery_id, attempt, at, outcome, status, duration_ms, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""
# Of each lane its oldest, by the index that also serves the gauges.
SQL_DELIVERIES = Query(
    Delivery,
    f"""
SELECT {columns(Delivery)}
FROM unnest('{{webhook,channel}}'::text[]) AS l (one) CROSS JOIN LATERAL (
    SELECT * FROM deliveries
    WHERE lane = l.one AND state = $1
        AND (created_at, delivery_id) > (coalesce($2::timestamptz, '-infinity'), $3::uuid)
    ORDER BY created_at, delivery_id LIMIT $4
) d
ORDER BY created_at, delivery_id LIMIT $4
""",
)
SQL_ATTEMPTS = """
SELECT delivery_id, attempt, at, outcome, status, duration_ms, detail FROM delivery_attempts
WHERE delivery_id = ANY ($1::uuid[]) ORDER BY delivery_id, attempt
"""
SQL_RETRY = """
UPDATE deliveries SET state = 'failed', attempts_allowed = attempts + $3, next_attempt_at = $2, created_at = $2,
    finished_at = NULL
WHERE delivery_id = ANY ($1::uuid[]) AND state = 'dead' RETURNING delivery_id, target_id
"""
SQL_RETRY_TARGET = """
UPDATE deliveries SET state = 'failed', attempts_allowed = attempts + $4, next_attempt_at = $2, created_at = $2,
    finished_at = NULL
WHERE delivery_id IN (
    SELECT delivery_id FROM deliveries WHERE target_id = $1 AND state = 'dead' ORDER BY created_at, delivery_id LIMIT $3
    FOR UPDATE SKIP LOCKED
)
"""
SQL_DROP = "DELETE FROM deliveries WHERE delivery_id = $1"
SQL_STATE = "SELECT state FROM deliveries WHERE delivery_id = $1"
# Rows are found in arrays: a plan that reads the whole table for a share is none then, whatever the planner guesses.
# By the sweeper and not by who switches a webhook off: whoever holds a delivery may wait for the webhook's row, never
# the other way round.
SQL_GIVE_UP_SWITCHED_OFF = """
UPDATE deliveries SET state = 'dead', reason = 'the webhook is switched off', finished_at = now()
WHERE delivery_id = ANY(ARRAY(
    SELECT d.delivery_id FROM webhooks w CROSS JOIN LATERAL (
        SELECT delivery_id FROM deliveries
        WHERE target_id = w.webhook_id AND state IN ('pending', 'failed')
        ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ) d WHERE NOT w.active LIMIT $1
))
"""
# By the database's clock: a replica whose own is ahead must not give up what has time. Of each lane and state its
# oldest, by the index that also serves the gauges: nobody looks through what has time.
SQL_EXPIRE = """
UPDATE deliveries
SET state = 'dead', finished_at = now(), reason = 'not deliverable in time; ' || coalesce(reason, 'never tried')
WHERE delivery_id = ANY(ARRAY(
    SELECT d.delivery_id
    FROM unnest('{webhook,channel}'::text[]) AS l (one), unnest('{pending,failed}'::text[]) AS s (one)
    CROSS JOIN LATERAL (
        SELECT delivery_id FROM deliveries
        WHERE lane = l.one AND state = s.one AND created_at < now() - $1::interval
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) d LIMIT $2
))
"""
# One page of what waits for channels, by the same index, and where it ends: which of it is an orphan only a look says.
SQL_DROP_ORPHANS = """
WITH page AS MATERIALIZED (
    SELECT delivery_id, created_at FROM deliveries
    WHERE lane = 'channel' AND state = $1 AND (created_at, delivery_id) > ($2, $3)
    ORDER BY created_at, delivery_id LIMIT $4
), gone AS (
    DELETE FROM deliveries WHERE delivery_id = ANY(ARRAY(
        SELECT d.delivery_id FROM deliveries d
        WHERE d.delivery_id = ANY(ARRAY(SELECT delivery_id FROM page))
            AND d.state IN ('pending', 'failed') AND NOT EXISTS (
                SELECT FROM channels c
                WHERE c.channel_id = d.target_id AND (c.verified_at IS NULL) = (d.template = 'address_code')
            ) FOR UPDATE OF d SKIP LOCKED
    ))
)
SELECT created_at, delivery_id FROM page ORDER BY created_at DESC, delivery_id DESC LIMIT 1
"""
# Numbers as they are kept, and one row of each for its age: what is dead stays for a month.
SQL_OPEN_FIGURES = """
SELECT l.one AS lane, s.one AS state,
    (SELECT coalesce(sum(n), 0)::bigint FROM counters
     WHERE what = 'deliveries' AND label = l.one || ' ' || s.one) AS n,
    coalesce(extract(epoch FROM now() - (
        SELECT d.created_at FROM deliveries d WHERE d.lane = l.one AND d.state = s.one
        ORDER BY d.created_at LIMIT 1))::float8, 0) AS age_s
FROM unnest('{webhook,channel}'::text[]) AS l (one), unnest('{pending,failed,dead}'::text[]) AS s (one)
"""


async def queue_webhooks(conn: Connection, rows: Sequence[ToWebhook], *, attempts_allowed: int, now: datetime) -> None:
    """Queue bodies; the same event is queued once a webhook."""
    if rows:
        await conn.execute(SQL_QUEUE_WEBHOOKS, attempts_allowed, now, *arrays(ToWebhook, rows))


async def queue_emergencies(conn: Connection, rows: Sequence[ToAreas], *, attempts_allowed: int, now: datetime) -> None:
    """Queue messages for areas' channels."""
    if rows:
        await conn.execute(SQL_QUEUE_EMERGENCIES, attempts_allowed, now, *arrays(ToAreas, rows))


async def claim_webhooks(
    conn: Connection, *, now: datetime, lease: timedelta, most: int, each: int, rooms: Mapping[UUID, int]
) -> list[Delivery]:
    """Take due deliveries for this process; each counts as an attempt. Unsettled claims end with the lease.

    At most as many of a webhook as it has room for: `rooms`, or `each` where it isn't in there.
    """
    room = list(rooms), list(rooms.values())
    claimed = await many(conn, SQL_CLAIM_WEBHOOKS, now, most, each, now + lease, *room)
    if claimed:
        targets = sorted({delivery.target_id for delivery in claimed})
        await conn.execute(SQL_PAUSE_WHILE_PROBED, targets, now + lease)
    return claimed


async def due_channels(conn: Connection, now: datetime, most: int) -> list[ChannelParcel]:
    """Due deliveries to channels, locked; the caller decides which of them leave now."""
    return [_parcel(row) for row in await conn.fetch(SQL_DUE_CHANNELS, now, most)]


async def reserve_slots(
    conn: Connection, wanted: Sequence[tuple[UUID, int, timedelta]], now: datetime
) -> dict[UUID, datetime]:
    """For (channel, places, interval): the instant of each channel's first reserved place."""
    if not wanted:
        return {}
    rows = await conn.fetch(SQL_RESERVE_SLOTS, *map(list, zip(*wanted, strict=True)), now)
    return {row["channel_id"]: row["first_at"] for row in rows}


async def claim(conn: Connection, claims: Sequence[Claim]) -> None:
    """Write down what was decided about due deliveries."""
    if claims:
        await conn.execute(SQL_CLAIM, *arrays(Claim, claims))


async def settle(conn: Connection, delivery: Delivery, result: Settlement, outcome: Outcome, now: datetime) -> bool:
    """Record an attempt and its consequence. False: the claim had expired and somebody else has the delivery."""
    word = "sent" if outcome.ok else "refused" if outcome.permanent or outcome.gone else "retry"
    await conn.execute(
        SQL_RECORD_ATTEMPT,
        delivery.delivery_id, delivery.attempts, now, word, outcome.status, outcome.duration_ms, outcome.detail,
    )  # fmt: skip
    settled = await conn.fetchval(
        SQL_SETTLE, delivery.delivery_id, delivery.attempts, result.state, result.next_attempt_at, result.reason, now
    )
    return settled is not None


async def put_back(conn: Connection, delivery: Delivery, at: datetime) -> None:
    """Undo the claim of a delivery that wasn't tried; it is due at `at`. Nothing where the claim had expired."""
    await conn.execute(SQL_PUT_BACK, delivery.delivery_id, delivery.attempts, at)


async def listed(
    conn: Connection, state: DeliveryState, after: tuple[datetime, UUID] | None, limit: int
) -> list[Delivery]:
    """Deliveries of one state, oldest first, beyond the cursor."""
    at, delivery_id = after or (None, UUID(int=0))
    return await many(conn, SQL_DELIVERIES, state, at, delivery_id, limit)


async def attempts(conn: Connection, delivery_ids: Sequence[UUID]) -> dict[UUID, list[Attempt]]:
    """The recorded attempts of each delivery, in order."""
    found: dict[UUID, list[Attempt]] = {one: [] for one in delivery_ids}
    for row in await conn.fetch(SQL_ATTEMPTS, list(delivery_ids)):
        values = dict(row)
        found[values.pop("delivery_id")].append(Attempt(**values))
    return found


async def retry(conn: Connection, delivery_ids: Sequence[UUID], now: datetime, attempts_more: int) -> list[UUID]:
    """Take dead deliveries up again with new attempts. Returns those that were dead."""
    rows = await conn.fetch(SQL_RETRY, list(delivery_ids), now, attempts_more)
    return [row["delivery_id"] for row in rows]


async def retry_target(conn: Connection, target_id: UUID, now: datetime, attempts_more: int, most: int) -> int:
    """The same for a target's oldest dead deliveries. Returns how many."""
    return _number(await conn.execute(SQL_RETRY_TARGET, target_id, now, most, attempts_more))


async def drop(conn: Connection, delivery_id: UUID) -> None:
    """Remove a delivery that nobody asks for again."""
    await conn.execute(SQL_DROP, delivery_id)


async def state(conn: Connection, delivery_id: UUID) -> DeliveryState | None:
    """The delivery's state, None: there is none."""
    found: DeliveryState | None = await conn.fetchval(SQL_STATE, delivery_id)
    return found


async def give_up_switched_off(conn: Connection, limit: int) -> int:
    """Give up what waits for webhooks that are switched off; how many."""
    return _number(await conn.execute(SQL_GIVE_UP_SWITCHED_OFF, limit))


async def give_up_old(conn: Connection, open_age: timedelta, limit: int) -> int:
    """Give up what has waited for too long, the oldest first; how many."""
    return _number(await conn.execute(SQL_EXPIRE, open_age, limit))


async def drop_orphans(
    conn: Connection, state: DeliveryState, after: tuple[datetime, UUID] | None, limit: int
) -> tuple[datetime, UUID] | None:
    """Drop what lost its channel, or may not go there: a code once it is verified.

    Looks at a page of those that wait in one state, the oldest first, beyond the cursor; returns the next one, None
    where nothing was left to look at.
    """
    at, delivery_id = after or (BEFORE_ALL, UUID(int=0))
    row = await conn.fetchrow(SQL_DROP_ORPHANS, state, at, delivery_id, limit)
    return None if row is None else (row["created_at"], row["delivery_id"])


def _number(status: str) -> int:
    return int(status.rsplit(" ", 1)[1])


async def figures(conn: Connection) -> list[tuple[str, str, int, float]]:
    """(lane, state, number, age of the oldest in seconds) of all that isn't sent."""
    return [(r["lane"], r["state"], r["n"], r["age_s"]) for r in await conn.fetch(SQL_OPEN_FIGURES)]


_delivery = row_to(Delivery)


def _parcel(row: asyncpg.Record) -> ChannelParcel:
    channel = Channel(
        channel_id=row["target_id"], kind=row["kind"], sealed=row["sealed"], hint=row["hint"],
        topics=tuple(row["topics"]), language=row["channel_language"], area=row["area"], verified=row["verified"],
    )  # fmt: skip
    quiet = (row["quiet_from"], row["quiet_until"]) if row["quiet_from"] is not None else None
    language = choose_language(row["channel_language"] or row["language"], row["locale"])
    return ChannelParcel(_delivery(row), channel, language, quiet, row["has_slot"])
