"""Offers for riders of a least level: on real Postgres, and with badges over Kafka."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest

from services.badges.store import levels
from services.badges.usecases import crediting, levelling
from services.rewards.domain import Offer
from services.rewards.store import offers, redemptions
from services.rewards.usecases import redemptions as redeeming
from services.rewards.usecases.levels import follow_levels
from shared.devtools.installation import Installation
from shared.events.level_changed import LEVEL_CHANGED, LevelChanged
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event
from shared.kit.postgres.rows import arrays
from shared.kit.privacy.erasure import SQL_ERASED_ADD, Leaver
from shared.kit.refusals import Refusal
from shared.kit.service import Service
from tests.services.badges.hive import Deed
from tests.services.rewards.shop import Shop, wish
from tests.services.rewards.test_sorts import codes
from tests.support import client_of, event_of, hear, service_of, until, work_on

SQL_RANK = "SELECT rank, version FROM rider_levels WHERE rider_id = $1"


def level(rider: UUID, rank: int, version: int = 1) -> Event[LevelChanged]:
    """A state of a rider's level."""
    body = LevelChanged(rider_id=rider, code=f"level-{rank + 1}", rank=rank, zh="蜂", en="bee", changed_at=clock.now())
    return event_of(LEVEL_CHANGED, body, version)


async def heard(shop: Shop, *events: Event[Any]) -> None:
    """One batch."""
    await hear(shop.pool, follow_levels, *events)


async def rank(shop: Shop, rider: UUID) -> tuple[int, int] | None:
    """(rank, version) as it is kept."""
    row = await shop.pool.fetchrow(SQL_RANK, rider)
    return None if row is None else (row["rank"], row["version"])


async def seen(shop: Shop, rider: UUID | None) -> list[UUID]:
    """The offers in a rider's list; None: an operator's."""
    async with shop.pool.acquire() as conn:
        return [one.id for one in await offers.offers(conn, UUID(int=0), None, 99, rider_id=rider)]


async def test_a_batch_lets_in_whose_level_is_enough(shop: Shop) -> None:
    plain, silver, gold = [await shop.offer(price=0, least_level=least) for least in (0, 2, 3)]
    golden, scout, busy, stranger = (new_id() for _ in range(4))
    await heard(shop, level(golden, 3), level(scout, 2), level(busy, 1))
    wishes = [wish(offer.id, rider) for offer in (plain, silver, gold) for rider in (golden, scout, busy, stranger)]
    low = "level_too_low"
    assert codes(await shop.redeem(*wishes)) == [*["granted"] * 4, *["granted"] * 2, low, low, "granted", low, low, low]
    assert [await shop.stock(offer) for offer in (plain, silver, gold)] == [(96, 4, 0), (98, 2, 0), (99, 1, 0)]
    assert [len(await seen(shop, one)) for one in (golden, scout, busy, stranger, None)] == [3, 2, 1, 1, 3]


async def test_the_refusal_says_what_it_takes_and_what_the_rider_has(shop: Shop) -> None:
    offer, busy = await shop.offer(least_level=2, stock=7), new_id()
    await heard(shop, level(busy, 1))
    for rider, has in ((busy, 1), (new_id(), 0)):
        [refusal] = await shop.redeem(wish(offer.id, rider))
        assert isinstance(refusal, Refusal) and refusal.code == "level_too_low"
        assert refusal.extras == {"free": 7, "least_level": 2, "level": has}


async def test_the_newest_state_holds_in_whatever_order_states_come(shop: Shop) -> None:
    rider, other = new_id(), new_id()
    await heard(shop, level(rider, 3, 4), level(other, 1), level(rider, 1, 2))
    await heard(shop, level(rider, 2, 3))
    await heard(shop, level(rider, 0, 4))
    assert await rank(shop, rider) == (3, 4), "older ones, and the same version again, change nothing"
    await heard(shop, level(rider, 1, 5), level(other, 1))
    assert (await rank(shop, rider), await rank(shop, other)) == ((1, 5), (1, 1))


async def test_who_falls_keeps_the_voucher_and_gets_no_other(shop: Shop) -> None:
    offer, rider = await shop.offer(least_level=2), new_id()
    await heard(shop, level(rider, 2))
    id_ = await shop.redeem_one(offer, rider)
    await heard(shop, level(rider, 1, 2))
    await shop.answer("held", id_)
    assert codes(await shop.redeem(wish(offer.id, rider))) == ["level_too_low"]
    assert (await shop.verify(offer.merchant_id, await shop.code(id_))).outcome == "used"
    await heard(shop, level(rider, 0, 3))
    assert codes(await shop.redeem(wish(offer.id, rider))) == ["level_too_low"] and await seen(shop, rider) == []


async def test_more_wishes_cost_no_more_statements_and_other_offers_none(shop: Shop) -> None:
    async def statements(offer: Offer, wishes: int) -> list[str]:
        riders = [new_id() for _ in range(wishes)]
        await heard(shop, *(level(rider, 2) for rider in riders))
        found: list[str] = []
        async with shop.pool.acquire() as conn, work_on(conn) as work:
            with conn.query_logger(lambda record: found.append(record.query)):
                made = [wish(offer.id, rider).wish for rider in riders]
                answers = await redeeming.redeem(shop.desk, work, made)
        assert not any(isinstance(one, Refusal) for one in answers)
        return found

    plain, silver = await shop.offer(price=0), await shop.offer(price=0, least_level=2)
    one, many, none = await statements(silver, 1), await statements(silver, 12), await statements(plain, 12)
    assert len(one) == len(many) == len(none) + 1
    assert not any("rider_levels" in sql for sql in none)


