"""用心做: an errand is published, handed on, done, refused, and granted by another person; points follow."""

from datetime import timedelta
from typing import Any

from shared.geo.datum import point_from_wgs84
from shared.kit import clock
from shared.kit.ids import new_id
from shared.synthetic.city import grids
from tests.asking import soon
from tests.journeys.conftest import Town
from tests.journeys.earning import add_rule
from tests.journeys.test_earning import plenty
from tests.journeys.test_one_report import rider_id_of

ERRAND = "errand,award,deed,,,,errand,,,1,,,,,,,,,,帮办代办,errand"


def key() -> dict[str, str]:
    """Of a new request."""
    return {"idempotency_key": str(new_id())}


async def test_an_errand_from_the_board_to_the_points(town: Town) -> None:
    door, grid = town.door, grids()[3]
    await plenty(town)
    await add_rule(door, ERRAND)
    community, street = grid.code[:12], grid.code[:9]
    office = door.token("c-5", "社区", ["operator"], areas=[community])
    above = door.token("s-5", "街道", ["operator"], areas=[street])
    riders = [await rider_id_of(town, town.company.rider(n)) for n in (18, 19)]
    first, second = (door.token(rider, "小哥", ["rider"]) for rider in riders)
    before = (await door.get("/v1/points/me", second))["available"]

    # 社区发布帮办任务 / a community asks for somebody to fetch medicine: one place, thirty points.
    middle, now = grid.polygon.representative_point(), clock.now()
    task = await door.post("/v1/tasks", {
        "kind": "errand", "area_code": community, "title": "帮张奶奶取药", "needs": "取药送到家", "address": "东门",
        "place": {"lng": middle.x, "lat": middle.y}, "capacity": 1, "points": 30, "points_given": 30,
        "starts_at": (now + timedelta(minutes=20)).isoformat(), "ends_at": (now + timedelta(hours=2)).isoformat(),
        "hand_back_hours": 0,
    }, office, **key())  # fmt: skip
    path = f"/v1/tasks/{task['id']}"
    listed = await door.get("/v1/tasks", first, area=street, kind="errand", free=True)
    assert task["id"] in [one["id"] for one in listed["items"]]

    # 一人认领，一人候补；交还后候补转正 / one has the place, one waits; handed back, it is the other's, who hears it.
    mine = await door.post(f"{path}/claims", {"of_age": True}, first, **key())
    body = {"of_age": True, "contact": {"name": "家人", "phone": "13800138000"}}
    waits = await door.post(f"{path}/claims", body, second, **key())
    assert (mine["state"], waits["state"]) == ("claimed", "waiting")
    await door.put(f"/v1/tasks/claims/{mine['id']}/hand-back", {}, first)

    async def heard(what: str) -> Any:
        inbox = await door.get("/v1/inbox", second)
        return [one for one in inbox["items"] if what in one["title"]]

    await soon(lambda: heard("候补转正"), bool, "the second one hears of the place")
    claim = f"/v1/tasks/claims/{waits['id']}"
    assert (await door.put(f"{claim}/contact", {}, office))["phone"] == "13800138000"

    # 到场、完成 / there and done. 社区不通过，街道裁定申诉 / the community refuses, the street grants the appeal.
    lng, lat = point_from_wgs84(middle.x, middle.y, "gcj02")
    await door.put(f"{claim}/start", {"place": {"lng": lng, "lat": lat, "datum": "gcj02", "accuracy_m": 10}}, second)
    await door.put(f"{claim}/finish", {"photo_id": str(new_id()), "note": "已送到家"}, second)
    await door.put(f"{claim}/review", {"approved": False, "reason": "照片不清楚"}, office)
    await soon(lambda: heard("未通过审核"), bool, "the refusal")
    await door.put(f"{claim}/appeal", {"words": "药已交到本人手上"}, second)
    assert waits["id"] in [one["id"] for one in (await door.get("/v1/tasks/appeals", above))["items"]]
    await door.put(f"{claim}/decision", {"granted": True, "reason": "已电话核实"}, above)
    await soon(lambda: heard("申诉成立"), bool, "the decision")
    await soon(lambda: door.get("/v1/points/me", second), lambda x: x["available"] == before + 30, "thirty points")
    figures = await door.get("/v1/tasks/figures")
    assert figures["balanced"], figures
