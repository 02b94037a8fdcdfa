"""Routes of rewards in this process: nothing leaves, so that what is published stays to be looked at."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.rewards.api import offline as offline_api
from services.rewards.domain import Offer
from services.rewards.store import merchants
from services.rewards.store.merchants import Clerk
from services.rewards.usecases import settling
from shared.devtools.identity import Identity
from shared.devtools.installation import Installation
from shared.events.public_stock_changed import PUBLIC_STOCK_CHANGED
from shared.kit import clock
from shared.kit.auth import Signer, signed_headers
from shared.kit.auth.key_ring import Ask
from shared.kit.ids import new_id
from shared.kit.service import running
from shared.known.knowing import Riders, follow_riders
from tests.services.rewards.shop import Shop
from tests.services.rewards.test_settling import MAY, ZONE, used
from tests.support import client_of, hear, published, rider_is, service_of

SECRET = b"of every company" * 2
ADDRESS = "https://city.example.org/rewards"


class _Keys:
    async def signer(self, company: str, ask: Ask | None = None) -> Signer:
        return Signer([SECRET])


class _NoKafka(contextlib.AbstractAsyncContextManager[None]):
    def __init__(self, *_: Any, **__: Any) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


async def _idle() -> None:
    return None


@dataclass
class Doors:
    """The service's routes, and who calls them."""

    client: httpx.AsyncClient
    identity: Identity

    def headers(self, role: str, **claims: Any) -> dict[str, str]:
        """Of somebody with a role."""
        return {"Authorization": f"Bearer {self.identity.token('somebody', 'Wang', [role], **claims)}"}

    async def put(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """As an operator of the city."""
        return await self.client.put(path, json=body, headers=self.headers("operator"))

    async def month(self, company: str, month: str) -> dict[str, Any]:
        """What a company reads of its riders."""
        target = f"/v1/statements/company?month={month}"
        headers = signed_headers(company=company, secret=SECRET, method="GET", target=target, body=b"")
        answer = await self.client.get(target, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
async def doors(shop: Shop, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Doors]:
    made = service_of(installation, "rewards", front_door=ADDRESS + "/")
    monkeypatch.setattr(running, "listening", _NoKafka)
    made.relay.run = _idle  # type: ignore[method-assign]  # nothing leaves
    made.key_ring = _Keys()  # type: ignore[assignment]  # of any company
    async with client_of(made) as client:
        yield Doors(client, installation.identity)


async def said(shop: Shop, offer: Offer) -> list[tuple[int, bool]]:
    """(version, closed) of what was published of an offer's stock."""
    return [(one["version"], one["closed"]) for one in await published(shop.pool, PUBLIC_STOCK_CHANGED, offer.id)]


async def test_a_merchant_that_closes_says_so_of_all_its_offers(shop: Shop, doors: Doors) -> None:
    offer = await shop.offer()
    second = await shop.offer(merchant_id=offer.merchant_id)
    past = clock.now() - timedelta(hours=1)
    over, other = await shop.offer(merchant_id=offer.merchant_id, valid_until=past), await shop.offer()
    path = f"/v1/merchants/{offer.merchant_id}/closing"
    for reason in ("搬迁", None):
        assert (await doors.put(path, {"reason": reason})).status_code == 200
    for one in (offer, second):
        assert await said(shop, one) == [(1, True), (2, False)]
    assert await said(shop, over) == await said(shop, other) == []


async def test_offers_of_a_merchant_that_applies_are_closed_until_it_is_approved(shop: Shop, doors: Doors) -> None:
    id_ = new_id()
    async with shop.pool.acquire() as conn:
        await merchants.add(conn, id_, merchants.NewMerchant("面馆", "路"), "owner")
    offer = await shop.offer(merchant_id=id_, stock=3)
    changed = await doors.put(f"/v1/offers/{offer.id}/stock", {"stock": 4, "version": 1})
    assert changed.status_code == 200
    assert (await doors.put(f"/v1/merchants/{id_}/review", {"approved": True})).status_code == 200
    assert await said(shop, offer) == [(1, True), (2, False)]


async def test_uploads_are_limited_and_asked_who_sends_them(
    shop: Shop, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline_api, "UPLOADS_PER_MINUTE", 2)
    offer = await shop.offer(price=0)
    _, read = await shop.paper(offer.merchant_id)
    async with shop.pool.acquire() as conn:
        await merchants.set_clerk(conn, offer.merchant_id, Clerk("wang", "王芳", active=True), "op")
    path, headers = (
        f"/v1/vouchers/lists/{read['list_id']}/takings",
        doors.headers("merchant", merchant_id=str(offer.merchant_id)),
    )
    answers = [await doors.client.post(path, json={"count": 0, "items": []}, headers=headers) for _ in range(3)]
    assert [(one.status_code, one.json()["code"]) for one in answers] == [
        (403, "not_staff"), (403, "not_staff"), (429, "rate_limited"),
    ]  # fmt: skip


async def test_goods_are_moved_on_by_the_merchants_staff(shop: Shop, doors: Doors) -> None:
    offer = await shop.offer(price=0, delivered=True)
    id_ = await shop.redeem_one(offer)
    path, headers = f"/v1/redemptions/{id_}/fulfilment", doors.headers("merchant", merchant_id=str(offer.merchant_id))
    assert (await doors.client.put(path, json={"state": "sent"}, headers=headers)).status_code == 200
    async with shop.pool.acquire() as conn:
        await merchants.set_clerk(conn, offer.merchant_id, Clerk("wang", "王芳", active=True), "op")
    refused = await doors.client.put(path, json={"state": "ready"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_staff")
    assert (await doors.put(path, {"state": "ready"})).json()["version"] == 2


async def test_a_printed_statement_leads_to_the_suites_address(shop: Shop, doors: Doors) -> None:
    offer = await shop.offer(price=10)
    await used(shop, offer, datetime(2026, 5, 20, tzinfo=UTC))
    operator, key = doors.headers("operator"), (await doors.client.get("/v1/vouchers/key")).json()
    path = f"/v1/merchants/{offer.merchant_id}/statements"
    made = (await doors.client.post(path, json={"month": "2026-05"}, headers=operator)).json()
    whole = (await doors.client.get(f"/v1/statements/{made['id']}", headers=operator)).json()
    page = (await doors.client.get(f"/v1/statements/{made['id']}/page", headers=operator)).text
    assert f"<code>{ADDRESS}/v1/statements/{made['id']}/verify?digest={made['digest']}</code>" in page
    assert "http://test" not in page
    assert f"{whole['stamp']}:{whole['key_id']}:" in page
    assert whole["key_id"] == key["keys"][0]["id"] and key["key"] == key["keys"][0]["key"]


async def test_a_month_that_the_ledger_has_not_paid_is_refused_with_its_vouchers(shop: Shop, doors: Doors) -> None:
    offer = await shop.offer(price=10)
    id_ = await used(shop, offer, datetime(2026, 5, 20, tzinfo=UTC), paid=False)
    path = f"/v1/merchants/{offer.merchant_id}/statements"
    refused = await doors.client.post(path, json={"month": "2026-05"}, headers=doors.headers("operator"))
    assert (refused.status_code, refused.json()["code"]) == (409, "ledger_differs")
    assert refused.json()["redemption_ids"] == [str(id_)]


async def known(shop: Shop, company: str, number: int) -> list[UUID]:
    """So many riders of a company."""
    riders = [new_id() for _ in range(number)]
    await hear(shop.pool, partial(follow_riders, Riders()), *(rider_is(one, company=company) for one in riders))
    return riders


async def use(shop: Shop, offer: Offer, *riders: UUID) -> list[UUID]:
    """A voucher of each, used in May."""
    ids = []
    for rider in riders:
        id_ = await shop.redeem_one(offer, rider)
        await shop.verify(offer.merchant_id, await shop.code(id_))
        await shop.pool.execute("UPDATE redemptions SET ended_at = $2 WHERE id = $1", id_, in_month(MAY))
        ids.append(id_)
    return ids


def in_month(first: date) -> datetime:
    return settling.month_of(first, ZONE)[0] + timedelta(days=9)


async def test_a_company_reads_totals_of_its_own_riders_and_none_of_fewer_than_five(shop: Shop, doors: Doors) -> None:
    offer = await shop.offer(price=0)
    suda, feima = await known(shop, "suda", 5), await known(shop, "feima", 4)
    await use(shop, offer, *suda, suda[0], *feima, new_id())
    whole = {"month": "2026-05", "riders": 5, "vouchers": 6, "points": 0}
    nothing = {"month": "2026-05", "riders": None, "vouchers": None, "points": None}
    assert await doors.month("suda", "2026-05") == whole
    assert await doors.month("feima", "2026-05") == nothing
    assert await doors.month("nobody", "2026-05") == nothing
    assert await doors.month("suda", "2026-04") == nothing | {"month": "2026-04"}


async def test_a_companys_month_stays_as_it_was_first_said(shop: Shop, doors: Doors) -> None:
    offer = await shop.offer(price=0)
    suda, feima = await known(shop, "suda", 6), await known(shop, "feima", 5)
    first, *_ = await use(shop, offer, *suda, *feima[:4])
    before = [await doors.month(company, "2026-05") for company in ("suda", "feima")]
    assert [one["riders"] for one in before] == [6, None]
    await shop.pool.execute("UPDATE redemptions SET ended_at = now() WHERE id = $1", first)
    await shop.undo(first)
    await use(shop, offer, feima[4])
    assert [await doors.month(company, "2026-05") for company in ("suda", "feima")] == before


async def test_a_clerk_is_one_person_however_their_id_is_written(shop: Shop, doors: Doors) -> None:
    """Ids of tokens have one form: who is dismissed under another takes no vouchers any more."""
    offer, clerk = await shop.offer(price=0), str(new_id())
    path = f"/v1/merchants/{offer.merchant_id}/staff"
    assert (await doors.put(f"{path}/{clerk}", {"name": "王芳", "active": True})).status_code == 200
    assert (await doors.put(f"{path}/{clerk.upper()}", {"name": "王芳", "active": False})).status_code == 200
    listed = (await doors.client.get(path, headers=doors.headers("operator"))).json()["items"]
    assert [(one["person"], one["active"]) for one in listed] == [(clerk, False)]
