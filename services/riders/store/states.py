"""What riders' topics hold, as the tables have it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.riders.domain import Company, Rider
from services.riders.store import COMPANY_COLUMNS, RIDER_COLUMNS, rider_of
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, many


@dataclass(frozen=True, slots=True)
class Order:
    """An order to forget a rider. `company` None: a restore entered a rider of whom there was no row."""

    rider_id: UUID
    company: str | None
    number: str
    erased_at: datetime


SQL_COMPANIES_LOCK = Query(
    Company, f"SELECT {COMPANY_COLUMNS} FROM companies WHERE code > $1 ORDER BY code LIMIT $2 FOR NO KEY UPDATE"
)
SQL_RIDERS_LOCK_AFTER = f"""
SELECT {RIDER_COLUMNS} WHERE r.rider_id > $1 ORDER BY r.rider_id LIMIT $2 FOR NO KEY UPDATE OF r
"""
SQL_ORDERS = Query(
    Order,
    """
SELECT e.rider_id, r.company, e.number, e.erased_at FROM erased_riders e LEFT JOIN riders r USING (rider_id)
WHERE e.rider_id > $1 ORDER BY e.rider_id LIMIT $2
""",
)
SQL_COMPANIES_COUNT = "SELECT count(*), 0 FROM companies"
SQL_RIDERS_COUNT = "SELECT count(*) FILTER (WHERE erased_at IS NULL), count(erased_at) FROM riders"
SQL_ORDERS_COUNT = "SELECT count(*), 0 FROM erased_riders JOIN riders USING (rider_id)"


async def lock_companies(conn: Connection, after: str, most: int) -> list[Company]:
    """The next companies after a code, by code, locked until the transaction ends."""
    return await many(conn, SQL_COMPANIES_LOCK, after, most)


async def lock_riders_after(conn: Connection, after: UUID, most: int) -> list[Rider]:
    """The next riders after an id, by id, erased ones too, locked until the transaction ends."""
    return [rider_of(row) for row in await conn.fetch(SQL_RIDERS_LOCK_AFTER, after, most)]


async def erased_after(conn: Connection, after: UUID, most: int) -> list[Order]:
    """The next orders of the list after a rider's id."""
    return await many(conn, SQL_ORDERS, after, most)


async def counted(conn: Connection, sql: str) -> tuple[int, int]:
    """(states, keys that have left), by one of the SQL_…_COUNT."""
    row = await conn.fetchrow(sql)
    assert row is not None, "a count has a row"
    return row[0], row[1]
