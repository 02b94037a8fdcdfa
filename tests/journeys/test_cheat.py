"""A cheat is caught: points wait, somebody reads why and decides; what is confirmed is not paid, what is cleared is."""

from datetime import timedelta
from typing import Any

from shared.geo.datum import point_from_wgs84
from shared.kit import clock
from shared.kit.ids import new_id
from shared.synthetic.city import grids
from shared.synthetic.farmed import picture
from tests.asking import soon
from tests.journeys.conftest import Town
from tests.journeys.test_one_report import rider_id_of


async def filed(town: Town, number: int, grid_index: int, photo: bytes) -> tuple[str, str, str]:
    """(rider, their token, report): a rider photographs a manhole cover in a grid."""
    rider = await rider_id_of(town, town.company.rider(number))
    phone = town.door.token(rider, "孙芳", ["rider"])
    stored = await town.door.send_bytes("/v1/photos", photo, "image/jpeg", phone)
    middle = grids()[grid_index].polygon.representative_point()
    lng, lat = point_from_wgs84(middle.x, middle.y, "gcj02")
    body = {
        "external_id": f"cheat-{new_id()}", "kind": "part-01001", "text": "井盖碎了",
        "place": {"lng": lng, "lat": lat, "datum": "gcj02", "accuracy_m": 5},
        "occurred_at": (clock.now() - timedelta(minutes=2)).isoformat(), "photos": [stored["photo_id"]],
    }  # fmt: skip
    return rider, phone, (await town.door.post("/v1/reports", body, phone))["report_id"]


async def closed(town: Town, phone: str, report: str, grid_index: int) -> None:
    """Its case, led to its end by two people."""
    door, grid = town.door, grids()[grid_index]
    seen = await soon(
        lambda: door.get(f"/v1/tracking/reports/{report}", phone), lambda x: x["case_id"] is not None, "a case is open"
    )
    worker = door.token("w-1", "王强", ["grid_worker"], areas=[grid.code])
    verifier = door.token("v-1", "陈静", ["verifier"], areas=[grid.code[:9]])
    case = f"/v1/cases/{seen['case_id']}"
    await door.post(f"{case}/claim", {}, worker)
    await door.post(f"{case}/handle", {"note": "已更换井盖"}, worker)
    await door.post(f"{case}/verify", {}, verifier)
    await door.post(f"{case}/close", {}, verifier)


async def queue(town: Town) -> dict[str, Any]:
    """What waits for a decision, by report."""
    return {one["report_id"]: one for one in (await town.door.get("/v1/screening/suspicions"))["items"]}


async def decide(town: Town, report: str, decision: str) -> None:
    body = {"reports": [report], "decision": decision, "note": "比对了两张照片"}
    await town.door.post("/v1/screening/suspicions:decide", body)


async def test_one_picture_at_three_places_and_what_becomes_of_it(town: Town) -> None:
    door, photo = town.door, picture()

    # 一张照片三处上报 / one picture is filed by three riders, each from another grid.
    honest, cheat, shared = [
        await filed(town, number, grid, photo) for number, grid in ((16, 410), (17, 420), (18, 430))
    ]

    # 第一位照常到账 / the first is paid as ever; the others are under suspicion, with the reason in words.
    waiting = await soon(lambda: queue(town), lambda x: {cheat[2], shared[2]} <= set(x), "two are under suspicion")
    assert honest[2] not in waiting
    [found] = waiting[cheat[2]]["findings"]
    assert (found["reason"], found["zh"]) == ("repeated_photo", "照片与另一次上报完全相同")
    assert found["other_report"] in (honest[2], shared[2])
    for (_, phone, report), grid in zip((honest, cheat, shared), (410, 420, 430), strict=True):
        await closed(town, phone, report, grid)
    points = "/v1/points/me"
    await soon(lambda: door.get(points, honest[1]), lambda x: x["available"] > 0, "the first is paid")
    for _, phone, report in (cheat, shared):
        address = f"/v1/tracking/reports/{report}"
        await soon(lambda at=address, who=phone: door.get(at, who), lambda x: x["state"] == "closed", "it is closed")
        mine = await door.get(points, phone)
        assert mine["available"] == 0 and mine["pending"] > 0, "its points wait"

    # 复核：一个作废，一个放行 / somebody looks: one is confirmed; the other was a colleague's picture, and is cleared.
    await decide(town, cheat[2], "confirmed")
    await decide(town, shared[2], "cleared")
    await soon(lambda: door.get(points, cheat[1]), lambda x: x["pending"] == 0, "the cheat's points are void")
    assert (await door.get(points, cheat[1]))["available"] == 0
    await soon(lambda: door.get(points, shared[1]), lambda x: x["available"] > 0, "the other is paid")
    assert not {cheat[2], shared[2]} & set(await queue(town))

    # 骑手知道原因 / the rider reads why, in their language.
    await soon(
        lambda: door.get("/v1/inbox", cheat[1]),
        lambda x: any("不符合积分规则" in one["body"] for one in x["items"]),
        "the rider reads why",
    )
