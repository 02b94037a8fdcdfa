"""Merchants, offers and their stock."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.rewards.domain import Merchant, Offer, Taken
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, arrays, columns, many, one, unnest


@dataclass(frozen=True, slots=True)
class NewOffer:
    """What an operator states of an offer; times of opening in minutes of the city's day."""

    merchant_id: UUID
    name: str
    description: str
    price: int
    donated_by: str | None
    stock: int
    per_rider_max: int | None
    per_day_max: int | None
    valid_from: datetime
    valid_until: datetime
    opens_minute: int
    closes_minute: int
    voucher_minutes: int


_COLUMNS = """o.id, o.version, o.merchant_id, m.name AS merchant_name, m.active AS merchant_active, o.name,
       o.description, o.price, o.donated_by, o.stock, o.free, o.held, o.sold, o.per_rider_max, o.per_day_max,
       o.valid_from, o.valid_until, o.opens_minute, o.closes_minute, o.voucher_minutes,
       coalesce(o.closed_reason, m.closed_reason) AS closed_reason"""
SQL_ADD_MERCHANT = Query(
    Merchant,
    f"""
INSERT INTO merchants (id, version, name, address, created_at) VALUES ($1, 1, $2, $3, now())
RETURNING {columns(Merchant)}
""",
)
SQL_MERCHANTS = Query(Merchant, f"SELECT {columns(Merchant)} FROM merchants WHERE id > $1 ORDER BY id LIMIT $2")
SQL_MERCHANT = Query(Merchant, f"SELECT {columns(Merchant)} FROM merchants WHERE id = $1")
SQL_ADD_OFFER = f"""
INSERT INTO offers ({columns(NewOffer)}, id, version, free, created_at)
SELECT {columns(NewOffer)}, $1, 1, stock, now() FROM {unnest(NewOffer, first=2)}
"""
SQL_OFFER = Query(Offer, f"SELECT {_COLUMNS} FROM offers o JOIN merchants m ON m.id = o.merchant_id WHERE o.id = $1")
SQL_OFFERS = Query(
    Offer,
    f"""
SELECT {_COLUMNS}
FROM offers o JOIN merchants m ON m.id = o.merchant_id
WHERE o.id > $1 AND m.active AND m.closed_reason IS NULL AND o.closed_reason IS NULL
  AND o.valid_from <= now() AND now() < o.valid_until
  AND ($2::uuid IS NULL OR o.merchant_id = $2)
ORDER BY o.id LIMIT $3
""",
)
# In id order, so that batches with offers in common wait for each other instead of deadlocking. NO KEY: a redemption
# that refers to the offer doesn't have to wait.
SQL_LOCK_OFFERS = Query(
    Offer,
    f"""
SELECT {_COLUMNS}
FROM offers o JOIN merchants m ON m.id = o.merchant_id
WHERE o.id = ANY($1::uuid[]) ORDER BY o.id FOR NO KEY UPDATE OF o
""",
)
# Numbers of redemptions are kept by their statements, and kept rows are locks: whoever changes redemptions of an offer
# locks the offer first, as whoever redeems does
SQL_LOCK_OFFERS_OF = """
SELECT id FROM offers WHERE id IN (SELECT offer_id FROM redemptions WHERE id = ANY($1::uuid[]))
ORDER BY id FOR NO KEY UPDATE
"""
SQL_TAKEN_BY_RIDERS = """
SELECT r.offer_id, r.rider_id, count(*)
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (offer_id, rider_id)
JOIN redemptions r ON r.offer_id = wanted.offer_id AND r.rider_id = wanted.rider_id
WHERE r.state IN ('requested', 'issued', 'used')
GROUP BY r.offer_id, r.rider_id
"""
SQL_TAKEN_TODAY = """
SELECT offer_id, count(*) FROM redemptions
WHERE offer_id = ANY($1::uuid[]) AND requested_on = $2 AND state IN ('requested', 'issued', 'used')
GROUP BY offer_id
"""
# The guard `free >= n` decides, not what was read before
SQL_HOLD_STOCK = """
UPDATE offers o SET free = o.free - wanted.n, held = o.held + wanted.n
FROM unnest($1::uuid[], $2::int[]) AS wanted (id, n)
WHERE o.id = wanted.id AND o.free >= wanted.n
RETURNING o.id
"""
SQL_MOVE_STOCK = """
WITH wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[]) AS wanted (id, freed, sold)
), locked AS (
    SELECT id FROM offers WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
)
UPDATE offers o
SET free = o.free + wanted.freed, sold = o.sold + wanted.sold, held = o.held - wanted.freed - wanted.sold
FROM wanted JOIN locked USING (id)
WHERE o.id = wanted.id
"""
SQL_SET_STOCK = """
UPDATE offers SET stock = $2, free = $2 - held - sold, version = version + 1
WHERE id = $1 AND version = $3 AND $2 >= held + sold
RETURNING version
"""
SQL_RETURN_STOCK = "UPDATE offers SET sold = sold - 1, free = free + 1 WHERE id = $1"
SQL_CLOSE_OFFER = """
UPDATE offers SET closed_reason = $2, version = version + 1 WHERE id = $1 AND closed_reason IS DISTINCT FROM $2
"""
SQL_CLOSE_MERCHANT = Query(
    Merchant,
    f"""
UPDATE merchants SET version = version + (closed_reason IS DISTINCT FROM $2)::int, closed_reason = $2 WHERE id = $1
RETURNING {columns(Merchant)}
""",
)


