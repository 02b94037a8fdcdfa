"""What riders say of vouchers, and what they are answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, many, one


@dataclass(frozen=True, slots=True)
class Complaint:
    """A rider's words about a voucher of theirs, and what became of them."""

    id: UUID
    redemption_id: UUID
    words: str
    state: Literal["open", "refused", "refunded"]
    answer: str | None
    filed_at: datetime
    answered_at: datetime | None


# Only of what stays: what came to nothing leaves after a month, and cost nothing
SQL_FILE = Query(
    Complaint,
    f"""
INSERT INTO complaints (id, redemption_id, rider_id, words, state, filed_at)
SELECT $1, r.id, r.rider_id, $4, 'open', now() FROM redemptions r
WHERE r.id = $2 AND r.rider_id = $3 AND r.state IN ('used', 'expired', 'undone')
ON CONFLICT DO NOTHING RETURNING {columns(Complaint)}
""",
)
SQL_OPEN = Query(
    Complaint,
    f"SELECT {columns(Complaint)} FROM complaints WHERE id > $1 AND state = 'open' ORDER BY id LIMIT $2",
)
SQL_OF_RIDER = Query(
    Complaint,
    f"SELECT {columns(Complaint)} FROM complaints WHERE id > $1 AND rider_id = $3 ORDER BY id LIMIT $2",
)
SQL_LOCK = Query(Complaint, f"SELECT {columns(Complaint)} FROM complaints WHERE id = $1 FOR UPDATE")
SQL_ANSWER = Query(
    Complaint,
    f"""
UPDATE complaints SET state = $2, answer = $3, answered_at = now(), answered_by = $4
WHERE id = $1 AND state = 'open' RETURNING {columns(Complaint)}
""",
)
SQL_FORGET = "UPDATE complaints SET words = '' WHERE rider_id = ANY($1::uuid[]) AND words <> ''"


async def file(conn: Connection, id_: UUID, redemption_id: UUID, rider_id: UUID, words: str) -> Complaint | None:
    """A new one; None: the rider has no such voucher that has ended, or one about it is open."""
    return await one(conn, SQL_FILE, id_, redemption_id, rider_id, words)


async def complaints(conn: Connection, after: UUID, rider_id: UUID | None, limit: int) -> list[Complaint]:
    """A page of all that are open, or of one rider's, answered ones too."""
    if rider_id is None:
        return await many(conn, SQL_OPEN, after, limit)
    return await many(conn, SQL_OF_RIDER, after, limit, rider_id)


async def lock(conn: Connection, id_: UUID) -> Complaint | None:
    """One, locked: two answers follow each other."""
    return await one(conn, SQL_LOCK, id_)


async def answer(conn: Connection, id_: UUID, *, refunded: bool, words: str, by: str) -> Complaint | None:
    """Answer an open one; None: it is answered."""
    return await one(conn, SQL_ANSWER, id_, "refunded" if refunded else "refused", words, by)


async def forget(conn: Connection, rider_ids: Sequence[UUID]) -> None:
    """Riders leave: that they complained stays, what they said does not."""
    await conn.execute(SQL_FORGET, rider_ids)
