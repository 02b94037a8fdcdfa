"""What a counter says later is asked what is asked at a counter with network, and moves its own stock alone."""

import asyncio
from collections import Counter
from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from services.rewards.domain import Offer
from services.rewards.retention import TABLES
from services.rewards.store import merchants, offers, stations
from services.rewards.store.merchants import Clerk
from services.rewards.store.slots import NewSlot
from services.rewards.store.slots import add as add_slots
from services.rewards.usecases.signing import Signer
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal
from tests.services.rewards.shop import Shop
from tests.services.rewards.test_offline import outcomes, voucher

ZONE = ZoneInfo("Asia/Shanghai")
SQL_OLD = """
UPDATE offline_lists SET made_at = made_at - d, good_until = good_until - d, closes_at = closes_at - d
FROM make_interval(days => $2) AS d WHERE id = $1
"""


async def versions(shop: Shop, offer: Offer) -> tuple[int, list[int]]:
    """Of the offer, and of its stations."""
    async with shop.pool.acquire() as conn:
        found = await offers.offer(conn, offer.id)
        there = await stations.stations(conn, offer.id, UUID(int=0), 9)
    assert found is not None
    return found.version, [one.version for one in there]


def hours_later(now: datetime) -> tuple[int, int]:
    """Opening hours, in minutes of the city's day, that begin in an hour."""
    local = now.astimezone(ZONE)
    minute = local.hour * 60 + local.minute
    return (minute + 60) % 1440, (minute + 60) % 1440 + 60


async def test_a_counter_loses_no_piece_of_another_merchant(shop: Shop) -> None:
    mine, other = await shop.offer(price=0, stock=5), await shop.offer(price=0, stock=5)
    water, (_, west) = await shop.stations(2, 2, price=0)
    _, foreign = await voucher(shop, other)
    await shop.verify(other.merchant_id, foreign)
    _, read = await shop.paper(mine.merchant_id)
    lines = await shop.upload(mine.merchant_id, read["list_id"], (foreign, clock.now()))
    assert outcomes(lines) == [("foreign", "merchant")], "it was never on the list, used or not"
    async with shop.pool.acquire() as conn:
        await stations.lose(conn, other.id, mine.merchant_id, 1)
        await stations.lose(conn, water.id, mine.merchant_id, 1)
    assert await shop.stock(other) == (4, 0, 1)
    assert await shop.stock(water) == (4, 0, 0)
    async with shop.pool.acquire() as conn:
        await stations.lose(conn, water.id, west, 9)
    assert await shop.at_stations(water) == [(2, 0), (0, 0)], "no more than it has, and none of the other station's"
    assert await shop.stock(water) == (2, 0, 0)


async def test_whoever_has_counted_before_a_loss_counts_once_more(shop: Shop) -> None:
    offer = await shop.offer(price=0, stock=5)
    water, (east, _) = await shop.stations(2, 2, price=0)
    (_, code), (_, of_water) = await voucher(shop, offer), await voucher(shop, water)
    before, waters = await versions(shop, offer), await versions(shop, water)
    at = clock.now()
    for merchant_id, shown in ((offer.merchant_id, code), (east, of_water)):
        _, read = await shop.paper(merchant_id)
        lines = await shop.upload(merchant_id, read["list_id"], (shown, at), (shown, at + timedelta(minutes=1)))
        assert outcomes(lines) == [("sold", None), ("double", "merchant")]
        assert lines[1].first_at == at
    assert await versions(shop, offer) == (before[0] + 1, [])
    assert await versions(shop, water) == (waters[0] + 1, [waters[1][0] + 1, waters[1][1]])
    async with shop.pool.acquire() as conn:
        assert not await offers.set_stock(conn, offer.id, 5, before[0]), "the operator has not seen the loss"
        assert await offers.set_stock(conn, offer.id, 4, before[0] + 1)


async def test_what_a_station_had_without_anybodys_knowing_raises_its_version(shop: Shop) -> None:
    water, (east, _) = await shop.stations(1, 2, price=0)
    codes = [(await voucher(shop, water))[1] for _ in range(2)]
    (version, (of_east, of_west)), (_, read) = await versions(shop, water), await shop.paper(east)
    await shop.upload(east, read["list_id"], *((code, clock.now()) for code in codes))
    assert await versions(shop, water) == (version + 1, [of_east + 1, of_west])


