"""What points and donations become: tickets at one, breakfasts, a tyre, a gift elsewhere, a paid month."""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import orjson
import pytest

from services.rewards.usecases.signing import on_list
from shared.kit import clock
from shared.kit.ids import new_id
from shared.provision.postgres import owner_role
from shared.synthetic.door import DoorError
from tests.asking import soon
from tests.journeys.conftest import Town

RIDERS_AT_ONE = 2_000
SQL_A_DAY_LATER = (
    "UPDATE redemptions SET requested_on = requested_on - 1 WHERE offer_id = $1",
    # out of the way first: in what order rows are changed nobody says, and a day is there once
    "UPDATE offer_days SET day = day - 1000 WHERE offer_id = $1",
    "UPDATE offer_days SET day = day + 999 WHERE offer_id = $1",
)
SQL_TIME_IS_OVER = "UPDATE redemptions SET deadline_at = now() WHERE id = $1"
SQL_LAST_MONTH = "UPDATE redemptions SET ended_at = $2 WHERE merchant_id = $1 AND state = 'used'"


@asynccontextmanager
async def clockwork(town: Town) -> AsyncIterator[asyncpg.Connection]:
    """Who lets days go by: the tables' owner."""
    conn = await asyncpg.connect(town.suite.installation.dsn("rewards", owner_role))
    try:
        yield conn
    finally:
        await conn.close()


async def merchant(town: Town, name: str, **stated: Any) -> str:
    """A merchant that takes part."""
    body = {"name": name, "address": "虚构路 1 号", **stated}
    return str((await town.door.post("/v1/merchants", body, idempotency_key=str(new_id())))["id"])


async def offer(town: Town, merchant_id: str, **stated: Any) -> str:
    """An offer that can be had today."""
    now = clock.now()
    span = {"valid_from": str(now - timedelta(hours=1)), "valid_until": str(now + timedelta(days=30))}
    body = {"merchant_id": merchant_id, "name": "礼品", "price": 0, "stock": 1, **span, **stated}
    return str((await town.door.post("/v1/offers", body, idempotency_key=str(new_id())))["id"])


def phone(town: Town, rider: object = None) -> str:
    """A rider's token."""
    return town.door.token(str(rider or new_id()), "孙芳", ["rider"])


def counter(town: Town, merchant_id: str) -> str:
    """A clerk's token."""
    return town.door.token("clerk", "柜台", ["merchant"], merchant_id=merchant_id)


async def redeem(town: Town, offer_id: str, rider: str) -> str:
    """'granted', or the code of the refusal."""
    try:
        await town.door.post(f"/v1/offers/{offer_id}/redeem", None, rider, idempotency_key=str(new_id()))
    except DoorError as refused:
        return str(refused).partition('"code":"')[2].partition('"')[0]
    return "granted"


async def voucher(town: Town, offer_id: str, rider: str) -> dict[str, Any]:
    """A voucher as its rider sees it."""
    wish = await town.door.post(f"/v1/offers/{offer_id}/redeem", None, rider, idempotency_key=str(new_id()))
    return await read(town, wish["redemption_id"], rider, "issued")


async def read(town: Town, redemption_id: str, rider: str, state: str) -> dict[str, Any]:
    """A redemption once it has reached a state."""
    path = f"/v1/redemptions/{redemption_id}"
    found: dict[str, Any] = await soon(lambda: town.door.get(path, rider), lambda x: x["state"] == state, state)
    return found


async def take(town: Town, merchant_id: str, code: str) -> dict[str, Any]:
    """At a counter."""
    taken: dict[str, Any] = await town.door.post("/v1/vouchers/verify", {"code": code}, counter(town, merchant_id))
    return taken