async def test_who_is_erased_is_forgotten_and_does_not_come_back(shop: Shop) -> None:
    rider, other = new_id(), new_id()
    await heard(shop, level(rider, 3), level(other, 3))
    leaver = Leaver(rider, "erased:" + "0" * 40, clock.now())
    async with shop.pool.acquire() as conn, conn.transaction():
        await conn.execute(SQL_ERASED_ADD, *arrays(Leaver, [leaver]))
        await redemptions.forget(conn, [leaver])
    await heard(shop, level(rider, 3, 9), level(other, 2, 2))
    assert (await rank(shop, rider), await rank(shop, other)) == (None, (2, 2))


class Town:
    """Both services in this process."""

    def __init__(
        self, installation: Installation, badges: Service, of_rewards: Service, rewards: httpx.AsyncClient
    ) -> None:
        self.identity, self.badges, self.of_rewards, self.rewards = installation.identity, badges, of_rewards, rewards

    def headers(self, sub: object, role: str) -> dict[str, str]:
        """A person's, who asks for something new."""
        token = self.identity.token(str(sub), "Wang", [role])
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": secrets.token_hex(8)}

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """As an operator."""
        answer = await self.rewards.post(path, json=body, headers=self.headers("op", "operator"))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def credit(self, deed: Deed, *movements: str) -> None:
        """What points say of a deed, heard by badges."""
        async with self.badges.work() as work:
            says = [deed.says(movement) for movement in movements]
            await crediting.follow_points(ZoneInfo("Asia/Shanghai"), work, says)

    async def listed(self, rider: UUID, merchant: str) -> list[int]:
        """What a rider sees of a merchant: least levels."""
        asked = {"merchant_id": merchant}
        found = await self.rewards.get("/v1/offers", params=asked, headers=self.headers(rider, "rider"))
        return [one["least_level"] for one in found.json()["items"]]

    async def redeem(self, offer: dict[str, Any], rider: UUID) -> httpx.Response:
        """As a rider."""
        return await self.rewards.post(f"/v1/offers/{offer['id']}/redeem", headers=self.headers(rider, "rider"))


@pytest.fixture
async def town(installation: Installation, shop: Shop) -> AsyncIterator[Town]:
    badges, of_rewards = service_of(installation, "badges"), service_of(installation, "rewards")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(client_of(badges))
        rewards = await stack.enter_async_context(client_of(of_rewards))
        yield Town(installation, badges, of_rewards, rewards)


async def test_a_rider_rises_and_may_redeem_over_kafka(town: Town) -> None:
    merchant = (await town.create("/v1/merchants", {"name": "早点铺", "address": "学源街 1 号"}))["id"]
    now = clock.now()
    body = {
        "merchant_id": merchant, "name": "早餐", "price": 0, "stock": 3,
        "valid_from": (now - timedelta(days=1)).isoformat(), "valid_until": (now + timedelta(days=1)).isoformat(),
    }  # fmt: skip
    plain, silver = await town.create("/v1/offers", body), await town.create("/v1/offers", {**body, "least_level": 2})
    assert (plain["least_level"], silver["least_level"]) == (0, 2)
    rider, deed = new_id(), Deed(new_id(), 1_000)
    deed.rider = rider
    assert await town.listed(rider, merchant) == [0]
    refused = await town.redeem(silver, rider)
    assert (refused.status_code, refused.json()["code"]) == (409, "level_too_low"), refused.text
    assert (refused.json()["least_level"], refused.json()["level"]) == (2, 0)
    assert (await town.redeem(plain, rider)).status_code == 201, "of whom nothing was heard has all others"
    await town.credit(deed, "held", "posted")
    await until(partial(town.listed, rider, merchant), "the offer in the list", good=lambda found: found == [0, 2])
    assert (await town.redeem(silver, rider)).status_code == 201
    await town.credit(deed, "reversed")
    await until(partial(town.listed, rider, merchant), "it is gone", good=lambda found: found == [0])
    assert (await town.redeem(silver, rider)).json()["code"] == "level_too_low"
    await town.credit(Deed(rider, 9_000), "held", "posted")
    await until(partial(town.listed, rider, merchant), "the offer again", good=lambda found: found == [0, 2])
    async with town.badges.work() as work:
        await levels.leave(work.conn, [rider])
        await levelling.retire_again(work)
        tombstones = [row.event_id for row in work.rows if row.key == str(rider)]
    assert len(tombstones) == 1
    ask = partial(town.of_rewards.pool.fetchval, "SELECT count(*) FROM inbox WHERE event_id = ANY($1)", tombstones)
    await until(ask, "rewards to pass the tombstone by: the order to forget the rider is another event")
    assert await town.of_rewards.pool.fetchval("SELECT count(*) FROM dead_letters") == 0
    bad = await town.rewards.post(
        "/v1/offers", json={**body, "least_level": -1}, headers=town.headers("op", "operator")
    )  # fmt: skip
    assert bad.status_code == 422
