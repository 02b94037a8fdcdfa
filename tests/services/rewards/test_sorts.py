"""Offers of every sort: so many a day, once a rider, what never runs out, agreed hours, one company's riders."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest

from services.rewards.api.redeeming import Redeemed
from services.rewards.domain import EARLY, Offer, Quota, is_open
from services.rewards.store import offers, slots
from services.rewards.store.slots import NewSlot
from services.rewards.usecases import redemptions as redeeming
from services.rewards.usecases.redemptions import Wish
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal
from shared.known.knowing import Riders, follow_riders
from tests.services.rewards.shop import Shop, wish
from tests.support import hear, rider_is, work_on

SQL_DAY = "SELECT day, taken, most FROM offer_days WHERE offer_id = $1 ORDER BY day"
SQL_YESTERDAY = "UPDATE offer_days SET day = day - 1 WHERE offer_id = $1"
SQL_ASKED_YESTERDAY = "UPDATE redemptions SET requested_on = requested_on - 1 WHERE offer_id = $1"
SQL_OVER_QUOTA = "UPDATE offer_days SET taken = taken + 1 WHERE offer_id = $1"
SQL_OVER_SLOT = "UPDATE slots SET taken = taken + 1 WHERE id = $1"


def codes(answers: list[Redeemed | Exception]) -> list[str]:
    """What came of each."""
    return [answer.code if isinstance(answer, Refusal) else "granted" for answer in answers]


async def a_day_later(shop: Shop, offer: Offer) -> None:
    """As if all that was asked for had been asked for the day before."""
    await shop.pool.execute(SQL_ASKED_YESTERDAY, offer.id)
    await shop.pool.execute(SQL_YESTERDAY, offer.id)


async def test_ten_breakfasts_a_day_for_a_week(shop: Shop) -> None:
    offer = await shop.offer(price=0, stock=70, per_day_max=10, per_rider_day_max=1)
    regular = new_id()
    for _ in range(7):
        answers = await shop.redeem(*(wish(offer.id, rider) for rider in (regular, regular, *map(_new, range(12)))))
        assert codes(answers) == ["granted", "rider_day_quota_used", *["granted"] * 9, *["day_quota_used"] * 3]
        await a_day_later(shop, offer)
    assert await shop.stock(offer) == (0, 70, 0)
    assert [(row["taken"], row["most"]) for row in await shop.pool.fetch(SQL_DAY, offer.id)] == [(10, 10)] * 7
    assert codes(await shop.redeem(wish(offer.id))) == ["sold_out"]


async def test_what_came_to_nothing_is_of_the_days_quota_again(shop: Shop) -> None:
    offer = await shop.offer(price=0, per_day_max=2)
    first, second = await shop.redeem_one(offer), await shop.redeem_one(offer)
    assert codes(await shop.redeem(wish(offer.id))) == ["day_quota_used"]
    await shop.time_is_over(first)
    await shop.sweep()
    assert codes(await shop.redeem(wish(offer.id), wish(offer.id))) == ["granted", "day_quota_used"]
    await shop.verify(offer.merchant_id, await shop.code(second))
    await shop.undo(second)
    assert codes(await shop.redeem(wish(offer.id))) == ["granted"]
    [row] = await shop.pool.fetch(SQL_DAY, offer.id)
    assert row["taken"] == 2
    await shop.stock(offer)


async def test_a_day_ends_by_the_citys_clock(shop: Shop) -> None:
    """At 16:30 UTC it is the next day in Shanghai."""
    offer = await shop.offer(price=0, per_day_max=1, valid_from=datetime(2026, 1, 1, tzinfo=UTC))
    for hour, expected in ((15, "granted"), (15, "day_quota_used"), (16, "granted"), (23, "day_quota_used")):
        async with work_on(shop.pool) as work:
            work.now = datetime(2026, 5, 1, hour, 30, tzinfo=UTC)
            [outcome] = await redeeming.redeem(shop.desk, work, [Wish(new_id(), offer.id)])
        assert (outcome.code if isinstance(outcome, Refusal) else "granted") == expected
    rows = await shop.pool.fetch(SQL_DAY, offer.id)
    assert [row["day"] for row in rows] == [date(2026, 5, 1), date(2026, 5, 2)]


async def test_the_database_refuses_more_than_a_day_or_an_hour_has(shop: Shop) -> None:
    """Whatever code forgets: the checks of the tables are the limit."""
    offer = await shop.offer(price=0, per_day_max=1, by_appointment=True)
    slot = await _slot(shop, offer, places=1)
    await shop.redeem_one(offer, slot=slot)
    with pytest.raises(asyncpg.CheckViolationError, match="offer_days_quota"):
        await shop.pool.execute(SQL_OVER_QUOTA, offer.id)
    with pytest.raises(asyncpg.CheckViolationError, match="slots_capacity"):
        await shop.pool.execute(SQL_OVER_SLOT, slot)


async def test_a_batch_that_forgot_the_quota_is_not_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = await shop.offer(price=0, stock=5, per_day_max=2)
    monkeypatch.setattr(offers, "SQL_TAKEN_TODAY", "SELECT $1::uuid[], $2::date WHERE false")
    assert codes(await shop.redeem(wish(offer.id), wish(offer.id))) == ["granted", "granted"]
    with pytest.raises(asyncpg.CheckViolationError, match="offer_days_quota"):
        await shop.redeem(wish(offer.id))
    assert await shop.stock(offer) == (3, 2, 0)


async def test_a_tyre_is_patched_once_and_pumped_all_year(shop: Shop) -> None:
    patch = await shop.offer(price=0, per_rider_max=1)
    air = await shop.offer(price=0, stock=0, counted=False, name="air")
    rider = new_id()
    assert codes(await shop.redeem(wish(patch.id, rider), wish(patch.id, rider))) == ["granted", "rider_quota_used"]
    ids = [await shop.redeem_one(air, rider) for _ in range(20)]
    assert await shop.stock(air) == (0, 20, 0)
    for id_ in ids[:15]:
        assert (await shop.verify(air.merchant_id, await shop.code(id_))).outcome == "used"
    await shop.time_is_over(ids[15])
    await shop.sweep()
    await shop.undo(ids[0])
    assert await shop.stock(air) == (0, 4, 14)


async def test_hours_are_agreed_on_until_they_are_full(shop: Shop) -> None:
    offer = await shop.offer(price=0, by_appointment=True)
    soon, full = await _slot(shop, offer, minutes=10, places=2), await _slot(shop, offer, minutes=200, places=1)
    over = await _slot(shop, offer, minutes=-5)
    other = await _slot(shop, await shop.offer(by_appointment=True))
    asked = [None, new_id(), other, over, full, full, soon, soon, soon]
    answers = codes(await shop.redeem(*(wish(offer.id, slot=one) for one in asked)))
    assert answers == [
        *["slot_needed"] * 3, "slot_over", "granted", "slot_full", "granted", "granted", "slot_full",
    ]  # fmt: skip
    assert codes(await shop.redeem(wish(offer.id, slot=soon))) == ["slot_full"], "counted in the table, too"
    rows = await shop.pool.fetch("SELECT id, slot_id FROM redemptions ORDER BY id")
    for row in rows:
        redemption = await shop.read(row["id"])
        verdict = await shop.verify(offer.merchant_id, await shop.code(row["id"]))
        assert verdict.outcome == ("used" if row["slot_id"] == soon else "closed_now")
        slot = (await _slots(shop, offer))[row["slot_id"]]
        assert redemption.deadline_at == slot.ends_at
        assert (slot.starts_at - clock.now() <= EARLY) == (row["slot_id"] == soon)
    await shop.time_is_over(next(row["id"] for row in rows if row["slot_id"] == full))
    await shop.sweep()
    assert codes(await shop.redeem(wish(offer.id, slot=full))) == ["granted"]
    await shop.stock(offer)


async def test_an_hour_is_put_up_once_and_only_where_hours_are_agreed_on(shop: Shop) -> None:
    offer, other = await shop.offer(by_appointment=True), await shop.offer()
    starts_at = clock.now() + timedelta(hours=1)
    hours = [NewSlot(new_id(), starts_at, starts_at + timedelta(hours=1), 3)]
    async with shop.pool.acquire() as conn:
        assert await slots.add(conn, offer.id, hours)
        assert not await slots.add(conn, offer.id, [NewSlot(new_id(), starts_at, starts_at + timedelta(hours=2), 3)])
        assert not await slots.add(conn, other.id, hours)


async def test_an_offer_for_a_companys_riders(shop: Shop) -> None:
    offer = await shop.offer(price=0, companies=("suda",))
    mine, others, gone, stranger = new_id(), new_id(), new_id(), new_id()
    riders = [rider_is(mine, company="suda"), rider_is(others, company="feima")]
    riders.append(rider_is(gone, company="suda", active=False))
    await hear(shop.pool, partial(follow_riders, Riders()), *riders)
    answers = await shop.redeem(*(wish(offer.id, one) for one in (mine, others, gone, stranger)))
    assert codes(answers) == ["granted", *["not_for_you"] * 3]
    async with shop.pool.acquire() as conn:
        seen = {one: await offers.offers(conn, UUID(int=0), None, 9, rider_id=one) for one in (mine, others)}
    assert [len(seen[one]) for one in (mine, others)] == [1, 0]


async def test_an_offer_is_shown_in_its_areas(shop: Shop) -> None:
    here = await shop.offer(areas=("330114",))
    everywhere = await shop.offer(merchant_id=here.merchant_id)
    async with shop.pool.acquire() as conn:
        found = {
            area: [one.id for one in await offers.offers(conn, UUID(int=0), here.merchant_id, 9, area)]
            for area in (None, "330114", "330105")
        }
    assert found == {None: [here.id, everywhere.id], "330114": [here.id, everywhere.id], "330105": [everywhere.id]}


async def test_replicas_that_take_the_last_of_a_day_together(shop: Shop) -> None:
    offer = await shop.offer(price=0, stock=500, per_day_max=10)
    answers = await asyncio.gather(*(shop.redeem(*(wish(offer.id) for _ in range(5))) for _ in range(8)))
    assert sum(codes(one).count("granted") for one in answers) == 10
    await shop.stock(offer)


@pytest.mark.parametrize(
    ("quota", "zh", "en"),
    [
        (Quota(50, None, None, None), "共 50 份", "50 in all"),
        (Quota(None, 10, None, 1), "每日 10 份，每人每日 1 次", "10 a day, 1 a rider and day"),
        (Quota(None, None, None, None), "不限量", "without a limit"),
    ],
)
def test_a_quota_in_words(quota: Quota, zh: str, en: str) -> None:
    assert quota.words() == (zh, en)


@pytest.mark.parametrize(
    ("day", "hour", "expected"),
    [(2, 23, True), (3, 1, True), (3, 23, False), (4, 1, False), (1, 23, False), (2, 1, False)],
)
def test_hours_over_midnight_are_of_the_day_on_which_they_begin(day: int, hour: int, expected: bool) -> None:
    """Mondays from 22:00 to 02:00; March 2 of 2026 is one."""
    assert is_open(22 * 60, 26 * 60, datetime(2026, 3, day, hour, tzinfo=UTC), 0b0000001) is expected


def _new(_: int) -> UUID:
    return new_id()


async def _slot(shop: Shop, offer: Offer, minutes: int = 60, places: int = 1) -> UUID:
    starts_at = clock.now() + timedelta(minutes=minutes)
    id_ = new_id()
    async with shop.pool.acquire() as conn:
        assert await slots.add(conn, offer.id, [NewSlot(id_, starts_at, starts_at + timedelta(hours=1), places)])
    return id_


async def _slots(shop: Shop, offer: Offer) -> dict[UUID, slots.Slot]:
    async with shop.pool.acquire() as conn:
        return {one.id: one for one in await slots.slots(conn, offer.id, UUID(int=0), 99)}
