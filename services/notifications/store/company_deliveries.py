"""What a company sees of its own webhook's deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.notifications.domain import DeliveryState
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many


@dataclass(frozen=True, slots=True)
class CompanyDelivery:
    """A delivery with what it brings."""

    delivery_id: UUID
    params: Mapping[str, Any]
    state: DeliveryState
    reason: str | None
    next_attempt_at: datetime
    created_at: datetime
    finished_at: datetime | None


SQL_OF_WEBHOOK = Query(
    CompanyDelivery,
    f"""
SELECT {columns(CompanyDelivery)} FROM deliveries
WHERE lane = 'webhook' AND target_id = $1 AND state = $2
    AND (created_at, delivery_id) > (coalesce($3::timestamptz, '-infinity'), $4::uuid)
ORDER BY created_at, delivery_id LIMIT $5
""",
)
# Of the same age as a new one: what is old would be given up at once.
SQL_SEND_AGAIN = """
UPDATE deliveries SET state = 'failed', attempts_allowed = attempts + $4, next_attempt_at = $3, created_at = $3,
    finished_at = NULL
WHERE delivery_id = $1 AND target_id = $2 AND state IN ('dead', 'sent') RETURNING delivery_id
"""
SQL_STATE_OF = "SELECT state FROM deliveries WHERE delivery_id = $1 AND target_id = $2"


async def listed(
    conn: Connection, webhook_id: UUID, state: DeliveryState, after: tuple[datetime, UUID] | None, limit: int
) -> list[CompanyDelivery]:
    """A webhook's deliveries of one state, oldest first, beyond the cursor."""
    at, delivery_id = after or (None, UUID(int=0))
    return await many(conn, SQL_OF_WEBHOOK, webhook_id, state, at, delivery_id, limit)


async def send_again(conn: Connection, delivery_id: UUID, webhook_id: UUID, now: datetime, attempts_more: int) -> bool:
    """Take a delivery up again that is dead or was taken. False: it is neither, or not this webhook's."""
    return await conn.fetchval(SQL_SEND_AGAIN, delivery_id, webhook_id, now, attempts_more) is not None


async def state_of(conn: Connection, delivery_id: UUID, webhook_id: UUID) -> DeliveryState | None:
    """The state of a webhook's delivery; None: it has no such."""
    found: DeliveryState | None = await conn.fetchval(SQL_STATE_OF, delivery_id, webhook_id)
    return found
