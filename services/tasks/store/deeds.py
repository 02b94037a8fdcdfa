"""What points were asked for, kept as it was said: a withdrawal says the same once more."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, one


@dataclass(frozen=True, slots=True)
class Deed:
    """A deed for one approved claim."""

    deed_id: UUID
    claim_id: UUID
    rider_id: UUID
    action: str
    area_code: str
    quantity: int
    done_at: datetime
    reported_at: datetime


SQL_ADD = f"INSERT INTO deeds ({columns(Deed)}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
SQL_WITHDRAW = Query(
    Deed,
    f"UPDATE deeds SET withdrawn_at = now() WHERE claim_id = $1 AND withdrawn_at IS NULL RETURNING {columns(Deed)}",
)


async def add(conn: Connection, deed: Deed) -> None:
    """Keep one. Raises asyncpg.UniqueViolationError where the claim has one that holds."""
    await conn.execute(SQL_ADD, *(getattr(deed, name) for name in Deed.__dataclass_fields__))


async def withdraw(conn: Connection, claim_id: UUID) -> Deed | None:
    """Withdraw the claim's deed; None: none holds."""
    return await one(conn, SQL_WITHDRAW, claim_id)
