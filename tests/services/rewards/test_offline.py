"""A counter without network: what its list proves, what is taken from it once, and who bears what was taken twice."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from services.rewards.domain import Offer, shown
from services.rewards.usecases.signing import Signer, on_list
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.refusals import Refusal
from tests.services.rewards.shop import Shop

SQL_KEPT = "SELECT coalesce(kept_until > now(), false) FROM redemptions WHERE id = $1"
SQL_CLOSED = """
UPDATE offline_lists SET made_at = made_at - interval '3 days', good_until = good_until - interval '3 days',
                         closes_at = closes_at - interval '3 days' WHERE id = $1
"""
SQL_LET_GO = "UPDATE redemptions SET kept_until = kept_until - interval '3 days'"


def now() -> datetime:
    return clock.now()


async def voucher(shop: Shop, offer: Offer, rider: UUID | None = None) -> tuple[UUID, str]:
    """Id and code of a voucher of a free offer."""
    id_ = await shop.redeem_one(offer, rider)
    return id_, await shop.code(id_)


def outcomes(lines: list[Any]) -> list[tuple[str, str | None]]:
    return [(line.outcome, line.borne_by) for line in lines]


async def test_a_counter_knows_its_vouchers_without_network(shop: Shop) -> None:
    offer, other = await shop.offer(price=0, stock=3), await shop.offer(price=0)
    (_, mine), (_, foreign) = await voucher(shop, offer), await voucher(shop, other)
    paper, read = await shop.paper(offer.merchant_id)
    signer = shop.offline.signer
    assert signer.verifies(paper.text, paper.signature, read["key_id"]) and paper.key == signer.public
    assert not signer.verifies(paper.text.replace("1", "2"), paper.signature, read["key_id"])
    assert not Signer(b"another secret of tests").verifies(paper.text, paper.signature, read["key_id"])
    hashes = {entry["hash"] for entry in read["entries"]}
    assert (read["count"], len(hashes)) == (1, 1)
    assert on_list(UUID(read["list_id"]), mine) in hashes
    assert on_list(UUID(read["list_id"]), foreign) not in hashes
    assert mine not in paper.text and shown(mine) not in paper.text
    lines = await shop.upload(offer.merchant_id, read["list_id"], (shown(mine).lower(), now()))
    assert outcomes(lines) == [("sold", None)]
    assert await shop.stock(offer) == (2, 0, 1)


async def test_what_was_taken_is_heard_once(shop: Shop) -> None:
    offer = await shop.offer(price=0)
    (id_, code), (_, second) = await voucher(shop, offer), await voucher(shop, offer)
    _, read = await shop.paper(offer.merchant_id)
    at = now()
    lines = await shop.upload(offer.merchant_id, read["list_id"], (code, at))
    assert await shop.upload(offer.merchant_id, read["list_id"], (code, at)) == lines
    with pytest.raises(Refusal) as refused:
        await shop.upload(offer.merchant_id, read["list_id"], (code, at), (second, at))
    assert refused.value.code == "list_settled"
    with pytest.raises(Refusal) as refused:
        await shop.upload(await shop.merchant(), read["list_id"], (code, at))
    assert refused.value.code == "not_found"
    assert await shop.states(id_) == ["issued", "used"]
    assert (await shop.verify(offer.merchant_id, code)).outcome == "not_usable"
    assert await shop.stock(offer) == (98, 1, 1)


async def test_what_a_list_has_is_neither_given_back_nor_cancelled(shop: Shop) -> None:
    offer, rider = await shop.offer(price=0, stock=1), new_id()
    id_, code = await voucher(shop, offer, rider)
    _, read = await shop.paper(offer.merchant_id)
    taken_at = now()
    with pytest.raises(Refusal) as refused:
        await shop.cancel(id_, rider)
    assert refused.value.code == "on_a_list"
    await shop.time_is_over(id_)
    assert await shop.sweep() == 0, "the counter may have taken it while it was good"
    assert (await shop.verify(offer.merchant_id, code)).outcome == "not_usable", "at a counter with network it is over"
    [line] = await shop.upload(offer.merchant_id, read["list_id"], (code, taken_at - timedelta(seconds=2)))
    assert line.outcome == "sold"
    assert await shop.stock(offer) == (0, 0, 1)


async def test_what_was_not_taken_goes_its_way(shop: Shop) -> None:
    offer, rider = await shop.offer(price=0, stock=1), new_id()
    id_, _ = await voucher(shop, offer, rider)
    (_, first), (_, second) = await shop.paper(offer.merchant_id), await shop.paper(offer.merchant_id)
    await shop.upload(offer.merchant_id, first["list_id"])
    assert await shop.pool.fetchval(SQL_KEPT, id_), "the other list still has it"
    await shop.upload(offer.merchant_id, second["list_id"])
    assert not await shop.pool.fetchval(SQL_KEPT, id_)
    assert (await shop.cancel(id_, rider)).state == "cancelled"
    assert await shop.stock(offer) == (1, 0, 0)


async def test_a_list_that_nobody_settles_lets_go_in_the_end(shop: Shop) -> None:
    offer = await shop.offer(price=0, stock=1)
    id_, code = await voucher(shop, offer)
    _, read = await shop.paper(offer.merchant_id)
    at = now()
    await shop.time_is_over(id_)
    await shop.pool.execute(SQL_CLOSED, UUID(read["list_id"]))
    await shop.pool.execute(SQL_LET_GO)
    assert await shop.sweep() == 1
    assert outcomes(await shop.upload(offer.merchant_id, read["list_id"], (code, at))) == [("ended", "merchant")]
    assert await shop.stock(offer) == (1, 0, 0)


async def test_used_at_two_stations_is_found_named_and_settled(shop: Shop) -> None:
    """Both were without network and in good faith: the first to be heard is the sale, the programme bears the other."""
    offer, (east, west) = await shop.stations(3, 3, price=0)
    id_, code = await voucher(shop, offer)
    (_, of_east), (_, of_west) = await shop.paper(east), await shop.paper(west)
    early, late = now(), now() + timedelta(seconds=1)
    assert outcomes(await shop.upload(west, of_west["list_id"], (code, late))) == [("sold", None)]
    [line] = await shop.upload(east, of_east["list_id"], (code, early))
    assert (line.outcome, line.borne_by, line.first_merchant_id) == ("double", "programme", west)
    assert line.redemption_id == id_ and line.first_at == (await shop.read(id_)).ended_at
    # both pieces are gone: one is sold, the other no longer counted
    assert await shop.at_stations(offer) == [(2, 0), (2, 1)]
    assert await shop.stock(offer) == (4, 0, 1)
    assert await shop.states(id_) == ["issued", "used"]


async def test_the_merchant_bears_what_its_own_list_would_have_shown(shop: Shop) -> None:
    offer, stranger = await shop.offer(price=0, stock=9), await shop.offer(price=0)
    (_, twice), (_, late), (_, online) = [await voucher(shop, offer) for _ in range(3)]
    _, foreign = await voucher(shop, stranger)
    _, read = await shop.paper(offer.merchant_id)
    (_, after) = await voucher(shop, offer)
    await shop.verify(offer.merchant_id, online)
    at = now()
    lines = await shop.upload(
        offer.merchant_id,
        read["list_id"],
        (twice, at), (twice, at + timedelta(seconds=1)), (late, at + timedelta(days=1)), (online, at), (foreign, at),
        (after, at), ("nonsense", at),
    )  # fmt: skip
    assert outcomes(lines) == [
        ("sold", None),
        *[(outcome, "merchant") for outcome in ("double", "late", "double", "foreign", "foreign", "unknown")],
    ]
    # of four vouchers two are used, two are out; two pieces more went over the counter
    assert await shop.stock(offer) == (3, 2, 2)


async def test_a_station_that_gave_more_than_it_had_on_paper(shop: Shop) -> None:
    offer, (east, _) = await shop.stations(1, 2, price=0)
    shown_codes = [(await voucher(shop, offer))[1] for _ in range(3)]
    _, read = await shop.paper(east)
    at = now()
    lines = await shop.upload(east, read["list_id"], *((code, at) for code in shown_codes))
    assert {line.outcome for line in lines} == {"sold"}
    assert await shop.at_stations(offer) == [(0, 3), (2, 0)]
    assert await shop.stock(offer) == (2, 0, 3)


async def test_a_list_holds_so_many_those_first_that_end_first(shop: Shop) -> None:
    offer = await shop.offer(price=0, stock=200)
    ids = [await shop.redeem_one(offer) for _ in range(101)]
    _, read = await shop.paper(offer.merchant_id)
    assert read["count"] == 100
    ends = [entry["until"] for entry in read["entries"]]
    assert ends == sorted(ends)
    assert sum([await shop.pool.fetchval(SQL_KEPT, id_) for id_ in ids]) == 100
    assert orjson.loads(orjson.dumps(read)) == read
