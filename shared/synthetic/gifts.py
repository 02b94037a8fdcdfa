"""Riders take gifts: stations and merchants offer, riders redeem, the counter verifies; a few walk away."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
# 通兑: an offer of the first station that each of them takes, with so many pieces at each
CITYWIDE, CITYWIDE_PRICE, CITYWIDE_STOCK = "饮用水一箱（各驿站通兑）", 15, 100
STATIONS = (("下沙小哥驿站（演示）", "merchant-1"), ("白杨小哥驿站（演示）", "merchant-2"))
SHOPPERS = 400
WALK_AWAY_SHARE = 0.1
AT_ONCE = 16
ANSWER_WITHIN_S = 30.0


@dataclass(frozen=True)
class Station:
    """Who takes vouchers; the token is its counter's."""

    id: str
    name: str
    token: str


@dataclass(frozen=True)
class Shop:
    """Stations, offers of the first one, and that of them which all take; nothing was redeemed before `opened`."""

    stations: tuple[Station, ...]
    offers: tuple[str, ...]
    citywide: str
    opened: datetime


async def open_shop(door: Door) -> Shop:
    """Two stations that take vouchers, and what there is for points."""
    now = clock.now()
    stations = tuple([await _station(door, name, clerk) for name, clerk in STATIONS])
    own, made = {"merchant_id": stations[0].id, "per_rider_max": 2}, []
    for name, price, stock, donor in OFFERS:
        made.append(await _offer(door, now, {**own, "name": name, "price": price, "stock": stock, "donated_by": donor}))
    shared = {**own, "name": CITYWIDE, "price": CITYWIDE_PRICE, "stock": 0, "citywide": True}
    citywide = await _offer(door, now, shared)
    for station in stations:
        await door.put(f"/v1/offers/{citywide}/stations/{station.id}", {"stock": CITYWIDE_STOCK})
    return Shop(stations, (*made, citywide), citywide, now)


async def _station(door: Door, name: str, clerk: str) -> Station:
    body = {"name": name, "address": "钱塘区（虚构地址）", "kind": "station"}
    made = await door.post("/v1/merchants", body, idempotency_key=str(new_id()))
    token = door.token(clerk, "驿站柜台", ["merchant"], merchant_id=made["id"], ttl_s=24 * 3600)
    return Station(made["id"], name, token)


async def _offer(door: Door, now: datetime, stated: dict[str, Any]) -> str:
    span = {
        "valid_from": (now - timedelta(hours=1)).isoformat(),
        "valid_until": (now + timedelta(days=30)).isoformat(),
    }
    return str((await door.post("/v1/offers", {**stated, **span}, idempotency_key=str(new_id())))["id"])


async def redeem(door: Door, shop: Shop, riders: Sequence[str]) -> dict[str, int]:
    """These riders come at once; returns how each visit ended."""
    chance = random.Random(11)  # noqa: S311 reproducible, no secret
    ends: Counter[str] = Counter()
    gate = asyncio.Semaphore(AT_ONCE)

    async def visit(number: int, rider_id: str) -> None:
        offer, walks_away = chance.choice(shop.offers), chance.random() < WALK_AWAY_SHARE
        counter = chance.choice(shop.stations) if offer == shop.citywide else shop.stations[0]
        async with gate:
            token = door.token(rider_id, person_name(number), ["rider"])
            ends[await _visit(door, counter, offer, token, walks_away)] += 1

    await asyncio.gather(*(visit(number, rider_id) for number, rider_id in enumerate(riders)))
    return dict(ends)


async def _visit(door: Door, counter: Station, offer: str, token: str, walks_away: bool) -> str:
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
    await door.post("/v1/vouchers/verify", {"code": redemption["code"]}, counter.token)
    return "used"


async def _answered(door: Door, redemption_id: str, token: str) -> dict[str, Any]:
    """The redemption once points have answered."""
    deadline_s = clock.monotonic_s() + ANSWER_WITHIN_S
    while True:
        found: dict[str, Any] = await door.get(f"/v1/redemptions/{redemption_id}", token)
        if found["state"] != "requested" or clock.monotonic_s() > deadline_s:
            return found
        await asyncio.sleep(0.1)


async def shoppers(door: Door, companies: Sequence[Company]) -> list[str]:
    """Ids of the first company's first riders: it sends them again unchanged and learns who they are."""
    company, now = companies[0], clock.now()
    numbers = range(1, SHOPPERS + 1)
    body = {"items": [{**company.rider_body(number, now), "consent_at": now.isoformat()} for number in numbers]}
    answer = await door.signed(company.code, company.secret, "/v1/riders:batch", body)
    return [item["rider_id"] for item in answer["items"]]
