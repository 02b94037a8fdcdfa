"""Offers and their stock."""

from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass
from datetime import date, datetime
from uuid import UUID

from services.rewards.domain import EVERY_DAY, Offer, Taken
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, columns, columns_of, many, one


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
    thanks: str = ""
    counted: bool = True
    per_rider_day_max: int | None = None
    weekdays: int = EVERY_DAY
    by_appointment: bool = False
    companies: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    citywide: bool = False
    delivered: bool = False
    least_level: int = 0


@dataclass(frozen=True, slots=True)
class Stock:
    """An offer's pieces after a change, as they are published; `said` counts the changes."""

    offer_id: UUID
    said: int
    offer_name: str
    merchant_id: UUID
    merchant_name: str
    area_code: str | None
    price: int
    counted: bool
    stock: int
    free: int
    held: int
    sold: int
    closed: bool


_STOCK = """o.id AS offer_id, o.said, o.name AS offer_name, o.merchant_id, m.name AS merchant_name, m.area_code,
       o.price, o.counted, o.stock, o.free, o.held, o.sold,
       (NOT m.active OR coalesce(o.closed_reason, m.closed_reason) IS NOT NULL) AS closed"""
_GIVEN = ", ".join(
    f"${number}::{column.types[0]}{'[]' if column.is_array else ''} AS {column.name}"
    for number, column in enumerate(columns_of(NewOffer), 2)
)
_COLUMNS = """o.id, o.version, o.merchant_id, m.name AS merchant_name, m.active AS merchant_active, o.name,
       o.description, o.price, o.donated_by, o.stock, o.free, o.held, o.sold, o.per_rider_max, o.per_day_max,
       o.valid_from, o.valid_until, o.opens_minute, o.closes_minute, o.voucher_minutes,
       coalesce(o.closed_reason, m.closed_reason) AS closed_reason, o.thanks, o.counted, o.per_rider_day_max,
       o.weekdays, o.citywide, o.delivered, o.by_appointment, o.companies, o.areas, o.photos, o.least_level"""
SQL_ADD_OFFER = f"""
INSERT INTO offers ({columns(NewOffer)}, id, version, free, created_at)
SELECT {columns(NewOffer)}, $1, 1, stock, now() FROM (SELECT {_GIVEN}) AS given
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
  AND ($4::text IS NULL OR o.areas = '{{}}' OR $4 = ANY(o.areas)
       OR EXISTS (SELECT FROM known_areas a WHERE a.code = $4 AND a.path && o.areas))
  AND ($5::uuid IS NULL OR o.companies = '{{}}'
       OR EXISTS (SELECT FROM known_riders k WHERE k.rider_id = $5 AND k.company = ANY(o.companies)))
  AND ($5::uuid IS NULL OR o.least_level = 0
       OR o.least_level <= (SELECT l.rank FROM rider_levels l WHERE l.rider_id = $5))
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
SELECT r.offer_id, r.rider_id, count(*) AS ever, count(*) FILTER (WHERE r.requested_on = $3) AS today
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (offer_id, rider_id)
JOIN redemptions r ON r.offer_id = wanted.offer_id AND r.rider_id = wanted.rider_id
WHERE r.state IN ('requested', 'issued', 'used')
GROUP BY r.offer_id, r.rider_id
"""
SQL_TAKEN_TODAY = "SELECT offer_id, taken FROM offer_days WHERE offer_id = ANY($1::uuid[]) AND day = $2"
# The guard `free >= n` decides, not what was read before
SQL_HOLD_STOCK = Query(
    Stock,
    f"""
UPDATE offers o SET said = o.said + 1, free = o.free - wanted.n * o.counted::int, held = o.held + wanted.n,
    stock = o.stock + wanted.n * (NOT o.counted)::int
FROM unnest($1::uuid[], $2::int[]) AS wanted (id, n), merchants m
WHERE o.id = wanted.id AND m.id = o.merchant_id AND (o.free >= wanted.n OR NOT o.counted)
RETURNING {_STOCK}
""",
)
SQL_MOVE_STOCK = Query(
    Stock,
    f"""
WITH wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[]) AS wanted (id, freed, sold)
), locked AS (
    SELECT id FROM offers WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
)
UPDATE offers o
SET free = o.free + wanted.freed * o.counted::int, stock = o.stock - wanted.freed * (NOT o.counted)::int,
    said = o.said + 1, sold = o.sold + wanted.sold, held = o.held - wanted.freed - wanted.sold
FROM wanted JOIN locked USING (id), merchants m
WHERE o.id = wanted.id AND m.id = o.merchant_id
RETURNING {_STOCK}
""",
)
SQL_SAY = Query(
    Stock,
    f"""
UPDATE offers o SET said = o.said + 1 FROM merchants m
WHERE o.id = ANY($1::uuid[]) AND m.id = o.merchant_id RETURNING {_STOCK}
""",
)
# What a merchant still has up; locked as whoever redeems does it
SQL_SAY_OF = Query(
    Stock,
    f"""
WITH up AS (
    SELECT id FROM offers WHERE merchant_id = $1 AND valid_until > now() ORDER BY id FOR NO KEY UPDATE
)
UPDATE offers o SET said = o.said + 1 FROM up, merchants m
WHERE o.id = up.id AND m.id = o.merchant_id RETURNING {_STOCK}
""",
)
SQL_SET_STOCK = """
UPDATE offers SET stock = $2, free = $2 - held - sold, version = version + 1
WHERE id = $1 AND version = $3 AND $2 >= held + sold AND counted AND NOT citywide
RETURNING version
"""
SQL_RETURN_STOCK = """
UPDATE offers SET sold = sold - 1, free = free + counted::int, stock = stock - (NOT counted)::int WHERE id = $1
"""
# Pieces more or fewer at a station are as many more or fewer of the offer: never fewer than vouchers that are out
SQL_ADD_STOCK = """
UPDATE offers SET stock = stock + $2, free = free + $2, version = version + 1 WHERE id = $1 AND free + $2 >= 0
RETURNING version
"""
SQL_CLOSE_OFFER = """
UPDATE offers SET closed_reason = $2, version = version + 1 WHERE id = $1 AND closed_reason IS DISTINCT FROM $2
"""