async def test_fifty_park_tickets_at_one_oclock(town: Town) -> None:
    """一点钟大家一起来，正好发出 50 张 / exactly fifty are given, and the donor is thanked."""
    park = await merchant(town, "市民公园")
    tickets = await offer(
        town, park, name="公园门票", stock=50, per_rider_max=1, donated_by="市民公园", thanks="感谢市民公园"
    )
    riders = [phone(town) for _ in range(RIDERS_AT_ONE)]
    ends = Counter(await asyncio.gather(*(redeem(town, tickets, rider) for rider in riders)))
    assert ends == {"granted": 50, "sold_out": RIDERS_AT_ONE - 50}
    seen = await town.door.get(f"/v1/offers/{tickets}")
    assert (seen["free"], seen["held"], seen["sold"]) == (0, 50, 0)
    donors = await town.door.get("/v1/statements/donors", riders[0])
    [line] = [one for one in donors["items"] if one["donor"] == "市民公园"]
    assert (line["given"], line["left"], line["thanks"]) == (50, 50, "感谢市民公园")
    listed = (await town.door.get_bytes("/v1/merchants/list.csv")).decode("utf-8-sig")
    [row] = [row for row in csv.reader(io.StringIO(listed)) if row[2] == "公园门票"]
    assert row[4] == "共 50 份，每人 1 次 / 50 in all, 1 a rider"


async def test_ten_breakfasts_a_day_for_a_week(town: Town) -> None:
    """早点铺每天十份早餐 / each day ten, one a rider, for a week; then there are no more."""
    shop = await merchant(town, "早点铺")
    breakfast = await offer(town, shop, name="早餐", stock=70, per_day_max=10, per_rider_day_max=1)
    regulars = [phone(town) for _ in range(13)]
    for _ in range(7):
        ends = Counter(await asyncio.gather(*(redeem(town, breakfast, rider) for rider in regulars)))
        assert ends == {"granted": 10, "day_quota_used": 3}
        async with clockwork(town) as conn:
            for sql in SQL_A_DAY_LATER:
                await conn.execute(sql, UUID(breakfast))
    assert await redeem(town, breakfast, regulars[0]) == "sold_out"


async def test_a_tyre_is_patched_free_once_and_pumped_all_year(town: Town) -> None:
    shop = await merchant(town, "修车铺")
    patch = await offer(town, shop, name="补胎", stock=100, per_rider_max=1)
    air = await offer(town, shop, name="打气", stock=0, counted=False)
    rider = phone(town)
    await take(town, shop, (await voucher(town, patch, rider))["code"])
    assert await redeem(town, patch, rider) == "rider_quota_used"
    for _ in range(4):
        await take(town, shop, (await voucher(town, air, rider))["code"])
    seen = await town.door.get(f"/v1/offers/{air}")
    assert (seen["free"], seen["sold"], seen["stock"]) == (0, 4, 4)


async def test_a_voucher_that_nobody_uses_is_given_back(town: Town) -> None:
    shop = await merchant(town, "奶茶店")
    tea, rider = await offer(town, shop, name="奶茶"), phone(town)
    held = await voucher(town, tea, rider)
    assert await redeem(town, tea, phone(town)) == "sold_out"
    async with clockwork(town) as conn:
        await conn.execute(SQL_TIME_IS_OVER, UUID(held["redemption_id"]))
    await read(town, held["redemption_id"], rider, "expired")
    with pytest.raises(DoorError, match="voucher_expired"):
        await take(town, shop, held["code"])
    assert await redeem(town, tea, phone(town)) == "granted"


