"""What each station has of offers whose vouchers are good in the whole city."""

from collections.abc import Mapping
from uuid import UUID

from services.rewards.domain import Redemption, Station
from services.rewards.store import offers
from services.rewards.store.redemptions import RETURNED
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query, many, one

SQL_STATIONS = Query(
    Station,
    """
SELECT s.merchant_id, m.name, m.address, s.version, s.stock, s.there, s.sold
FROM station_stock s JOIN merchants m ON m.id = s.merchant_id
WHERE s.offer_id = $1 AND s.merchant_id > $2 ORDER BY s.merchant_id LIMIT $3
""",
)
SQL_ADD_STATION = """
INSERT INTO station_stock (offer_id, merchant_id, version, stock, there, sold)
SELECT o.id, m.id, 1, $3, $3, 0 FROM offers o, merchants m
WHERE o.id = $1 AND o.citywide AND m.id = $2 AND m.review = 'approved'
ON CONFLICT DO NOTHING RETURNING stock AS more
"""
SQL_SET_STATION = """
WITH before AS (
    SELECT stock FROM station_stock WHERE offer_id = $1 AND merchant_id = $2 AND version = $4 FOR UPDATE
)
UPDATE station_stock s SET stock = $3, there = $3 - s.sold, version = s.version + 1
FROM before WHERE s.offer_id = $1 AND s.merchant_id = $2 AND $3 >= s.sold RETURNING $3 - before.stock AS more
"""
# The piece and the voucher in one statement: the station has one, and the voucher can still be used
SQL_USE_AT = Query(
    Redemption,
    f"""
WITH piece AS (
    UPDATE station_stock s SET there = s.there - 1, sold = s.sold + 1
    FROM redemptions w
    WHERE w.id = $1 AND w.state = 'issued' AND w.deadline_at > now()
      AND s.offer_id = w.offer_id AND s.merchant_id = $2 AND s.there > 0
    RETURNING s.offer_id
)
UPDATE redemptions r
SET state = 'used', version = r.version + 1, ended_at = now(), taken_by = $3, merchant_id = $2
FROM piece WHERE r.id = $1 AND r.state = 'issued' AND r.deadline_at > now()
RETURNING {RETURNED}
""",
)
SQL_THERE = "SELECT there FROM station_stock WHERE offer_id = $1 AND merchant_id = $2"
SQL_GIVE_BACK = """
UPDATE station_stock SET there = there + 1, sold = sold - 1 WHERE offer_id = $1 AND merchant_id = $2
"""
# Of what a station gave without network: a piece that nobody knew it had is one more, there and of the offer
SQL_SOLD_OFFLINE = """
WITH wanted AS (
    SELECT * FROM unnest($2::uuid[], $3::int[]) AS w (offer_id, n)
), before AS (
    SELECT s.offer_id, s.there, w.n FROM station_stock s JOIN wanted w USING (offer_id)
    WHERE s.merchant_id = $1 ORDER BY s.offer_id FOR UPDATE OF s
), moved AS (
    UPDATE station_stock s
    SET sold = s.sold + b.n, there = greatest(b.there - b.n, 0), stock = s.stock + greatest(b.n - b.there, 0),
        version = s.version + (b.n > b.there)::int
    FROM before b WHERE s.offer_id = b.offer_id AND s.merchant_id = $1
    RETURNING s.offer_id, greatest(b.n - b.there, 0) AS found
)
UPDATE offers o SET stock = o.stock + m.found, free = o.free + m.found, version = o.version + 1 FROM moved m
WHERE o.id = m.offer_id AND m.found > 0
"""
# Pieces that left a second time for one voucher are gone; where all that is left is promised, somebody brings others.
# A merchant loses what is its own: of another's offer it loses nothing, of one for the whole city what its station has.
SQL_LOSE = """
WITH wanted AS (
    SELECT o.id, least($3, o.free, CASE WHEN o.citywide THEN s.there ELSE o.free END) AS n
    FROM offers o LEFT JOIN station_stock s ON s.offer_id = o.id AND s.merchant_id = $2
    WHERE o.id = $1 AND o.counted AND CASE WHEN o.citywide THEN s.there IS NOT NULL ELSE o.merchant_id = $2 END
), gone AS (
    UPDATE offers o SET stock = o.stock - w.n, free = o.free - w.n, version = o.version + 1
    FROM wanted w WHERE o.id = w.id AND w.n > 0 RETURNING o.id, o.citywide, w.n
)
UPDATE station_stock s SET there = s.there - g.n, stock = s.stock - g.n, version = s.version + 1
FROM gone g WHERE g.citywide AND s.offer_id = g.id AND s.merchant_id = $2
"""


async def stations(conn: Connection, offer_id: UUID, after: UUID, limit: int) -> list[Station]:
    """A page of the stations of an offer, by id; those that have run out too."""
    return await many(conn, SQL_STATIONS, offer_id, after, limit)


async def set_stock(conn: Connection, offer_id: UUID, merchant_id: UUID, stock: int, version: int) -> bool:
    """Set what a station has had of an offer in all; version 0: it has had none. Roll back after False: it moved on,
    or fewer would be left than it sold or vouchers need."""
    await offers.lock_offers(conn, [offer_id])
    values = (offer_id, merchant_id, stock)
    more: int | None = (
        await conn.fetchval(SQL_SET_STATION, *values, version)
        if version
        else await conn.fetchval(SQL_ADD_STATION, *values)
    )
    return more is not None and await offers.add_stock(conn, offer_id, more)


async def use(conn: Connection, id_: UUID, merchant_id: UUID, by: str) -> Redemption | None:
    """Issued → used with a piece of this station; None: it has none, or the voucher can't be used (any more)."""
    return await one(conn, SQL_USE_AT, id_, merchant_id, by)


async def there(conn: Connection, offer_id: UUID, merchant_id: UUID) -> int | None:
    """Pieces at a station; None: it is none for this offer."""
    found: int | None = await conn.fetchval(SQL_THERE, offer_id, merchant_id)
    return found


async def give_back(conn: Connection, offer_id: UUID, merchant_id: UUID) -> None:
    """A use was undone: the piece is at its station again. Of other offers there is nothing to do."""
    await conn.execute(SQL_GIVE_BACK, offer_id, merchant_id)


async def sold_offline(conn: Connection, merchant_id: UUID, counts: Mapping[UUID, int]) -> None:
    """Pieces that a station gave for vouchers of the whole city, per offer; the offers must be locked."""
    if counts:
        await conn.execute(SQL_SOLD_OFFLINE, merchant_id, list(counts), list(counts.values()))


async def lose(conn: Connection, offer_id: UUID, merchant_id: UUID, number: int) -> None:
    """So many pieces went out for vouchers that had been used; the offer must be locked."""
    await conn.execute(SQL_LOSE, offer_id, merchant_id, number)