class StockMoved(RuntimeError):
    """The conditional update found less free stock than was read under the lock. Nothing was written."""


async def add_offer(conn: Connection, id_: UUID, new: NewOffer) -> None:
    """A new offer with all its stock free."""
    await conn.execute(SQL_ADD_OFFER, id_, *astuple(new))


async def offer(conn: Connection, id_: UUID) -> Offer | None:
    """One offer, unlocked."""
    return await one(conn, SQL_OFFER, id_)


async def offers(
    conn: Connection,
    after: UUID,
    merchant_id: UUID | None,
    limit: int,
    area: str | None = None,
    rider_id: UUID | None = None,
) -> list[Offer]:
    """A page of the offers that can be had now, in the order of ids; sold-out ones too.

    `area`: those that are shown there; `rider_id`: those that this rider's company and level are let in to.
    """
    return await many(conn, SQL_OFFERS, after, merchant_id, limit, area, rider_id)


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
    by_rider = [(offer_id, rider_id) for offer_id, rider_id in wanted if _counts_riders(locked[offer_id])]
    by_day = [offer_id for offer_id, found in locked.items() if found.per_day_max is not None]
    uses = {offer_id: Taken(found.free, 0, {}) for offer_id, found in locked.items()}
    if by_rider:
        pairs = [offer for offer, _ in by_rider], [rider for _, rider in by_rider]
        for offer_id, rider_id, ever, on_the_day in await conn.fetch(SQL_TAKEN_BY_RIDERS, *pairs, today):
            uses[offer_id].by_rider[rider_id] = ever
            uses[offer_id].by_rider_today[rider_id] = on_the_day
    if by_day:
        for offer_id, count in await conn.fetch(SQL_TAKEN_TODAY, by_day, today):
            uses[offer_id].today = count
    return uses


def _counts_riders(offer: Offer) -> bool:
    return offer.per_rider_max is not None or offer.per_rider_day_max is not None


async def hold_stock(conn: Connection, counts: Mapping[UUID, int]) -> list[Stock]:
    """Move stock from free to held; what is there now.

    Raises:
        StockMoved: an offer has less free than wanted.
    """
    held = await many(conn, SQL_HOLD_STOCK, list(counts), list(counts.values()))
    if len(held) != len(counts):
        raise StockMoved(f"{len(counts) - len(held)} offers have less free stock than was read")
    return held


async def move_stock(conn: Connection, freed: Mapping[UUID, int], sold: Mapping[UUID, int]) -> list[Stock]:
    """Move held stock back to free, and on to sold, per offer; what is there now."""
    ids = sorted({*freed, *sold})
    if not ids:
        return []
    return await many(conn, SQL_MOVE_STOCK, ids, [freed.get(id_, 0) for id_ in ids], [sold.get(id_, 0) for id_ in ids])


async def say(conn: Connection, ids: Collection[UUID]) -> list[Stock]:
    """What is there of offers whose stock has changed otherwise, to be published."""
    return await many(conn, SQL_SAY, list(ids))


async def say_of(conn: Connection, merchant_id: UUID) -> list[Stock]:
    """What is there of a merchant's offers that are not over, to be published: it has closed, or opened."""
    return await many(conn, SQL_SAY_OF, merchant_id)


async def set_stock(conn: Connection, id_: UUID, stock: int, version: int) -> bool:
    """Set the total; False when the offer moved on or more than that is held and sold already."""
    return await conn.fetchval(SQL_SET_STOCK, id_, stock, version) is not None


async def add_stock(conn: Connection, id_: UUID, more: int) -> bool:
    """So many pieces more, or fewer; False: fewer than that are free."""
    return await conn.fetchval(SQL_ADD_STOCK, id_, more) is not None


async def return_stock(conn: Connection, id_: UUID) -> None:
    """One sold piece is free again."""
    await conn.execute(SQL_RETURN_STOCK, id_)


async def close_offer(conn: Connection, id_: UUID, reason: str | None) -> None:
    """Close an offer, or open it again where there is no reason."""
    await conn.execute(SQL_CLOSE_OFFER, id_, reason)
