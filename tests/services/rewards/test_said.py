"""What is said outside: stock and vouchers without riders."""

from shared.events.public_stock_changed import PUBLIC_STOCK_CHANGED
from shared.events.public_voucher_changed import PUBLIC_VOUCHER_CHANGED
from shared.kit import clock
from shared.kit.ids import new_id
from tests.services.rewards.shop import Shop, wish
from tests.support import published


async def test_stock_is_said_once_a_change_and_ends_as_it_is(shop: Shop) -> None:
    offer = await shop.offer(stock=10)
    await shop.redeem(*(wish(offer.id) for _ in range(4)))
    rows = await shop.pool.fetch("SELECT id FROM redemptions ORDER BY id")
    used, expired, refused, undone = [row["id"] for row in rows]
    await shop.answer("held", used, expired, undone)
    await shop.answer("refused", refused)
    for id_ in (used, undone):
        await shop.verify(offer.merchant_id, await shop.code(id_))
    await shop.time_is_over(expired)
    await shop.sweep()
    await shop.undo(undone)
    said = await published(shop.pool, PUBLIC_STOCK_CHANGED, offer.id)
    assert [one["version"] for one in said] == list(range(1, len(said) + 1))
    assert [(one["free"], one["held"], one["sold"]) for one in said] == [
        (6, 4, 0), (7, 3, 0), (7, 2, 1), (7, 1, 2), (8, 0, 2), (9, 0, 1),
    ]  # fmt: skip
    assert await shop.stock(offer) == (9, 0, 1)


async def test_a_station_says_what_it_gave_without_network(shop: Shop) -> None:
    offer, (east, west) = await shop.stations(2, 2, price=0)
    code = await shop.code(await shop.redeem_one(offer))
    (_, of_east), (_, of_west) = await shop.paper(east), await shop.paper(west)
    for station, paper in ((east, of_east), (west, of_west)):
        await shop.upload(station, paper["list_id"], (code, clock.now()))
    said = await published(shop.pool, PUBLIC_STOCK_CHANGED, offer.id)
    assert [(one["stock"], one["free"], one["sold"]) for one in said] == [(4, 3, 0), (4, 3, 1), (3, 2, 1)]
    assert [one["version"] for one in said] == [1, 2, 3]


async def test_vouchers_are_said_without_riders_and_wishes_are_not(shop: Shop) -> None:
    offer, rider = await shop.offer(stock=5), new_id()
    granted, poor = await shop.redeem_one(offer, rider), await shop.redeem_one(offer)
    await shop.answer("held", granted)
    await shop.answer("refused", poor)
    await shop.verify(offer.merchant_id, await shop.code(granted))
    said = await published(shop.pool, PUBLIC_VOUCHER_CHANGED)
    assert [(one["redemption_id"], one["state"], one["version"]) for one in said] == [
        (str(granted), "issued", 2), (str(granted), "used", 3),
    ]  # fmt: skip
    assert not any(str(rider) in str(one) or "rider_id" in one for one in said)