class StockMoved(RuntimeError):
    """The conditional update found less free stock than was read under the lock. Nothing was written."""


async def add_merchant(conn: Connection, id_: UUID, name: str, address: str) -> Merchant:
    """A new merchant."""
    made = await one(conn, SQL_ADD_MERCHANT, id_, name, address)
    assert made is not None  # RETURNING of an INSERT
    return made


async def merchants(conn: Connection, after: UUID, limit: int) -> list[Merchant]:
    """A page in the order of ids."""
    return await many(conn, SQL_MERCHANTS, after, limit)


async def merchant(conn: Connection, id_: UUID) -> Merchant | None:
    """One merchant."""
    return await one(conn, SQL_MERCHANT, id_)


async def add_offer(conn: Connection, id_: UUID, new: NewOffer) -> None:
    """A new offer with all its stock free."""
    await conn.execute(SQL_ADD_OFFER, id_, *arrays(NewOffer, [new]))


async def offer(conn: Connection, id_: UUID) -> Offer | None:
    """One offer, unlocked."""
    return await one(conn, SQL_OFFER, id_)


async def offers(conn: Connection, after: UUID, merchant_id: UUID | None, limit: int) -> list[Offer]:
    """A page of the offers that can be had now, in the order of ids; sold-out ones too."""
    return await many(conn, SQL_OFFERS, after, merchant_id, limit)


async def lock_offers(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Offer]:
    """Offers, locked to the end of the transaction."""
    return {found.id: found for found in await many(conn, SQL_LOCK_OFFERS, list(ids))}


async def lock_of(conn: Connection, redemption_ids: Collection[UUID]) -> None:
    """Lock the offers of redemptions to the end of the transaction."""
    await conn.execute(SQL_LOCK_OFFERS_OF, list(redemption_ids))


async def taken(
    conn: Connection, locked: Mapping[UUID, Offer], wanted: Collection[tuple[UUID, UUID]], today: date
) -> dict[UUID, Taken]:
    """How much is used of the locked offers' quotas; `wanted`: (offer, rider). What came to nothing doesn't count."""
    by_rider = [(offer_id, rider_id) for offer_id, rider_id in wanted if locked[offer_id].per_rider_max is not None]
    by_day = [offer_id for offer_id, found in locked.items() if found.per_day_max is not None]
    uses = {offer_id: Taken(found.free, 0, {}) for offer_id, found in locked.items()}
    if by_rider:
        rows = await conn.fetch(SQL_TAKEN_BY_RIDERS, [offer for offer, _ in by_rider], [rider for _, rider in by_rider])
        for offer_id, rider_id, count in rows:
            uses[offer_id].by_rider[rider_id] = count
    if by_day:
        for offer_id, count in await conn.fetch(SQL_TAKEN_TODAY, by_day, today):
            uses[offer_id].today = count
    return uses


async def hold_stock(conn: Connection, counts: Mapping[UUID, int]) -> None:
    """Move stock from free to held.

    Raises:
        StockMoved: an offer has less free than wanted.
    """
    held = await conn.fetch(SQL_HOLD_STOCK, list(counts), list(counts.values()))
    if len(held) != len(counts):
        raise StockMoved(f"{len(counts) - len(held)} offers have less free stock than was read")


async def move_stock(conn: Connection, freed: Mapping[UUID, int], sold: Mapping[UUID, int]) -> None:
    """Move held stock back to free, and on to sold, per offer."""
    ids = sorted({*freed, *sold})
    if ids:
        columns = [freed.get(id_, 0) for id_ in ids], [sold.get(id_, 0) for id_ in ids]
        await conn.execute(SQL_MOVE_STOCK, ids, *columns)


async def set_stock(conn: Connection, id_: UUID, stock: int, version: int) -> bool:
    """Set the total; False when the offer moved on or more than that is held and sold already."""
    return await conn.fetchval(SQL_SET_STOCK, id_, stock, version) is not None


async def return_stock(conn: Connection, id_: UUID) -> None:
    """One sold piece is free again."""
    await conn.execute(SQL_RETURN_STOCK, id_)


async def close_offer(conn: Connection, id_: UUID, reason: str | None) -> None:
    """Close an offer, or open it again where there is no reason."""
    await conn.execute(SQL_CLOSE_OFFER, id_, reason)


async def close_merchant(conn: Connection, id_: UUID, reason: str | None) -> Merchant | None:
    """Close all of a merchant's offers, or open them again; None: there is no such merchant."""
    return await one(conn, SQL_CLOSE_MERCHANT, id_, reason)
