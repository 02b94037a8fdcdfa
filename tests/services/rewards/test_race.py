"""300 riders, 100 gifts, four replicas: no oversell, no undersell. And the same race with the guards taken out."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from uuid import UUID

import pytest

from services.rewards.api.redeeming import Redeemed
from services.rewards.domain import Offer
from services.rewards.store import offers
from services.rewards.store.offers import Stock
from shared.kit.postgres.db import Connection
from shared.kit.postgres.rows import Query
from shared.kit.refusals import Refusal
from tests.services.rewards.shop import Shop, wish

STOCK, RACERS, REPLICAS = 100, 300, 4
UNLOCKED = Query(Offer, offers.SQL_LOCK_OFFERS.text.replace("FOR NO KEY UPDATE OF o", ""))
# what was read is written back: the classical lost update
UNGUARDED = Query(
    Stock,
    offers.SQL_HOLD_STOCK.text.replace(
        "free = o.free - wanted.n * o.counted::int, held = o.held + wanted.n",
        "free = greatest(o.free - wanted.n, 0), held = least(o.held + wanted.n, o.stock - o.sold)",
    ).replace("AND (o.free >= wanted.n OR NOT o.counted)", ""),
)


async def _race(shop: Shop, offer: Offer, *, at_once: bool = False) -> Counter[str]:
    """Every fifth racer sends twice with the same key; `at_once`: none does, and nobody is late. What came of each."""
    replicas = [shop.batcher() for _ in range(REPLICAS)]
    dice = random.Random(5)
    wishes = [wish(offer.id) for _ in range(RACERS)]
    if not at_once:
        wishes += dice.sample(wishes, RACERS // 5)
    dice.shuffle(wishes)
    for replica in replicas:
        await replica.start()

    async def one(at: int) -> str:
        await asyncio.sleep(0 if at_once else dice.random() * 0.05)
        try:
            answer: Redeemed = await replicas[at % REPLICAS].submit(wishes[at])
        except Refusal as problem:
            return problem.code
        return "again" if answer.replayed else "granted"

    try:
        return Counter(await asyncio.gather(*(one(at) for at in range(len(wishes)))))
    finally:
        for replica in replicas:
            await replica.stop()


async def test_exactly_the_stock_is_granted(shop: Shop) -> None:
    offer = await shop.offer(stock=STOCK)
    outcomes = await _race(shop, offer)
    assert outcomes["granted"] == STOCK
    assert outcomes["granted"] + outcomes["again"] + outcomes["sold_out"] == RACERS + RACERS // 5
    assert await shop.stock(offer) == (0, STOCK, 0)


async def test_with_walk_aways_everything_comes_back_or_is_sold(shop: Shop) -> None:
    offer = await shop.offer(stock=STOCK)
    await _race(shop, offer)
    rows = await shop.pool.fetch("SELECT id FROM redemptions ORDER BY id")
    ids = [row["id"] for row in rows]
    await asyncio.gather(shop.answer("held", *ids[:80]), shop.answer("refused", *ids[60:]), shop.answer("held", *ids))
    issued = [r["id"] for r in await shop.pool.fetch("SELECT id FROM redemptions WHERE state = 'issued' ORDER BY id")]
    for id_ in issued[:30]:
        await shop.time_is_over(id_)
    codes = [await shop.code(id_) for id_ in issued]
    verifying = (shop.verify(offer.merchant_id, code) for code in codes)
    outcomes = await asyncio.gather(*verifying, shop.sweep(), shop.sweep(), return_exceptions=True)
    assert not [o for o in outcomes if isinstance(o, BaseException)]
    await shop.sweep()
    sold = len(issued) - 30
    assert await shop.stock(offer) == (STOCK - sold, 0, sold)


async def test_the_race_sees_a_read_check_write(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "SQL_LOCK_OFFERS", UNLOCKED)
    monkeypatch.setattr(offers, "SQL_HOLD_STOCK", UNGUARDED)
    read, all_have_read = offers.lock_offers, asyncio.Barrier(REPLICAS)

    async def read_together(conn: Connection, ids: Iterable[UUID]) -> dict[UUID, Offer]:
        """All replicas have as many batches, so that they read in turns: a loaded machine might let none overlap."""
        found = await read(conn, ids)
        await all_have_read.wait()
        return found

    monkeypatch.setattr(offers, "lock_offers", read_together)
    offer = await shop.offer(stock=STOCK)
    assert (await _race(shop, offer, at_once=True))["granted"] > STOCK


async def test_without_the_lock_the_guard_still_holds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "SQL_LOCK_OFFERS", UNLOCKED)
    offer = await shop.offer(stock=STOCK)

    async def flush_errors() -> Counter[str]:
        try:
            return await _race(shop, offer)
        except offers.StockMoved:
            return Counter()

    await flush_errors()
    assert (await shop.stock(offer))[1] <= STOCK
