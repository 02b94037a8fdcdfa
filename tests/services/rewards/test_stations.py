"""Vouchers for the whole city: each station has its own pieces, no voucher finds none, none is used twice."""

import asyncio
from collections import Counter

import pytest

from services.rewards.domain import Offer
from services.rewards.store import merchants, stations
from services.rewards.store.merchants import Clerk
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal
from tests.services.rewards.shop import Shop, wish
from tests.services.rewards.test_sorts import codes


async def issued(shop: Shop, offer: Offer, count: int) -> list[str]:
    """Codes of so many vouchers."""
    return [await shop.code(await shop.redeem_one(offer)) for _ in range(count)]


async def test_a_voucher_is_good_at_any_station_that_has_a_piece(shop: Shop) -> None:
    offer, (east, west) = await shop.stations(1, 2, price=0)
    assert await shop.stock(offer) == (3, 0, 0)
    first, second, third = await issued(shop, offer, 3)
    assert codes(await shop.redeem(wish(offer.id))) == ["sold_out"]
    assert (await shop.verify(east, first)).outcome == "used"
    assert (await shop.verify(east, second)).outcome == "station_empty"
    assert (await shop.verify(west, first)).outcome == "not_usable"
    assert (await shop.verify(await shop.merchant(), second)).outcome == "other_merchant"
    assert (await shop.verify(offer.merchant_id, second)).outcome == "other_merchant", "it gives none itself"
    assert (await shop.verify(west, second)).outcome == "used"
    assert (await shop.verify(west, third)).outcome == "used"
    assert await shop.stock(offer) == (0, 0, 3)
    assert await shop.at_stations(offer) == [(0, 1), (0, 2)]


async def test_who_took_it_is_paid_and_gets_it_back(shop: Shop) -> None:
    offer, (_, west) = await shop.stations(1, 1, price=0)
    id_ = await shop.redeem_one(offer)
    await shop.verify(west, await shop.code(id_))
    assert (await shop.read(id_)).merchant_id == west
    rows = await shop.pool.fetch("SELECT merchant_id, vouchers FROM takings")
    assert [tuple(row) for row in rows] == [(west, 1)]
    await shop.undo(id_)
    assert await shop.at_stations(offer) == [(1, 0), (1, 0)]
    assert await shop.stock(offer) == (2, 0, 0)


async def test_a_race_for_the_last_pieces_of_two_stations(shop: Shop) -> None:
    """Everybody goes to the first station, those who find it empty to the other: each voucher is used once."""
    offer, (east, west) = await shop.stations(5, 15, price=0)
    shown = await issued(shop, offer, 20)

    async def walk(code: str) -> list[str]:
        first = (await shop.verify(east, code)).outcome
        return [first] if first == "used" else [first, (await shop.verify(west, code)).outcome]

    ways = await asyncio.gather(*(walk(code) for code in shown * 2))
    ends = Counter(way[-1] for way in ways)
    assert ends["used"] == 20
    assert await shop.stock(offer) == (0, 0, 20)
    assert await shop.at_stations(offer) == [(0, 5), (0, 15)]


async def test_a_station_never_has_fewer_than_vouchers_need(shop: Shop) -> None:
    offer, (east, _) = await shop.stations(3, 1, price=0)
    await issued(shop, offer, 2)

    async def set_stock(stock: int, version: int, merchant_id=east) -> bool:
        class Back(Exception):
            pass

        try:
            async with shop.pool.acquire() as conn, conn.transaction():
                if not await stations.set_stock(conn, offer.id, merchant_id, stock, version):
                    raise Back
        except Back:
            return False
        return True

    assert not await set_stock(0, 1), "two vouchers are out, and the other station has one piece"
    assert await set_stock(1, 1)
    assert not await set_stock(9, 1), "it has moved on"
    assert await set_stock(9, 2)
    assert not await set_stock(1, 0), "it is a station already"
    assert not await set_stock(1, 0, new_id())
    assert await shop.stock(offer) == (8, 2, 0)


async def test_a_rider_cancels_and_all_comes_back(shop: Shop) -> None:
    offer, rider = await shop.offer(stock=2), new_id()
    id_ = await shop.redeem_one(offer, rider)
    await shop.answer("held", id_)
    code = await shop.code(id_)
    with pytest.raises(Refusal) as refused:
        await shop.cancel(id_, new_id())
    assert refused.value.code == "not_found"
    assert (await shop.cancel(id_, rider)).state == "cancelled"
    assert (await shop.cancel(id_, rider)).version == 3, "once more: the same"
    assert (await shop.verify(offer.merchant_id, code)).outcome == "not_usable"
    assert await shop.stock(offer) == (2, 0, 0)
    assert await shop.states(id_) == ["requested", "issued", "cancelled"]
    used = await shop.redeem_one(await shop.offer(price=0), rider)
    await shop.verify((await shop.read(used)).merchant_id, await shop.code(used))
    with pytest.raises(Refusal) as refused:
        await shop.cancel(used, rider)
    assert refused.value.code == "not_cancellable"


async def test_once_somebody_is_named_nobody_else_takes_vouchers(shop: Shop) -> None:
    offer = await shop.offer(price=0)
    first, second, third = await issued(shop, offer, 3)
    assert (await shop.verify(offer.merchant_id, first, "anybody")).outcome == "used"
    async with shop.pool.acquire() as conn:
        await merchants.set_clerk(conn, offer.merchant_id, Clerk("wang", "王芳", active=True), "op")
    assert (await shop.verify(offer.merchant_id, second, "anybody")).outcome == "not_staff"
    assert (await shop.verify(offer.merchant_id, second, "wang")).outcome == "used"
    async with shop.pool.acquire() as conn:
        await merchants.set_clerk(conn, offer.merchant_id, Clerk("wang", "王芳", active=False), "op")
    assert (await shop.verify(offer.merchant_id, third, "wang")).outcome == "not_staff"
