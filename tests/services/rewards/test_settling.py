"""A merchant's month: what events said, to the last point; and what is printed proves itself."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from services.rewards.domain import Offer
from services.rewards.store import statements
from services.rewards.store.statements import Statement
from services.rewards.usecases import settling
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.refusals import Refusal
from tests.services.rewards.shop import Shop
from tests.support import published, work_on

ZONE = ZoneInfo("Asia/Shanghai")
SQL_USED_AT = "UPDATE redemptions SET ended_at = $2 WHERE id = $1"
SQL_UNDONE_AT = "UPDATE redemptions SET undone_at = $2 WHERE id = $1"
SQL_HEARD_AT = "UPDATE offline_takings SET heard_at = $1"
MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)
IN_MAY, IN_JUNE = datetime(2026, 5, 20, tzinfo=UTC), datetime(2026, 6, 3, tzinfo=UTC)


async def used(shop: Shop, offer: Offer, at: datetime, *, paid: bool = True) -> UUID:
    """A voucher that was used then; `paid`: and the ledger has said so."""
    id_ = await shop.redeem_one(offer)
    if offer.price:
        await shop.answer("held", id_)
    assert (await shop.verify(offer.merchant_id, await shop.code(id_))).outcome == "used"
    await shop.pool.execute(SQL_USED_AT, id_, at)
    if paid and offer.price:
        await shop.answer("posted", id_, amount=-offer.price)
    return id_


async def undone(shop: Shop, id_: UUID, at: datetime, *, returned: bool = True) -> None:
    """Though it was used long ago; `returned`: and the ledger has given its points back."""
    [when] = await shop.pool.fetch("SELECT ended_at FROM redemptions WHERE id = $1", id_)
    await shop.pool.execute(SQL_USED_AT, id_, clock.now())
    await shop.undo(id_)
    await shop.pool.execute(SQL_USED_AT, id_, when["ended_at"])
    await shop.pool.execute(SQL_UNDONE_AT, id_, at)
    if returned:
        await shop.answer("reversed", id_, amount=(await shop.read(id_)).price)


async def close(shop: Shop, merchant_id: UUID, month: date) -> Statement:
    async with work_on(shop.pool) as work:
        return await settling.close(work, ZONE, merchant_id, month, "op")


async def step(shop: Shop, which: str, statement: Statement) -> Statement:
    async with work_on(shop.pool) as work:
        return await settling.step(work, which, statement.id, "words", "somebody")


async def differences(shop: Shop) -> list[Any]:
    async with shop.pool.acquire() as conn, conn.transaction():
        return await counters.differences(conn)


async def test_a_month_says_what_events_said(shop: Shop) -> None:
    rng, offer = random.Random(11), await shop.offer(price=30, stock=500)
    other = await shop.offer(price=7, stock=500, merchant_id=offer.merchant_id, name="soup")
    edges = [datetime(2026, 4, 30, 16, tzinfo=UTC), datetime(2026, 5, 31, 16, tzinfo=UTC)]  # of the month in Shanghai
    moments = [edge + timedelta(seconds=n) for edge in edges for n in (-1, 0, 1)]
    moments += [edges[0] + timedelta(seconds=rng.uniform(-5e5, 33 * 86_400)) for _ in range(40)]
    ids = {await used(shop, rng.choice((offer, other)), at): at for at in moments}
    back = {id_: at + timedelta(days=rng.uniform(0, 20)) for id_, at in rng.sample(sorted(ids.items()), 12)}
    for id_, at in back.items():
        await undone(shop, id_, at)
    made = await close(shop, offer.merchant_id, MAY)
    # the events themselves, each at its time
    said = [one for one in await published(shop.pool, REDEMPTION_CHANGED) if one["state"] in ("used", "undone")]
    expected: Counter[int] = Counter()
    for one in said:
        id_ = UUID(one["redemption_id"])
        at = ids[id_] if one["state"] == "used" else back[id_]
        if edges[0] <= at < edges[1]:
            expected[one["price"]] += 1 if one["state"] == "used" else -1
    async with shop.pool.acquire() as conn:
        lines = await statements.lines_of(conn, made.id)
    assert {line.price: line.used - line.returned for line in lines} == expected
    assert made.points == sum(price * number for price, number in expected.items()) == sum(one.points for one in lines)
    assert made.returned > 0
    assert await differences(shop) == [] or {one.label for one in await differences(shop)} == set()


async def test_what_is_undone_later_is_returned_later(shop: Shop) -> None:
    offer = await shop.offer(price=10)
    id_, _ = await used(shop, offer, IN_MAY), await used(shop, offer, IN_MAY)
    may = await close(shop, offer.merchant_id, MAY)
    assert (may.used, may.returned, may.points) == (2, 0, 20)
    await undone(shop, id_, IN_JUNE)
    assert await close(shop, offer.merchant_id, MAY) == may, "closed is closed"
    june = await close(shop, offer.merchant_id, JUNE)
    assert (june.used, june.returned, june.points) == (0, 1, -10)


async def test_the_programme_pays_for_a_voucher_that_was_used_before_elsewhere(shop: Shop) -> None:
    offer, (east, west) = await shop.stations(2, 2, price=0)
    code = await shop.code(await shop.redeem_one(offer))
    (_, of_east), (_, of_west) = await shop.paper(east), await shop.paper(west)
    await shop.upload(west, of_west["list_id"], (code, clock.now()))
    await shop.upload(east, of_east["list_id"], (code, clock.now()))
    async with shop.pool.acquire() as conn:
        since, until = clock.now() - timedelta(hours=1), clock.now() + timedelta(hours=1)
        found = {one: await statements.lines(conn, one, since, until) for one in (east, west)}
    assert [(line.used, line.doubles) for line in found[east]] == [(0, 1)]
    assert [(line.used, line.doubles) for line in found[west]] == [(1, 0)]


async def test_a_statement_is_disputed_answered_and_paid_once(shop: Shop) -> None:
    offer = await shop.offer(price=10)
    await used(shop, offer, IN_MAY)
    made = await close(shop, offer.merchant_id, MAY)
    for which, state in (("dispute", "disputed"), ("answer", "closed"), ("pay", "paid")):
        assert (await step(shop, which, made)).state == state
    for which in ("dispute", "answer", "pay"):
        with pytest.raises(Refusal) as refused:
            await step(shop, which, made)
        assert refused.value.code == "statement_moved_on"


async def test_a_second_dispute_has_no_answer_yet(shop: Shop) -> None:
    offer = await shop.offer(price=10)
    await used(shop, offer, IN_MAY)
    made = await close(shop, offer.merchant_id, MAY)
    await step(shop, "dispute", made)
    assert (await step(shop, "answer", made)).answer == "words"
    again = await step(shop, "dispute", made)
    assert (again.state, again.answer) == ("disputed", None)
    assert await shop.pool.fetchval("SELECT answered_by FROM statements WHERE id = $1", made.id) is None


async def test_a_month_is_closed_when_the_ledger_has_paid_for_it(shop: Shop) -> None:
    offer, gift = await shop.offer(price=10), await shop.offer(price=0)
    paid, owed, other = [await used(shop, offer, IN_MAY, paid=paid) for paid in (True, False, False)]
    await used(shop, await shop.offer(price=0, merchant_id=offer.merchant_id), IN_MAY)
    await used(shop, offer, IN_JUNE, paid=False)
    await shop.answer("posted", other, amount=-9)
    await shop.answer("held", new_id(), amount=-10)

    async def refused() -> set[str]:
        with pytest.raises(Refusal) as problem:
            await close(shop, offer.merchant_id, MAY)
        assert problem.value.code == "ledger_differs"
        return set(problem.value.extras["redemption_ids"])

    assert await refused() == {str(owed), str(other)}
    await shop.answer("posted", owed, amount=-10)
    await shop.pool.execute("UPDATE postings SET posted = 10 WHERE redemption_id = $1", other)
    await undone(shop, paid, IN_MAY + timedelta(days=1), returned=False)
    assert await refused() == {str(paid)}
    await shop.answer("reversed", paid, amount=10)
    await shop.answer("posted", paid, amount=-10)
    made = await close(shop, offer.merchant_id, MAY)
    assert (made.used, made.returned, made.points) == (4, 1, 20)
    await shop.pool.execute("UPDATE postings SET posted = NULL")
    assert await close(shop, offer.merchant_id, MAY) == made, "closed is closed"
    await used(shop, gift, IN_MAY)
    assert (await close(shop, gift.merchant_id, MAY)).points == 0, "a gift moves no points"


async def test_the_service_cannot_change_what_it_closed(shop: Shop) -> None:
    offer = await shop.offer(price=10)
    await used(shop, offer, IN_MAY)
    await close(shop, offer.merchant_id, MAY)
    for sql in (
        "UPDATE statements SET points = 0",
        "UPDATE statement_lines SET used = 0, points = 0",
        "DELETE FROM statement_lines",
        "UPDATE offline_takings SET points = 0",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await shop.pool.execute(sql)


async def test_a_recount_finds_a_month_that_its_vouchers_do_not_explain(shop: Shop) -> None:
    offer = await shop.offer(price=10)
    id_ = await used(shop, offer, IN_MAY)
    await close(shop, offer.merchant_id, MAY)
    assert [one for one in await differences(shop) if one.label == "statements"] == []
    await shop.pool.execute(SQL_USED_AT, id_, IN_JUNE)
    assert [one.counted for one in await differences(shop) if one.label == "statements"] == [1]


async def test_a_month_is_closed_when_it_is_over(shop: Shop) -> None:
    offer, today = await shop.offer(), clock.now().astimezone(ZONE).date()
    with pytest.raises(Refusal) as refused:
        await close(shop, offer.merchant_id, today.replace(day=1))
    assert refused.value.code == "month_not_over"
    with pytest.raises(Refusal) as refused:
        await close(shop, new_id(), MAY)
    assert refused.value.code == "not_found"


def test_a_digest_changes_with_anything_that_a_statement_says() -> None:
    line = statements.Line(new_id(), "tea", 5, 3, 1, 0, 10)
    merchant = new_id()
    whole = settling.digest(merchant, MAY, [line])
    others = [
        settling.digest(new_id(), MAY, [line]),
        settling.digest(merchant, JUNE, [line]),
        settling.digest(merchant, MAY, []),
        settling.digest(merchant, MAY, [statements.Line(line.offer_id, "tea", 5, 4, 2, 0, 10)]),
    ]
    assert len({whole, *others}) == 5


@pytest.mark.parametrize(("first", "hours"), [(date(2026, 12, 1), 744), (date(2026, 2, 1), 672)])
def test_a_month_of_the_city(first: date, hours: int) -> None:
    since, until = settling.month_of(first, ZONE)
    assert since.astimezone(UTC).hour == 16 and (until - since).total_seconds() / 3_600 == hours


async def test_donors_are_thanked_by_name_and_areas_say_what_was_used(shop: Shop) -> None:
    here = await shop.merchant(area="330114")
    water = await shop.offer(price=0, stock=50, donated_by="蓝天水站", thanks="感谢蓝天水站", merchant_id=here)
    await shop.offer(price=0, stock=50, donated_by="市民公园", merchant_id=here)
    id_ = await shop.redeem_one(water)
    await shop.verify(here, await shop.code(id_))
    today = clock.now().astimezone(UTC).date()
    async with shop.pool.acquire() as conn:
        donors = await statements.donors(conn, "", 9)
        areas = await statements.by_area(conn, today, today + timedelta(days=1), 9)
    assert {one.donor: (one.given, one.used, one.left, one.thanks) for one in donors} == {
        "蓝天水站": (50, 1, 49, "感谢蓝天水站"),
        "市民公园": (50, 0, 50, ""),
    }
    assert [(one.area_code, one.vouchers, one.points) for one in areas] == [("330114", 1, 0)]
