"""Hours of offers that are agreed on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.rewards.domain import Slot
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest


@dataclass(frozen=True, slots=True)
class NewSlot:
    """An hour that is put up."""

    id: UUID
    starts_at: datetime
    ends_at: datetime
    capacity: int


# Of an offer that isn't by appointment, or with an hour that begins at the same time, fewer rows come back
SQL_ADD_SLOTS = f"""
INSERT INTO slots (id, offer_id, starts_at, ends_at, capacity)
SELECT n.id, o.id, n.starts_at, n.ends_at, n.capacity
FROM offers o, {unnest(NewSlot, "n", first=2)} WHERE o.id = $1 AND o.by_appointment
ON CONFLICT (offer_id, starts_at) DO NOTHING RETURNING id
"""
SQL_SLOTS = Query(
    Slot,
    f"""
SELECT {columns(Slot)} FROM slots WHERE offer_id = $1 AND id > $2 AND ends_at > now() ORDER BY id LIMIT $3
""",
)
# Read under the offers' locks: nobody else gives places away meanwhile
SQL_SLOTS_BY_ID = Query(Slot, f"SELECT {columns(Slot)} FROM slots WHERE id = ANY($1::uuid[])")


async def add(conn: Connection, offer_id: UUID, new: Sequence[NewSlot]) -> bool:
    """Put hours up; False: the offer isn't by appointment, or has an hour that begins then. Roll back after it."""
    return len(await conn.fetch(SQL_ADD_SLOTS, offer_id, *arrays(NewSlot, new))) == len(new)


async def slots(conn: Connection, offer_id: UUID, after: UUID, limit: int) -> list[Slot]:
    """A page of an offer's hours that are not over, in the order of their ids."""
    return await many(conn, SQL_SLOTS, offer_id, after, limit)


async def by_id(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Slot]:
    """Hours by id."""
    return {slot.id: slot for slot in await many(conn, SQL_SLOTS_BY_ID, list(ids))} if ids else {}
