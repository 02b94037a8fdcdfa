"""Deeds as they were reported first."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, unnest


@dataclass(slots=True, eq=False)
class Deed:
    """One deed; `fingerprint` is of everything that may not change under its id."""

    deed_id: UUID
    service: str
    fingerprint: bytes
    rider_id: UUID
    action: str
    area_code: str
    quantity: int
    role: str | None
    outcome: str | None
    done_at: datetime
    confirmed_by: str
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of a deed from before this batch."""

    deed_id: UUID
    fingerprint: bytes
    withdrawn: bool


# In the order of the ids: of two batches with a deed in common one waits for the other
SQL_ENTER = f"""
INSERT INTO deeds ({columns(Deed)}, heard_at) SELECT {columns(Deed)}, $1 FROM {unnest(Deed, first=2)} ORDER BY deed_id
ON CONFLICT DO NOTHING RETURNING deed_id
"""
SQL_BEFORE = Query(
    Before,
    "SELECT deed_id, fingerprint, withdrawn FROM deeds WHERE deed_id = ANY($1::uuid[]) ORDER BY deed_id FOR UPDATE",
)
SQL_AREA = "SELECT area_code FROM deeds WHERE deed_id = $1"
SQL_WITHDRAW = "UPDATE deeds SET withdrawn = true WHERE deed_id = ANY($1::uuid[]) AND NOT withdrawn"


async def enter(conn: Connection, deeds: Sequence[Deed], now: datetime) -> set[UUID]:
    """Enter deeds, each id once in the batch; those that nothing was heard of before."""
    return {row["deed_id"] for row in await conn.fetch(SQL_ENTER, now, *arrays(Deed, deeds))}


async def before(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Before]:
    """What was heard of deeds before, locked."""
    return {one.deed_id: one for one in await many(conn, SQL_BEFORE, list(ids))} if ids else {}


async def area_of(conn: Connection, deed_id: UUID) -> str | None:
    """Where a deed was done, which never changes; None: nothing was heard of it."""
    found: str | None = await conn.fetchval(SQL_AREA, deed_id)
    return found


async def withdraw(conn: Connection, ids: Collection[UUID]) -> None:
    """Remember that deeds are withdrawn."""
    if ids:
        await conn.execute(SQL_WITHDRAW, list(ids))
