"""Redeeming, issuing, verifying, ending: on real Postgres."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from services.rewards.api.redeeming import Redeemed
from services.rewards.domain import shown
from services.rewards.store import offers, redemptions
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal
from tests.services.rewards.shop import Shop, wish


def _code(answer: object) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.code


async def test_from_wish_to_counter(shop: Shop) -> None:
    offer = await shop.offer(stock=3)
    id_ = await shop.redeem_one(offer)
    assert await shop.stock(offer) == (2, 1, 0)
    await shop.answer("held", id_)
    assert (await shop.read(id_)).state == "issued"
    verdict = await shop.verify(offer.merchant_id, shown(await shop.code(id_)).lower())
    assert verdict.outcome == "used"
    assert await shop.stock(offer) == (2, 0, 1)
    assert await shop.states(id_) == ["requested", "issued", "used"]
    now = clock.now()
    async with shop.pool.acquire() as conn:
        lines = await redemptions.statement(conn, offer.merchant_id, now - timedelta(hours=1), now + timedelta(hours=1))
        figures = await redemptions.tallies(conn)
    assert [(line.vouchers, line.points) for line in lines] == [(1, 50)]
    assert figures["points_spent"] == 50


async def test_an_offer_without_a_price_is_issued_at_once(shop: Shop) -> None:
    offer = await shop.offer(price=0)
    id_ = await shop.redeem_one(offer)
    assert await shop.states(id_) == ["issued"]
    assert (await shop.verify(offer.merchant_id, await shop.code(id_))).outcome == "used"


async def test_refused_points_give_the_stock_back(shop: Shop) -> None:
    offer = await shop.offer(stock=2)
    first, second = await shop.redeem_one(offer), await shop.redeem_one(offer)
    assert [_code(a) for a in await shop.redeem(wish(offer.id))] == ["sold_out"]
    await shop.answer("refused", first, second, reason="insufficient_points")
    assert await shop.stock(offer) == (2, 0, 0)
    assert (await shop.read(first)).reason == "insufficient_points"
    await shop.answer("held", first)
    await shop.answer("refused", first)
    assert await shop.states(first) == ["requested", "refused"]
    assert await shop.stock(offer) == (2, 0, 0)


async def test_other_movements_change_nothing(shop: Shop) -> None:
    offer = await shop.offer()
    id_ = await shop.redeem_one(offer)
    await shop.answer("posted", id_)
    await shop.answer("held", id_, source="report")
    await shop.answer("held", new_id())
    assert (await shop.read(id_)).state == "requested"


async def test_the_sweeper_ends_what_is_due_and_only_that(shop: Shop) -> None:
    offer = await shop.offer(stock=5)
    ids = [await shop.redeem_one(offer) for _ in range(5)]
    await shop.answer("held", *ids[:3])
    assert await shop.sweep() == 0
    for id_ in (ids[0], ids[1], ids[3]):
        await shop.time_is_over(id_)
    assert (await shop.verify(offer.merchant_id, await shop.code(ids[1]))).outcome == "not_usable"
    counts = await asyncio.gather(*(shop.sweep(2) for _ in range(4)))
    counts.append(await shop.sweep())
    assert sum(counts) == 3
    assert await shop.stock(offer) == (3, 2, 0)
    assert await shop.states(ids[0]) == ["requested", "issued", "expired"]
    assert await shop.states(ids[3]) == ["requested", "cancelled"]
    await shop.answer("held", ids[3])
    assert (await shop.read(ids[3])).state == "cancelled"


async def test_quotas_per_rider_and_day_count_what_was_not_given_back(shop: Shop) -> None:
    offer = await shop.offer(per_rider_max=1, per_day_max=2)
    one, two, three = new_id(), new_id(), new_id()
    answers = await shop.redeem(wish(offer.id, one), wish(offer.id, one), wish(offer.id, two), wish(offer.id, three))
    assert [a.code if isinstance(a, Refusal) else "granted" for a in answers] == [
        "granted",
        "rider_quota_used",
        "granted",
        "day_quota_used",
    ]
    assert [_code(a) for a in await shop.redeem(wish(offer.id, one))] == ["rider_quota_used"]
    rows = await shop.pool.fetch("SELECT id FROM redemptions WHERE rider_id = $1", one)
    await shop.answer("refused", rows[0]["id"])
    assert isinstance((await shop.redeem(wish(offer.id, one)))[0], Redeemed)


async def test_validity_and_unknown_offers(shop: Shop) -> None:
    over = await shop.offer(valid_until=clock.now() - timedelta(minutes=1))
    answers = await shop.redeem(wish(over.id), wish(new_id()))
    assert [_code(a) for a in answers] == ["not_valid_now", "not_found"]


async def test_a_repeated_key_gets_the_first_answer(shop: Shop) -> None:
    offer = await shop.offer(stock=1)
    mine = wish(offer.id, key="the-same-key")
    other_body = wish(offer.id, mine.rider_id, key="the-same-key", body=b"changed")
    first, again, changed = await shop.redeem(mine, mine, other_body)
    assert isinstance(first, Redeemed) and isinstance(again, Redeemed)
    assert (first.replayed, again.replayed, first.body) == (False, True, again.body)
    assert _code(changed) == "idempotency_conflict"
    later, changed = await shop.redeem(mine, other_body)
    assert isinstance(later, Redeemed) and later.replayed and later.body == first.body
    assert _code(changed) == "idempotency_conflict"
    assert await shop.stock(offer) == (0, 1, 0)


async def test_a_refused_wish_may_be_tried_again_with_its_key(shop: Shop) -> None:
    offer = await shop.offer(stock=1)
    id_ = await shop.redeem_one(offer)
    mine = wish(offer.id)
    assert [_code(a) for a in await shop.redeem(mine)] == ["sold_out"]
    await shop.answer("refused", id_)
    assert isinstance((await shop.redeem(mine))[0], Redeemed)


async def test_one_voucher_at_two_counters_is_used_once(shop: Shop) -> None:
    offer = await shop.offer()
    id_ = await shop.redeem_one(offer)
    await shop.answer("held", id_)
    code = await shop.code(id_)
    verdicts = await asyncio.gather(*(shop.verify(offer.merchant_id, code) for _ in range(6)))
    assert sorted(v.outcome for v in verdicts) == ["not_usable"] * 5 + ["used"]
    assert await shop.stock(offer) == (99, 0, 1)


async def test_wrong_codes_are_limited_per_merchant(shop: Shop) -> None:
    offer, neighbour = await shop.offer(), await shop.offer()
    id_ = await shop.redeem_one(offer)
    await shop.answer("held", id_)
    code = await shop.code(id_)
    assert (await shop.verify(neighbour.merchant_id, code)).outcome == "other_merchant"
    for guess in ("2222-2222-22222", "nonsense", "", "0" * 13):
        assert (await shop.verify(neighbour.merchant_id, guess)).outcome == "unknown_code"
    assert (await shop.verify(neighbour.merchant_id, code)).outcome == "too_many"
    guesses = await asyncio.gather(*(shop.verify(offer.merchant_id, "2" * 13) for _ in range(9)))
    assert sorted(v.outcome for v in guesses) == ["too_many"] * 4 + ["unknown_code"] * 5
    assert (await shop.verify(offer.merchant_id, code)).outcome == "too_many"
    await shop.pool.execute("UPDATE voucher_attempts SET window_from = now() - interval '601 seconds'")
    assert (await shop.verify(offer.merchant_id, code)).outcome == "used"


async def test_a_counter_takes_vouchers_in_its_hours(shop: Shop) -> None:
    now = clock.now().astimezone(shop.desk.zone)
    minute = (now.hour * 60 + now.minute + 120) % 1380
    offer = await shop.offer(opens_minute=minute, closes_minute=minute + 30, price=0)
    id_ = await shop.redeem_one(offer)
    assert (await shop.verify(offer.merchant_id, await shop.code(id_))).outcome == "closed_now"
    assert (await shop.read(id_)).state == "issued"


async def test_codes_are_nowhere_in_the_database(shop: Shop) -> None:
    offer = await shop.offer(price=0)
    code = await shop.code(await shop.redeem_one(offer))
    for table in ("redemptions", "outbox", "idempotency_keys"):
        for row in await shop.pool.fetch(f"SELECT t::text AS line FROM {table} t"):
            assert code not in row["line"] and code.encode().hex() not in row["line"]


async def test_stock_is_set_and_never_below_what_is_taken(shop: Shop) -> None:
    offer = await shop.offer(stock=3)
    await shop.redeem_one(offer)
    async with shop.pool.acquire() as conn:
        assert await offers.set_stock(conn, offer.id, 1, 1)
        assert not await offers.set_stock(conn, offer.id, 5, 1), "another operator was faster"
        assert not await offers.set_stock(conn, offer.id, 0, 2)
    assert await shop.stock(offer) == (0, 1, 0)
    with pytest.raises(asyncpg.CheckViolationError):
        await shop.pool.execute("UPDATE offers SET sold = sold + 1")
