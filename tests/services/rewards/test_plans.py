"""Lists are read by an index that ends where the page ends: what has passed costs no list anything."""

from datetime import timedelta
from uuid import UUID

import pytest

from services.rewards.store import complaints, merchants, offline, redemptions, statements
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres.db import Connection
from tests.reads import analyze
from tests.services.rewards.shop import Shop

ANY, FIRST = new_id(), UUID(int=0)
MERCHANTS, ENDED, OUT = 60, 12_000, 3_000
SQL_MERCHANTS = """
INSERT INTO merchants (id, version, name, address, created_at)
SELECT gen_random_uuid(), 1, 'shop', 'street', now() FROM generate_series(1, $1::int)
"""
SQL_OFFERS = """
INSERT INTO offers (id, version, merchant_id, name, price, stock, free, valid_from, valid_until, voucher_minutes,
                    citywide, created_at)
SELECT gen_random_uuid(), 1, id, 'tea', 5, 0, 0, now(), now() + interval '9 days', 60, city, now()
FROM merchants, unnest('{t,f}'::boolean[]) AS city
"""
SQL_STATIONS = """
INSERT INTO station_stock (offer_id, merchant_id, version, stock, there, sold)
SELECT id, merchant_id, 1, 9, 9, 0 FROM offers WHERE citywide
"""
# Vouchers of years, and those that are out
SQL_VOUCHERS = """
INSERT INTO redemptions (id, version, rider_id, offer_id, merchant_id, offer_name, price, state, requested_on,
                         requested_at, deadline_at, issued_at, ended_at, code_hash, code_sealed)
SELECT gen_random_uuid(), 2, gen_random_uuid(), o.id, o.merchant_id, 'tea', 5, $1, current_date, now(),
       now() + n * interval '1 s', now(), CASE WHEN $1 = 'used' THEN now() - n * interval '1 h' END,
       sha256((o.id::text || n || $1)::bytea), '\\x00'
FROM offers o, generate_series(1, $2::int) AS n
"""
LISTS = {
    "complaints that wait": (complaints.SQL_OPEN.text, (FIRST, 9), {"complaints_waiting"}),
    "a rider's complaints": (complaints.SQL_OF_RIDER.text, (FIRST, 9, ANY), {"complaints_rider"}),
    "a rider's redemptions": (redemptions.SQL_OF_RIDER.text, (ANY, FIRST, 9), {"redemptions_rider"}),
    "a merchant's statements": (
        statements.SQL_OF_MERCHANT.text,
        (ANY, clock.now().date(), 9),
        {"statements_merchant_id_month_key"},
    ),
    "applications that wait": (merchants.SQL_APPLICATIONS.text, (FIRST, 9), {"merchants_waiting"}),
    "a person's applications": (merchants.SQL_APPLICATIONS_OF.text, (FIRST, 9, "owner"), {"merchants_applicant"}),
    "vouchers used twice": (offline.SQL_DOUBLES.text, (FIRST, -1, 9), {"offline_takings_double"}),
    "open lists of a merchant": (offline.SQL_OPEN, (ANY,), {"offline_lists_merchant"}),
    "what was sold from lists": (offline.SQL_EARLIER, ([ANY], ANY), {"offline_takings_sold"}),
}


async def plan(conn: Connection, sql: str, values: tuple[object, ...]) -> str:
    """How the statement is carried out where tables are large: these are empty, so whole reads are forbidden."""
    await conn.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
    return await explained(conn, sql, values)


async def explained(conn: Connection, sql: str, values: tuple[object, ...]) -> str:
    """How the statement is carried out."""
    return "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {sql}", *values))


async def test_a_counters_list_and_a_month_read_their_own_vouchers(shop: Shop, installation: Installation) -> None:
    await shop.pool.execute(SQL_MERCHANTS, MERCHANTS)
    await shop.pool.execute(SQL_OFFERS)
    await shop.pool.execute(SQL_STATIONS)
    for state, number in (("used", ENDED), ("issued", OUT)):
        await shop.pool.execute(SQL_VOUCHERS, state, number // MERCHANTS // 2)
    await analyze(installation, "rewards", "redemptions", "offers", "merchants", "station_stock", "postings")
    one, now = await shop.pool.fetchval("SELECT id FROM merchants LIMIT 1"), clock.now()
    async with shop.pool.acquire() as conn, conn.transaction():
        listed = await explained(conn, offline.SQL_TO_LIST.text, (one, 9))
        month = await explained(conn, statements.SQL_UNLIKE.text, (one, now - timedelta(days=30), now, 9))
    assert "using redemptions_out " in listed and "using redemptions_out_offer " in listed, listed
    assert "redemptions_used" in month and "redemptions_undone" in month, month
    for found in (listed, month):
        assert "Seq Scan on redemptions" not in found, found


@pytest.mark.parametrize("what", LISTS)
async def test_a_list_is_read_by_its_index(shop: Shop, what: str) -> None:
    sql, values, indexes = LISTS[what]
    async with shop.pool.acquire() as conn, conn.transaction():
        found = await plan(conn, sql, values)
    assert "Seq Scan" not in found, found
    assert {name for name in indexes if f"using {name} " not in found} == set(), found
