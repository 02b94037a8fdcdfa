"""Riders take gifts: stations and merchants offer, riders redeem, the counter verifies; a few walk away."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.kit import clock
from shared.kit.ids import new_id
from shared.synthetic.door import Door, DoorError
from shared.synthetic.people import Company, person_name

# name, price in points, stock, who gave it
OFFERS = (
    ("公园门票", 0, 50, "市民捐赠"),
    ("免费补胎一次", 20, 100, None),
    ("早餐一份", 10, 120, None),
    ("充电宝", 60, 40, None),
    ("电水壶", 120, 20, None),
)
SHOPPERS = 400
WALK_AWAY_SHARE = 0.1
AT_ONCE = 16
ANSWER_WITHIN_S = 30.0


@dataclass(frozen=True)
class Shop:
    """One merchant with its offers."""

    merchant_token: str
    offers: tuple[str, ...]


async def open_shop(door: Door) -> Shop:
    """A station that takes vouchers."""
    merchant = await door.post(
        "/v1/merchants",
        {"name": "下沙小哥驿站（演示）", "address": "钱塘区（虚构地址）"},
        idempotency_key=str(new_id()),
    )
    now = clock.now()
    made = []
    for name, price, stock, donor in OFFERS:
        offer = {
            "merchant_id": merchant["id"],
            "name": name,
            "price": price,
            "stock": stock,
            "donated_by": donor,
            "per_rider_max": 2,
            "valid_from": (now - timedelta(hours=1)).isoformat(),
            "valid_until": (now + timedelta(days=30)).isoformat(),
        }
        made.append((await door.post("/v1/offers", offer, idempotency_key=str(new_id())))["id"])
    token = door.token("merchant-1", "驿站柜台", ["merchant"], merchant_id=merchant["id"], ttl_s=24 * 3600)
    return Shop(token, tuple(made))


async def redeem(door: Door, shop: Shop, companies: Sequence[Company]) -> dict[str, int]:
    """Some hundred riders come at once; returns how each visit ended."""
    chance = random.Random(11)  # noqa: S311 reproducible, no secret
    riders = await _rider_ids(door, companies[0], SHOPPERS)
    ends: Counter[str] = Counter()
    gate = asyncio.Semaphore(AT_ONCE)

    async def visit(number: int, rider_id: str) -> None:
        offer, walks_away = chance.choice(shop.offers), chance.random() < WALK_AWAY_SHARE
        async with gate:
            token = door.token(rider_id, person_name(number), ["rider"])
            ends[await _visit(door, shop, offer, token, walks_away)] += 1

    await asyncio.gather(*(visit(number, rider_id) for number, rider_id in enumerate(riders)))
    return dict(ends)


async def _visit(door: Door, shop: Shop, offer: str, token: str, walks_away: bool) -> str:
    try:
        wish = await door.post(f"/v1/offers/{offer}/redeem", None, token, idempotency_key=str(new_id()))
    except DoorError as refused:
        if " 409 " in str(refused):
            return "sold out or over quota"
        raise
    redemption = await _answered(door, wish["redemption_id"], token)
    if redemption["state"] != "issued":
        return f"{redemption['state']}: {redemption['reason']}"
    if walks_away:
        return "voucher kept for later"
    await door.post("/v1/vouchers/verify", {"code": redemption["code"]}, shop.merchant_token)
    return "used"


async def _answered(door: Door, redemption_id: str, token: str) -> dict[str, Any]:
    """The redemption once points have answered."""
    deadline_s = clock.monotonic_s() + ANSWER_WITHIN_S
    while True:
        found: dict[str, Any] = await door.get(f"/v1/redemptions/{redemption_id}", token)
        if found["state"] != "requested" or clock.monotonic_s() > deadline_s:
            return found
        await asyncio.sleep(0.1)


async def _rider_ids(door: Door, company: Company, count: int) -> list[str]:
    """Ids of a company's riders: it sends them again unchanged and learns who they are."""
    now = clock.now()
    body = {
        "items": [{**company.rider_body(number, now), "consent_at": now.isoformat()} for number in range(1, count + 1)]
    }
    answer = await door.signed(company.code, company.secret, "/v1/riders:batch", body)
    return [item["rider_id"] for item in answer["items"]]