async def test_a_line_that_comes_again_from_another_list_is_no_second_piece(shop: Shop) -> None:
    offer = await shop.offer(price=0, stock=5)
    _, code = await voucher(shop, offer)
    (_, first), (_, second), (_, third) = [await shop.paper(offer.merchant_id) for _ in range(3)]
    at = clock.now()
    assert outcomes(await shop.upload(offer.merchant_id, first["list_id"], (code, at))) == [("sold", None)]
    again = await shop.upload(offer.merchant_id, second["list_id"], (code, at))
    assert outcomes(again) == [("double", "merchant")]
    assert await shop.stock(offer) == (4, 0, 1)
    later = await shop.upload(offer.merchant_id, third["list_id"], (code, at + timedelta(minutes=9)))
    assert outcomes(later) == [("double", "merchant")]
    assert await shop.stock(offer) == (3, 0, 1)


async def test_what_was_no_sale_is_in_nobodys_way(shop: Shop) -> None:
    """The lines are in no order: of one voucher the first is too late, the second in time, the third a second piece."""
    offer = await shop.offer(price=0, stock=5)
    _, code = await voucher(shop, offer)
    _, read = await shop.paper(offer.merchant_id)
    at = clock.now()
    taken = [(code, at + timedelta(days=1)), (code, at), (code, at + timedelta(minutes=1))]
    lines = await shop.upload(offer.merchant_id, read["list_id"], *taken)
    assert outcomes(lines) == [("late", "merchant"), ("sold", None), ("double", "merchant")]
    assert await shop.stock(offer) == (3, 0, 1)


async def test_who_may_not_take_a_voucher_uploads_none(shop: Shop) -> None:
    offer = await shop.offer(price=0)
    _, code = await voucher(shop, offer)
    _, read = await shop.paper(offer.merchant_id)
    async with shop.pool.acquire() as conn:
        await merchants.set_clerk(conn, offer.merchant_id, Clerk("wang", "王芳", active=True), "op")
    with pytest.raises(Refusal) as refused:
        await shop.upload(offer.merchant_id, read["list_id"], (code, clock.now()), clerk="anybody")
    assert refused.value.code == "not_staff"
    lines = await shop.upload(offer.merchant_id, read["list_id"], (code, clock.now()), clerk="wang")
    assert outcomes(lines) == [("sold", None)]


async def test_hours_are_asked_with_the_time_that_the_counter_noted(shop: Shop) -> None:
    now = clock.now()
    opens, closes = hours_later(now)
    offer = await shop.offer(price=0, stock=5, opens_minute=opens, closes_minute=closes, voucher_minutes=300)
    (_, closed), (_, in_hours) = await voucher(shop, offer), await voucher(shop, offer)
    assert (await shop.verify(offer.merchant_id, closed)).outcome == "closed_now"
    _, read = await shop.paper(offer.merchant_id)
    [hours] = {(e["opens_minute"], e["closes_minute"], e["weekdays"]) for e in read["entries"]}
    assert hours == (opens, closes, 127), "the counter could know"
    lines = await shop.upload(
        offer.merchant_id, read["list_id"], (closed, now), (in_hours, now + timedelta(minutes=61))
    )
    assert outcomes(lines) == [("closed", "merchant"), ("sold", None)]
    assert await shop.stock(offer) == (3, 1, 1)


