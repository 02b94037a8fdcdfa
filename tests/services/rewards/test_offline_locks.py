"""Uploads, counters and lists at the same moment: nobody waits in a circle, and a voucher waits for its newest list."""

import asyncio
from uuid import UUID

from services.rewards.domain import Offer
from services.rewards.usecases import offline
from shared.kit import clock
from shared.kit.postgres.db import Connection
from tests.asking import soon
from tests.services.rewards.shop import Shop
from tests.support import work_on

SQL_IN_HAND = "SELECT FROM redemptions WHERE id = $1 FOR UPDATE"
SQL_OFFER = "SELECT FROM offers WHERE id = $1 FOR NO KEY UPDATE NOWAIT"
SQL_BEHIND = "SELECT pid FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"
SQL_KEPT = """
SELECT r.kept_until = l.closes_at FROM redemptions r, offline_lists l WHERE r.id = $1 AND l.id = $2
"""


async def _vouchers(shop: Shop, offer: Offer) -> tuple[tuple[UUID, str], tuple[UUID, str]]:
    """(id, code) of two."""
    ids = [await shop.redeem_one(offer), await shop.redeem_one(offer)]
    first, second = [(id_, await shop.code(id_)) for id_ in ids]
    return first, second


async def _somebody_waits(shop: Shop, conn: Connection) -> None:
    """Until another session waits for what this one has locked."""
    await soon(lambda: shop.pool.fetch(SQL_BEHIND, conn.get_server_pid()), bool)


async def test_an_upload_waits_for_a_counter_without_its_offer(shop: Shop) -> None:
    """The counter has a voucher in hand that is on the list, too, and wants the offer next."""
    offer = await shop.offer(price=0)
    (_, taken), (in_hand, _) = await _vouchers(shop, offer)
    _, read = await shop.paper(offer.merchant_id)
    async with shop.pool.acquire() as counter, counter.transaction():
        await counter.execute(SQL_IN_HAND, in_hand)
        uploading = asyncio.create_task(shop.upload(offer.merchant_id, read["list_id"], (taken, clock.now())))
        await _somebody_waits(shop, counter)
        await counter.execute(SQL_OFFER, offer.id)
    assert [line.outcome for line in await uploading] == ["sold"]


async def test_undoing_waits_for_a_counter_without_its_offer(shop: Shop) -> None:
    """The counter has a voucher in hand that was used."""
    offer = await shop.offer(price=0)
    (id_, code), _ = await _vouchers(shop, offer)
    assert (await shop.verify(offer.merchant_id, code)).outcome == "used"
    async with shop.pool.acquire() as counter, counter.transaction():
        await counter.execute(SQL_IN_HAND, id_)
        undoing = asyncio.create_task(shop.undo(id_))
        await _somebody_waits(shop, counter)
        await counter.execute(SQL_OFFER, offer.id)
    assert (await undoing).state == "undone"


async def test_what_a_list_has_that_is_made_meanwhile_is_not_let_go(shop: Shop) -> None:
    offer = await shop.offer(price=0)
    (id_, _), _ = await _vouchers(shop, offer)
    _, read = await shop.paper(offer.merchant_id)
    async with work_on(shop.pool) as work:
        made = await offline.make(shop.offline, work, offer.merchant_id, "clerk")
        uploading = asyncio.create_task(shop.upload(offer.merchant_id, read["list_id"]))
        await _somebody_waits(shop, work.conn)
    assert await uploading == []
    assert await shop.pool.fetchval(SQL_KEPT, id_, made.kept.id), "the new list has it"
