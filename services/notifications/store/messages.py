"""The inbox of riders, and the deliveries that follow from a message."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.notifications.domain import LANES, Message
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest

# One statement for the whole batch: what is new in the inbox also goes to those channels that want its topic.
SQL_DELIVER = f"""
WITH fresh AS (
    INSERT INTO messages ({columns(Message)})
    SELECT {columns(Message)} FROM {unnest(Message, first=3)}
    WHERE NOT EXISTS (SELECT FROM erased_riders e WHERE e.rider_id = n.rider_id)
    ON CONFLICT DO NOTHING
    RETURNING rider_id, message_id, topic, template, params
)
INSERT INTO deliveries (event_id, lane, target_id, rider_id, template, params, attempts_allowed, next_attempt_at,
                        created_at)
SELECT f.message_id, 'channel', c.channel_id, f.rider_id, f.template, f.params, $1, $2, $2
FROM fresh f JOIN channels c ON c.rider_id = f.rider_id
WHERE f.topic = ANY (c.topics) AND c.verified_at IS NOT NULL
ON CONFLICT (event_id, target_id) DO NOTHING
"""
SQL_INBOX_PAGE = Query(
    Message,
    f"""
SELECT {columns(Message)} FROM messages
WHERE rider_id = $1 AND ($2::uuid IS NULL OR message_id < $2)
ORDER BY message_id DESC LIMIT $3
""",
)
SQL_READER = """
SELECT (SELECT count(*) FROM (SELECT FROM messages WHERE rider_id = $1 AND read_at IS NULL LIMIT $2) m) AS unread,
       (SELECT language FROM preferences WHERE rider_id = $1) AS language,
       (SELECT locale FROM known_riders WHERE rider_id = $1) AS locale
"""
SQL_MARK_READ = """
UPDATE messages SET read_at = coalesce(read_at, now()) WHERE rider_id = $1 AND message_id = $2 RETURNING read_at
"""
SQL_MARK_ALL_READ = """
UPDATE messages SET read_at = now()
WHERE rider_id = $1 AND read_at IS NULL AND ($2::uuid IS NULL OR message_id <= $2)
"""
UNREAD_COUNTED_MAX = 1_000


async def deliver(conn: Connection, messages: Sequence[Message], *, attempts_allowed: int, now: datetime) -> int:
    """Put messages into inboxes and queue what riders want outside the app. Returns queued deliveries."""
    if not messages:
        return 0
    status = await conn.execute(SQL_DELIVER, attempts_allowed, now, *arrays(Message, messages))
    return int(status.rsplit(" ", 1)[1])


async def page(conn: Connection, rider_id: UUID, before: UUID | None, limit: int) -> list[Message]:
    """A rider's messages, newest first, below the cursor."""
    return await many(conn, SQL_INBOX_PAGE, rider_id, before, limit)


async def reader(conn: Connection, rider_id: UUID) -> tuple[int, str | None, str | None]:
    """Unread messages (counted up to 1,000), preferred language, company's locale."""
    row = await conn.fetchrow(SQL_READER, rider_id, UNREAD_COUNTED_MAX)
    assert row is not None, "a SELECT without FROM has one row"
    return row["unread"], row["language"], row["locale"]


async def mark_read(conn: Connection, rider_id: UUID, message_id: UUID) -> datetime | None:
    """When the message was first read; None where the rider has no such message."""
    read_at: datetime | None = await conn.fetchval(SQL_MARK_READ, rider_id, message_id)
    return read_at


async def mark_all_read(conn: Connection, rider_id: UUID, up_to: UUID | None) -> int:
    """Mark what is unread, not beyond `up_to`. Returns how many."""
    status = await conn.execute(SQL_MARK_ALL_READ, rider_id, up_to)
    return int(status.rsplit(" ", 1)[1])


async def tallies(conn: Connection) -> dict[str, int]:
    """Figures for the reconciliation: messages that are there, and deliveries by what became of them."""
    kept = await counters.kept(conn, "messages", "deliveries")
    waiting, sent, dead = (
        sum(kept.of("deliveries", f"{lane} {state}") for lane in LANES for state in states)
        for states in (("pending", "failed"), ("sent",), ("dead",))
    )
    return {
        "messages": kept.of("messages"),
        "deliveries_waiting": waiting,
        "deliveries_sent": sent,
        "deliveries_dead": dead,
    }