async def test_in_hours_with_five_minutes_patience_it_is_sold(shop: Shop) -> None:
    now = clock.now()
    midnight = datetime.combine(now.astimezone(ZONE).date(), time(), ZONE)
    minute = int((now - midnight).total_seconds() // 60)
    offer = await shop.offer(price=0, opens_minute=(minute + 4) % 1440, closes_minute=(minute + 4) % 1440 + 60)
    _, code = await voucher(shop, offer)
    _, read = await shop.paper(offer.merchant_id)
    assert outcomes(await shop.upload(offer.merchant_id, read["list_id"], (code, now))) == [("sold", None)]


async def test_before_an_hour_that_was_agreed_on_nothing_is_taken(shop: Shop) -> None:
    offer, now, slot = await shop.offer(price=0, by_appointment=True), clock.now(), new_id()
    async with shop.pool.acquire() as conn:
        await add_slots(conn, offer.id, [NewSlot(slot, now + timedelta(hours=2), now + timedelta(hours=3), 1)])
    id_ = await shop.redeem_one(offer, slot=slot)
    _, read = await shop.paper(offer.merchant_id)
    lines = await shop.upload(offer.merchant_id, read["list_id"], (await shop.code(id_), now))
    assert outcomes(lines) == [("closed", "merchant")]


async def test_wrong_codes_count_as_at_a_counter_with_network(shop: Shop) -> None:
    mine, other = await shop.offer(price=0), await shop.offer(price=0)
    (_, good), (_, foreign) = await voucher(shop, mine), await voucher(shop, other)
    (_, first), (_, second) = await shop.paper(mine.merchant_id), await shop.paper(mine.merchant_id)
    at = clock.now()
    wrong = [("2222-2222-22222", at), ("nonsense", at), ("3333-3333-33333", at), ("4444-4444-44444", at), (foreign, at)]
    lines = await shop.upload(mine.merchant_id, first["list_id"], *wrong)
    assert Counter(line.outcome for line in lines) == {"unknown": 4, "foreign": 1}
    assert (await shop.verify(mine.merchant_id, good)).outcome == "too_many"
    with pytest.raises(Refusal) as refused:
        await shop.upload(mine.merchant_id, second["list_id"], (good, at))
    assert (refused.value.code, refused.value.headers["Retry-After"]) == ("rate_limited", "600")
    assert await shop.upload(mine.merchant_id, first["list_id"], *wrong) == lines, "the same again gets its answer"
    await shop.pool.execute("UPDATE voucher_attempts SET window_from = now() - interval '1 hour'")
    assert outcomes(await shop.upload(mine.merchant_id, second["list_id"], (good, at))) == [("sold", None)]


async def test_a_merchant_has_so_many_open_lists(shop: Shop) -> None:
    offer, other = await shop.offer(price=0), await shop.merchant()
    ends = await asyncio.gather(*(shop.paper(offer.merchant_id) for _ in range(6)), return_exceptions=True)
    made = [end for end in ends if not isinstance(end, BaseException)]
    assert len(made) == 3 and {end.code for end in ends if isinstance(end, Refusal)} == {"lists_open"}
    await shop.paper(other)
    lists = [UUID(read["list_id"]) for _, read in made]
    await shop.upload(offer.merchant_id, lists[0])
    await shop.paper(offer.merchant_id)
    with pytest.raises(Refusal):
        await shop.paper(offer.merchant_id)
    await shop.pool.execute(SQL_OLD, lists[1], 2)
    await shop.paper(offer.merchant_id)


async def test_a_list_that_nobody_settles_leaves_after_a_month(shop: Shop) -> None:
    offer = await shop.offer(price=0)
    settled, stale, lately = [UUID((await shop.paper(offer.merchant_id))[1]["list_id"]) for _ in range(3)]
    await shop.upload(offer.merchant_id, settled)
    for list_id, days in ((settled, 90), (stale, 32), (lately, 20)):
        await shop.pool.execute(SQL_OLD, list_id, days)
    [table] = [one for one in TABLES if one.name == "offline_lists"]
    assert table.sweep_sql is not None and table.sweep is not None
    gone = await shop.pool.fetchrow(table.sweep_sql, table.sweep.after, None, 1_000)
    assert gone is not None and gone["rows"] == 1
    assert {row["id"] for row in await shop.pool.fetch("SELECT id FROM offline_lists")} == {settled, lately}
    with pytest.raises(asyncpg.RestrictViolationError, match="and stays"):
        await shop.pool.execute("DELETE FROM offline_lists WHERE id = $1", settled)


def test_every_published_key_verifies_by_its_id() -> None:
    old, new = b"the secret of last year", b"the secret of this year"
    before, after = Signer(old), Signer(new, old)
    signed = before.sign("a list")
    assert after.verifies("a list", signed, before.key_id), "a list that was made before the change"
    assert not after.verifies("a list", signed, after.key_id), "the other key has not signed it"
    assert not after.verifies("a list", signed, "0" * 16) and not after.verifies("a list", "no base64!", before.key_id)
    assert after.verifies("a list", after.sign("a list"), after.key_id)
    assert [one.id for one in after.published] == [after.key_id, before.key_id]
    assert [one.key for one in after.published] == [after.public, before.public]


async def test_one_code_is_the_programmes_loss_once_at_a_merchant(shop: Shop) -> None:
    offer, (east, west) = await shop.stations(3, 30, price=30)
    id_ = await shop.redeem_one(offer)
    await shop.answer("held", id_, amount=-30)
    code = await shop.code(id_)
    papers = [(await shop.paper(west))[1] for _ in range(2)]
    assert (await shop.verify(east, code)).outcome == "used"
    lines = await shop.upload(west, papers[0]["list_id"], *((code, clock.now()) for _ in range(5)))
    lines += await shop.upload(west, papers[1]["list_id"], (code, clock.now()))
    borne = [(line.outcome, line.borne_by) for line in lines]
    assert borne == [("double", "programme"), *[("double", "merchant")] * 5]
