"""Lists are read by an index that ends where the page ends: what has passed costs no list anything."""

from uuid import UUID

import pytest

from services.rewards.store import complaints, merchants, offline, redemptions, statements
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres.db import Connection
from tests.services.rewards.shop import Shop

ANY, FIRST = new_id(), UUID(int=0)
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
    "vouchers of a list": (
        offline.SQL_TO_LIST.text,
        (ANY, 9),
        {"redemptions_out", "redemptions_out_offer", "station_stock_merchant"},
    ),
    "what was sold from lists": (offline.SQL_EARLIER, ([ANY], ANY), {"offline_takings_sold"}),
    "what the ledger has not paid": (
        statements.SQL_UNLIKE.text,
        (ANY, clock.now(), clock.now(), 9),
        {"redemptions_undone"},
    ),
}


async def plan(conn: Connection, sql: str, values: tuple[object, ...]) -> str:
    """How the statement is carried out where tables are large: these are empty, so whole reads are forbidden."""
    await conn.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
    return "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {sql}", *values))


@pytest.mark.parametrize("what", LISTS)
async def test_a_list_is_read_by_its_index(shop: Shop, what: str) -> None:
    sql, values, indexes = LISTS[what]
    async with shop.pool.acquire() as conn, conn.transaction():
        found = await plan(conn, sql, values)
    assert "Seq Scan" not in found, found
    assert {name for name in indexes if f"using {name} " not in found} == set(), found
