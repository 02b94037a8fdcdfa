"""A rider without points slows nobody, keeps no stock from others and leaves nothing behind for good."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from services.rewards.api.redeeming import Redeemed, WishMade
from services.rewards.domain import Taken
from services.rewards.retention import TABLES
from services.rewards.store import offers
from services.rewards.store import redemptions as store
from services.rewards.usecases import redemptions as usecases
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.db import Connection
from shared.kit.postgres.retention import Table
from shared.kit.privacy.erasure import Leaver
from shared.kit.refusals import Refusal
from tests.reads import analyze, rows_read
from tests.services.rewards.shop import Shop, wish
from tests.support import work_on

REFUSED = 20_000
SQL_REFUSED = """
INSERT INTO redemptions (id, version, rider_id, offer_id, merchant_id, offer_name, price, state, reason, requested_on,
                         requested_at, deadline_at, ended_at)
SELECT gen_random_uuid(), 2, $1, $2, $3, 'tea', 50, $4, 'insufficient_points',
       (now() AT TIME ZONE 'Asia/Shanghai')::date, now(), now(), now() - make_interval(days => $5)
FROM generate_series(1, $6::int)
"""
SQL_ANOTHER = """
INSERT INTO redemptions (id, version, rider_id, offer_id, merchant_id, offer_name, price, state, requested_on,
                         requested_at, deadline_at)
SELECT gen_random_uuid(), 1, rider_id, offer_id, merchant_id, offer_name, price, 'requested', requested_on,
       requested_at, deadline_at
FROM redemptions WHERE id = $1
"""
SQL_LEFT = "SELECT state, count(*) FROM redemptions GROUP BY state"
SQL_LATER = "UPDATE shortages SET refused_at = refused_at - make_interval(secs => $1)"


def _ends(answers: list[Redeemed | Exception]) -> list[str]:
    return [one.code if isinstance(one, Refusal) else "granted" for one in answers]


async def _redeem(shop: Shop, conn: Connection, *wishes: WishMade) -> list[str]:
    """On a connection of the test's own."""
    async with work_on(conn) as work:
        return _ends(await usecases.redeem(shop.desk, work, wishes))


def _table(name: str) -> Table:
    return next(table for table in TABLES if table.name == name)


async def test_what_was_refused_is_not_read_by_whoever_redeems(shop: Shop, installation: Installation) -> None:
    rider, offer = new_id(), await shop.offer(stock=50, per_rider_max=2, per_day_max=40)
    await shop.pool.execute(SQL_REFUSED, rider, offer.id, offer.merchant_id, "refused", 0, REFUSED)
    await analyze(installation, "rewards", "redemptions")
    async with shop.pool.acquire() as conn:
        before = await rows_read(conn, "redemptions", shop.pool)
        assert await _redeem(shop, conn, wish(offer.id, rider), wish(offer.id)) == ["granted", "granted"]
        assert await rows_read(conn, "redemptions", shop.pool) - before < 50


async def test_a_rider_has_one_piece_of_an_offer_waiting(shop: Shop) -> None:
    rider, offer, other = new_id(), await shop.offer(stock=5), await shop.offer()
    replicas = await asyncio.gather(*(shop.redeem(*(wish(offer.id, rider) for _ in range(5))) for _ in range(3)))
    assert Counter(end for answers in replicas for end in _ends(answers)) == {"granted": 1, "redemption_open": 14}
    assert await shop.stock(offer) == (4, 1, 0)
    answers = await shop.redeem(wish(other.id, rider), *(wish(offer.id) for _ in range(4)))
    assert _ends(answers) == ["granted"] * 5
    first = await shop.pool.fetchval(
        "SELECT id FROM redemptions WHERE rider_id = $1 AND offer_id = $2", rider, offer.id
    )
    with pytest.raises(asyncpg.UniqueViolationError, match="redemptions_open"):
        await shop.pool.execute(SQL_ANOTHER, first)
    await shop.pool.execute("UPDATE offers SET stock = stock + 1, free = free + 1 WHERE id = $1", offer.id)
    await shop.answer("held", first)
    assert _ends(await shop.redeem(wish(offer.id, rider))) == ["granted"], "the first has its points"


async def test_free_gifts_wait_for_no_points(shop: Shop) -> None:
    rider, offer = new_id(), await shop.offer(price=0)
    assert _ends(await shop.redeem(wish(offer.id, rider), wish(offer.id, rider))) == ["granted", "granted"]


async def test_who_was_refused_for_too_few_points_is_refused_here_until_points_have_come(shop: Shop) -> None:
    rider, costly, cheap = new_id(), await shop.offer(price=50), await shop.offer(price=20)
    id_ = await shop.redeem_one(costly, rider)
    await shop.answer("refused", id_, reason="insufficient_points", rider=rider, version=7, available=20)
    [refused] = await shop.redeem(wish(costly.id, rider))
    assert isinstance(refused, Refusal) and refused.code == "points_missing"
    assert (refused.extras["price"], refused.extras["available"]) == (50, 20)
    assert await shop.stock(costly) == (100, 0, 0)
    assert _ends(await shop.redeem(wish(cheap.id, rider))) == ["granted"], "for that they have enough"
    await shop.answer("posted", new_id(), source="report", rider=rider, version=6, available=90)
    assert _ends(await shop.redeem(wish(costly.id, rider))) == ["points_missing"], "an older movement"
    await shop.answer("posted", new_id(), source="report", rider=rider, version=8, available=50)
    assert _ends(await shop.redeem(wish(costly.id, rider))) == ["granted"]