async def test_a_gift_is_exchanged_in_another_district(town: Town) -> None:
    """通兑，断网的柜台凭名单核销 / at any station that has one, also at a counter without network."""
    door = town.door
    office = await merchant(town, "市驿站办")
    water = await offer(town, office, name="饮用水", stock=0, citywide=True, donated_by="蓝天水站")
    east = await merchant(town, "东区驿站", kind="station", area_code="330102")
    west = await merchant(town, "西区驿站", kind="station", area_code="330114")
    for station, stock in ((east, 1), (west, 5)):
        await door.put(f"/v1/offers/{water}/stations/{station}", {"stock": stock})
    first, second, third = [await voucher(town, water, phone(town)) for _ in range(3)]
    await take(town, east, first["code"])
    with pytest.raises(DoorError, match="station_empty"):
        await take(town, east, second["code"])
    places = (await door.get(f"/v1/offers/{water}/stations", phone(town)))["items"]
    assert {one["merchant_id"]: one["there"] for one in places} == {east: 0, west: 5}
    assert (await take(town, west, second["code"]))["offer_name"] == "饮用水"
    # the station in the west loses its network, and takes the third from its list
    paper = await door.post("/v1/vouchers/lists", None, counter(town, west))
    entries = orjson.loads(paper["text"])
    assert on_list(UUID(entries["list_id"]), third["code"].replace("-", "")) in {e["hash"] for e in entries["entries"]}
    body = {"count": 1, "items": [{"code": third["code"], "taken_at": clock.now().isoformat()}]}
    settled = await door.post(f"/v1/vouchers/lists/{entries['list_id']}/takings", body, counter(town, west))
    assert [one["outcome"] for one in settled["items"]] == ["sold"]
    seen = await door.get(f"/v1/offers/{water}")
    assert (seen["free"], seen["held"], seen["sold"]) == (3, 0, 3)


async def test_a_merchants_month_is_settled(town: Town) -> None:
    """申请、审核、核销、月结、异议、付款 / from the application to the payment."""
    door, owner = town.door, town.door.token(f"owner-{new_id()}", "李老板", ["merchant"])
    wish = {"name": "面馆", "address": "虚构路 8 号", "service": "给骑手的热汤", "area_code": "330114"}
    applied = await door.post("/v1/merchants/applications", wish, owner, idempotency_key=str(new_id()))
    soup = await offer(town, applied["id"], name="热汤", stock=10)
    assert await redeem(town, soup, phone(town)) == "merchant_inactive"
    await door.put(f"/v1/merchants/{applied['id']}/review", {"approved": True})
    for _ in range(3):
        await take(town, applied["id"], (await voucher(town, soup, phone(town)))["code"])
    zone = ZoneInfo("Asia/Shanghai")
    last = clock.now().astimezone(zone).replace(day=1) - timedelta(days=3)
    async with clockwork(town) as conn:
        await conn.execute(SQL_LAST_MONTH, UUID(applied["id"]), datetime.combine(last, last.time(), UTC))
    month, path = {"month": f"{last:%Y-%m}"}, f"/v1/merchants/{applied['id']}/statements"
    closed = await door.post(path, month)
    assert (closed["used"], closed["points"], closed["state"]) == (3, 0, "closed")
    assert await door.post(path, month) == closed
    mine, address = counter(town, applied["id"]), f"/v1/statements/{closed['id']}"
    whole = await door.get(address, mine)
    assert [(line["offer_name"], line["used"]) for line in whole["lines"]] == [("热汤", 3)]
    rows = list(csv.reader(io.StringIO((await door.get_bytes(f"{address}/file.csv", mine)).decode("utf-8-sig"))))
    assert rows[1][1:4] == ["热汤", "0", "3"] and rows[-1][1] == "total"
    page = (await door.get_bytes(f"{address}/page", mine)).decode()
    assert whole["digest"] in page and "商户结算单" in page and "<title>扫码核验</title>" in page
    genuine = await door.get(f"{address}/verify", digest=whole["digest"])
    assert (genuine["genuine"], genuine["points"]) == (True, 0)
    assert not (await door.get(f"{address}/verify", digest="0" * 64))["genuine"]
    await door.post(f"{address}/dispute", {"words": "应为四份"}, mine)
    await door.post(f"{address}/answer", {"words": "已核对，三份"})
    paid = await door.post(f"{address}/payment", {"words": "转账 2026-001"})
    assert paid["state"] == "paid"
    with pytest.raises(DoorError, match="statement_moved_on"):
        await door.post(f"{address}/dispute", {"words": "再看看"}, mine)
    with pytest.raises(DoorError, match=" 404 "):
        await door.get(address, counter(town, str(new_id())))
