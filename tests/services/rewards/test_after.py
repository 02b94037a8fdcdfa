"""Before and after the counter: goods that are brought, complaints, refunds."""

from datetime import datetime
from uuid import UUID

import pytest

from services.rewards.store import complaints, redemptions
from services.rewards.usecases import complaints as answering
from shared.events.redemption_changed import REDEMPTION_CHANGED
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.privacy.erasure import Leaver
from shared.kit.refusals import Refusal
from tests.services.rewards.shop import Shop
from tests.support import published, work_on


async def answer(shop: Shop, id_: UUID, days: int | None) -> complaints.Complaint:
    async with work_on(shop.pool) as work:
        return await answering.answer(work, id_, "we have looked", "op", days)


async def test_goods_are_taken_once_they_are_there(shop: Shop) -> None:
    offer = await shop.offer(price=0, delivered=True, voucher_minutes=600)
    id_ = await shop.redeem_one(offer)
    code, ordered = await shop.code(id_), await shop.read(id_)
    assert ordered.fulfilment == "ordered"
    _, read = await shop.paper(offer.merchant_id)
    assert read["count"] == 0, "nor without network"
    for state, outcome in (("sent", "not_ready"), ("ready", "used")):
        assert (await shop.verify(offer.merchant_id, code)).outcome == "not_ready"
        assert await shop.fulfil(id_, "ready" if state == "sent" else "sent") is None, "one step after the other"
        assert await shop.fulfil(id_, state) is not None
        assert (await shop.verify(offer.merchant_id, code)).outcome == outcome
    ready = await shop.read(id_)
    assert ready.deadline_at > ordered.deadline_at
    said = await published(shop.pool, REDEMPTION_CHANGED, id_)
    assert [(one["state"], one["version"]) for one in said] == [("issued", 1), ("issued", 2), ("used", 3)]
    assert [datetime.fromisoformat(one["expires_at"]) for one in said[:2]] == [ordered.deadline_at, ready.deadline_at]
    assert said[0]["changed_at"] < said[1]["changed_at"] <= said[2]["changed_at"]
    assert await shop.fulfil(id_, "ready") is None
    here = await shop.redeem_one(await shop.offer(price=0))
    assert await shop.fulfil(here, "sent") is None, "it is at the counter anyhow"


async def test_goods_that_never_come_give_all_back(shop: Shop) -> None:
    offer = await shop.offer(price=0, stock=1, delivered=True)
    id_ = await shop.redeem_one(offer)
    await shop.fulfil(id_, "sent")
    await shop.time_is_over(id_)
    assert await shop.sweep() == 1
    assert await shop.fulfil(id_, "ready") is None
    assert await shop.stock(offer) == (1, 0, 0)


async def test_a_complaint_that_is_right_gives_points_and_piece_back(shop: Shop) -> None:
    offer, rider = await shop.offer(price=0, stock=1), new_id()
    id_ = await shop.redeem_one(offer, rider)
    assert await shop.complain(id_, rider) is None, "it is still good"
    await shop.verify(offer.merchant_id, await shop.code(id_))
    assert await shop.complain(id_, new_id()) is None, "nobody else's"
    filed = await shop.complain(id_, rider)
    assert filed is not None and filed.state == "open"
    assert await shop.complain(id_, rider) is None, "one at a time"
    assert (await answer(shop, filed.id, 14)).state == "refunded"
    assert await shop.states(id_) == ["issued", "used", "undone"]
    assert await shop.stock(offer) == (1, 0, 0)
    with pytest.raises(Refusal) as refused:
        await answer(shop, filed.id, None)
    assert refused.value.code == "complaint_answered"
    again = await shop.complain(id_, rider)
    assert again is not None and (await answer(shop, again.id, None)).state == "refused"


async def test_what_cannot_be_undone_is_not_answered_as_refunded(shop: Shop) -> None:
    offer, rider = await shop.offer(price=0), new_id()
    id_ = await shop.redeem_one(offer, rider)
    await shop.time_is_over(id_)
    await shop.sweep()
    filed = await shop.complain(id_, rider)
    assert filed is not None
    with pytest.raises(Refusal) as refused:
        await answer(shop, filed.id, 14)
    assert refused.value.code == "not_undoable"
    async with shop.pool.acquire() as conn:
        [still] = await complaints.complaints(conn, UUID(int=0), None, 9)
    assert still.state == "open"


async def test_who_leaves_takes_their_words_along(shop: Shop) -> None:
    offer, rider = await shop.offer(price=0), new_id()
    id_ = await shop.redeem_one(offer, rider)
    await shop.verify(offer.merchant_id, await shop.code(id_))
    await shop.complain(id_, rider)
    async with shop.pool.acquire() as conn, conn.transaction():
        await redemptions.forget(conn, [Leaver(rider, "", clock.now())])
        [kept] = await complaints.complaints(conn, UUID(int=0), rider, 9)
    assert (kept.words, kept.state) == ("", "open")
