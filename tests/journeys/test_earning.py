"""A street that is out of budget, and deeds of a service that nobody has told points of."""

from datetime import timedelta
from typing import Any

import pytest

from shared.kit import clock
from shared.kit.ids import new_id
from shared.synthetic.city import grids
from shared.synthetic.door import Door, DoorError
from tests.asking import soon
from tests.journeys.conftest import Town
from tests.journeys.earning import TASK, add_rule, case_of, close, deed_of, send_deeds
from tests.journeys.test_one_report import rider_id_of

MANHOLE = 50


def fitting() -> tuple[str, list[int]]:
    """The last street of the map with three grids, and three of them: no other journey reports there."""
    by_street: dict[str, list[int]] = {}
    for number, grid in enumerate(grids()):
        by_street.setdefault(grid.code[:9], []).append(number)
    street = max(code for code, numbers in by_street.items() if len(numbers) >= 3)
    return street, by_street[street][-3:]


async def once(door: Door, path: str, body: Any, token: str | None = None) -> Any:
    """Points that are given may not be given twice: each attempt has a key of its own."""
    return await door.post(path, body, token, idempotency_key=str(new_id()))


async def plenty(town: Town) -> None:
    """The demo city is one district: what other journeys earn there waits for nothing."""
    for one in (await town.door.get("/v1/points/budgets"))["items"]:
        if one["parent_id"] is None:
            path = f"/v1/points/budgets/{one['id']}/allocations"
            await once(town.door, path, {"points": 1_000_000, "reason": "for all others"})


async def test_a_district_out_of_budget(town: Town) -> None:
    door = town.door
    street, places = fitting()
    office = door.token("o-7", "街道运营", ["operator"], areas=[street])
    today = clock.now().date()
    days = {
        "begins_on": str(today - timedelta(days=2)),
        "ends_on": str(today + timedelta(days=30)),
        "reason": "本月预算",
    }

    # 市、区、街道逐级分配 / the city gives to the district, that to the street: 50 points, one manhole cover's.
    district = await once(door, "/v1/points/budgets", {"area": street[:6], "points": 130, **days})
    with pytest.raises(DoorError, match="budget_not_yours"):
        await once(door, "/v1/points/budgets", {"area": street, "points": 50, **days}, office)
    budget = await once(door, "/v1/points/budgets", {"area": street, "points": 50, **days})
    assert budget["parent_id"] == district["id"]
    path = f"/v1/points/budgets/{budget['id']}"

    riders = [await rider_id_of(town, town.company.rider(n)) for n in (14, 15, 16)]
    phones = [door.token(rider, "小哥", ["rider"]) for rider in riders]
    before = [(await door.get("/v1/points/me", phone))["available"] for phone in phones]
    reports: list[tuple[str, str]] = []
    for number, (phone, place) in enumerate(zip(phones, places, strict=True)):
        reports.append(await case_of(town, 14 + number, place, phone))
        held = f"/v1/points/me/holds/{reports[-1][0]}"
        await soon(lambda held=held, phone=phone: door.get(held, phone), lambda x: x["state"] == "held", "held")

    async def mine(number: int) -> dict[str, Any]:
        found: dict[str, Any] = await door.get(f"/v1/points/me/holds/{reports[number][0]}", phones[number])
        return found

    # 预算用完：积分等待，小哥看得到原因 / used up: the others' points wait, and they read why.
    assert [(await mine(n))["waits"] for n in range(3)] == [False, True, True]
    assert "预算" in (await mine(1))["why_zh"]
    await soon(
        lambda: door.get("/v1/inbox", phones[1]), lambda x: any("等待街道决定" in m["body"] for m in x["items"]), "told"
    )
    for (_, case), place in zip(reports, places, strict=True):
        await close(door, case, grids()[place].code)
    await soon(lambda: mine(0), lambda x: x["state"] == "posted", "the first one is paid")
    assert (await mine(1))["state"] == "held", "closed, and not paid"
    [line] = [x for x in (await door.get("/v1/points/me/entries", phones[1]))["items"] if x["waits"]]
    assert (line["reason"], line["source_id"]) == ("budget_waits", reports[1][0])
    assert (await door.get("/v1/points/budgets", office))["items"][0]["waiting"] == 2 * MANHOLE

    # 街道追加一份，另一份不予发放 / the street adds points for one out of what its district has left, no more.
    with pytest.raises(DoorError, match="budget_short"):
        await once(door, f"{path}/allocations", {"points": 81, "reason": "太多了些"}, office)
    await once(door, f"{path}/allocations", {"points": 50, "reason": "追加一笔"}, office)
    await soon(lambda: mine(1), lambda x: x["state"] == "posted", "the second one is paid")
    await once(door, f"{path}/refuse", {"reason": "本月不再追加"}, office)
    refused = await soon(lambda: mine(2), lambda x: x["state"] == "voided", "the third one is refused")
    assert "街道未追加：“本月不再追加”" in refused["why_zh"]
    after = [(await door.get("/v1/points/me", phone))["available"] for phone in phones]
    assert [now - then for now, then in zip(after, before, strict=True)] == [MANHOLE, MANHOLE, 0]
    left = await door.get("/v1/points/budgets", office)
    assert [(one["spent"], one["waiting"], one["room"]) for one in left["items"]] == [(2 * MANHOLE, 0, 0)]
    given = (await door.get(f"{path}/allocations", office))["items"]
    assert [one["points"] for one in given] == [50, 50]
    await plenty(town)


async def test_a_service_that_points_has_never_heard_of_lets_riders_earn(town: Town) -> None:
    door = town.door
    await plenty(town)
    await add_rule(door, TASK)
    rider = await rider_id_of(town, town.company.rider(17))
    phone = door.token(rider, "小哥", ["rider"])
    kept, wrong, strange = deed_of(rider, quantity=3), deed_of(rider), deed_of(rider, "juggling")
    await send_deeds(town, (kept, 1), (kept, 1), (wrong, 1), (strange, 1))

    async def states() -> list[str]:
        return [
            (await door.get(f"/v1/points/me/holds/{one.deed_id}", phone))["state"] for one in (kept, wrong, strange)
        ]

    await soon(states, lambda x: x == ["posted", "posted", "refused"], "two deeds are paid")
    assert (await door.get("/v1/points/me", phone))["available"] == 80
    taken_back = wrong.model_copy(update={"state": "withdrawn", "reason": "登记有误", "changed_at": clock.now()})
    other = kept.model_copy(update={"quantity": 4})
    await send_deeds(town, (taken_back, 2), (other, 1))
    await soon(states, lambda x: x == ["posted", "reversed", "refused"], "the wrong one is taken back")
    assert (await door.get("/v1/points/me", phone))["available"] == 60

    async def letters() -> list[Any]:
        found: list[Any] = await door.get("/ops/points/dead-letters", limit=1000)
        return [letter for letter in found if letter["code"] == "deed_conflict"]

    assert len(await soon(letters, bool, "another body under the same id is a dead letter")) == 1
    inbox = await door.get("/v1/inbox", phone)
    assert any("60 积分已到账" in one["body"] and "志愿服务" in one["body"] for one in inbox["items"])