async def test_points_that_nobody_has_heard_of_make_nobody_wait_long(shop: Shop) -> None:
    rider, offer = new_id(), await shop.offer()
    id_ = await shop.redeem_one(offer, rider)
    await shop.answer("refused", id_, reason="insufficient_points", rider=rider, version=1, available=0)
    await shop.pool.execute(SQL_LATER, shop.desk.refusal_holds_s - 5)
    assert _ends(await shop.redeem(wish(offer.id, rider))) == ["points_missing"]
    await shop.pool.execute(SQL_LATER, 6)
    assert _ends(await shop.redeem(wish(offer.id, rider))) == ["granted"], "points are asked again"


async def test_only_riders_who_had_too_few_are_remembered(shop: Shop) -> None:
    offer = await shop.offer()
    id_ = await shop.redeem_one(offer)
    await shop.answer("posted", new_id(), source="report", version=3, available=10)
    await shop.answer("refused", id_, reason="rider_inactive", version=4)
    assert await shop.pool.fetch("SELECT rider_id FROM shortages") == []
    rider = new_id()
    await shop.answer("refused", await shop.redeem_one(offer), reason="insufficient_points", rider=rider)
    assert [row["rider_id"] for row in await shop.pool.fetch("SELECT rider_id FROM shortages")] == [rider]
    async with shop.pool.acquire() as conn:
        await store.forget(conn, [Leaver(rider, "erased:1", clock.now())])
    assert await shop.pool.fetch("SELECT rider_id FROM shortages") == []


async def test_good_riders_get_what_is_there_while_one_without_points_asks_on(shop: Shop) -> None:
    poor, offer = new_id(), await shop.offer(stock=5)
    ends: Counter[str] = Counter()
    for n in range(50):
        answers = await shop.redeem(*(wish(offer.id, poor) for _ in range(4)))
        ends.update(_ends(answers))
        if n % 10 == 9:
            assert _ends(await shop.redeem(wish(offer.id))) == ["granted"], n
        rows = await shop.pool.fetch("SELECT id FROM redemptions WHERE rider_id = $1 AND state = 'requested'", poor)
        for row in rows:
            await shop.answer("refused", row["id"], reason="insufficient_points", rider=poor, version=n + 1)
    assert ends == {"granted": 1, "redemption_open": 3, "points_missing": 196}
    assert await shop.stock(offer) == (0, 5, 0)


async def test_what_came_to_nothing_leaves_and_nothing_else(shop: Shop) -> None:
    rider, offer = new_id(), await shop.offer(price=0)
    mine = wish(offer.id, rider)
    [first] = await shop.redeem(mine)
    for state, days, rows in (("refused", 31, 40), ("cancelled", 31, 5), ("refused", 29, 3)):
        await shop.pool.execute(SQL_REFUSED, rider, offer.id, offer.merchant_id, state, days, rows)
    for state in ("used", "expired"):
        [id_] = [await shop.redeem_one(offer)]
        await shop.pool.execute(
            "UPDATE redemptions SET state = $2, ended_at = now() - interval '900 days' WHERE id = $1", id_, state
        )
    table = _table("redemptions")
    assert table.sweep_sql is not None and table.sweep is not None
    gone = await shop.pool.fetchrow(table.sweep_sql, table.sweep.after, None, 1_000)
    assert gone is not None and gone["rows"] == 45
    assert dict(await shop.pool.fetch(SQL_LEFT)) == {"refused": 3, "used": 1, "expired": 1, "issued": 1}
    async with shop.pool.acquire() as conn, conn.transaction():
        assert [one for one in await counters.differences(conn) if one.what != counters.UNEXPLAINED] == []
        assert (await store.tallies(conn))["refused"] == 3
    for state in ("used", "expired", "issued"):
        with pytest.raises(asyncpg.RestrictViolationError, match="and stays"):
            await shop.pool.execute("DELETE FROM redemptions WHERE state = $1", state)
    [again] = await shop.redeem(mine)
    assert isinstance(first, Redeemed) and isinstance(again, Redeemed)
    assert again.replayed and again.body == first.body


async def test_whoever_answers_and_whoever_redeems_never_wait_for_each_other(
    shop: Shop, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both change the same kept number: it is touched behind the offer's lock by both."""
    offer = await shop.offer()
    refused = await shop.redeem_one(offer)
    same_shard: dict[int, Any] = {}
    opened = []
    while True:
        conn = await asyncpg.connect(installation.dsn("rewards"))
        opened.append(conn)
        if (partner := same_shard.setdefault(conn.get_server_pid() % 8, conn)) is not conn:
            break
    taken, locked = offers.taken, asyncio.Event()

    async def slowly(*arguments: Any) -> dict[Any, Taken]:
        locked.set()
        await asyncio.sleep(0.5)  # meanwhile the other comes as far as it can
        return await taken(*arguments)

    monkeypatch.setattr(offers, "taken", slowly)

    try:
        redeeming = asyncio.create_task(_redeem(shop, partner, wish(offer.id)))
        await locked.wait()
        await shop.answer("refused", refused, on=conn)
        assert await redeeming == ["granted"]
    finally:
        for one in opened:
            await one.close()
    assert await shop.stock(offer) == (99, 1, 0)
