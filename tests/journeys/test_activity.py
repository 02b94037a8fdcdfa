"""活动: more riders want to come than there are places; one cancels, the next one moves up, checks in and earns."""

import secrets
from datetime import timedelta
from typing import Any

from shared.devtools.demo import ending, live
from shared.kit import clock
from shared.synthetic import outings
from shared.synthetic.city import grids
from tests.asking import soon
from tests.journeys.conftest import Town
from tests.journeys.earning import add_rule
from tests.journeys.test_earning import plenty
from tests.journeys.test_one_report import rider_id_of

RULE = "activity-attended,award,deed,,,,activity-attended,,,15,,,,,,,,,,参加活动,activity attended"
WORDS = {
    "title_zh": "小哥集体生日会", "title_en": "Birthday together", "address": "白杨街道小哥驿站二楼",
    "organiser": "白杨街道",
}  # fmt: skip


async def test_one_place_and_two_riders(town: Town) -> None:
    door, street = town.door, grids()[0].code[:9]
    await plenty(town)
    await add_rule(door, RULE)
    office = door.token("o-8", "街道活动", ["operator"], areas=[street])
    start = clock.now() + timedelta(minutes=30)

    # 街道发布活动，一个名额 / the street publishes an activity with one place.
    body = {
        **WORDS, "area_code": street, "starts_at": start.isoformat(), "signup_until": start.isoformat(),
        "ends_at": (start + timedelta(hours=2)).isoformat(), "places": 1,
    }  # fmt: skip
    activity = await door.post("/v1/activities", body, office, idempotency_key=secrets.token_hex(8))
    path = f"/v1/activities/{activity['id']}"

    # 两位小哥报名 / two riders sign up: one has the place, the other waits.
    riders = [await rider_id_of(town, town.company.rider(number)) for number in (11, 12)]
    phones = [door.token(rider, "小哥", ["rider"]) for rider in riders]
    before = (await door.get("/v1/points/me", phones[1]))["available"]
    states = []
    for phone in phones:

        async def sign_up(phone: str = phone) -> Any:
            return await door.put(f"{path}/signup", {"photo_consent": True}, phone)

        states.append((await soon(sign_up, bool, "signed up"))["state"])
    assert states == ["confirmed", "waiting"]

    # 一位取消，候补转正 / one cancels, and the other has the place at once.
    await door.post(f"{path}/signup/cancel", {}, phones[0])
    own = await door.get(f"{path}/signup", phones[1])
    assert own["state"] == "confirmed"

    def moved_up(found: Any) -> bool:
        return any("有人取消" in one["body"] and "小哥集体生日会" in one["body"] for one in found["items"])

    await soon(lambda: door.get("/v1/inbox", phones[1]), moved_up, "the rider hears that they have moved up")

    # 现场扫码签到，积分到账 / staff scans the code; the rule pays.
    worker = door.token("w-9", "网格员", ["grid_worker"], areas=[street])
    for _ in range(2):
        await door.post(f"{path}/check-ins", {"code": own["code"]}, worker)
    await soon(
        lambda: door.get("/v1/points/me", phones[1]), lambda found: found["available"] == before + 15, "15 points"
    )
    said = await door.put(f"{path}/feedback", {"stars": 5, "words": "蛋糕好吃"}, phones[1])
    assert said["stars"] == 5

    whole = await door.get(path)
    assert (whole["signups"], whole["confirmed"], whole["cancelled"], whole["attended"]) == (2, 1, 1, 1)
    assert (await door.get("/v1/activities/reconciliation"))["difference"] == 0
    feed = (await door.get_bytes("/v1/activities/calendar.ics")).decode()
    assert "SUMMARY:小哥集体生日会" in feed


async def test_the_demos_outing_has_as_many_as_places_and_adds_up(town: Town) -> None:
    riders = [await rider_id_of(town, town.company.rider(number)) for number in range(920, 990)]
    await soon(lambda: live.look(town.door), lambda found: found.lag == found.outbox == 0, "all are known")
    outing = await outings.hold(town.door, grids()[0].code[:9], riders)
    assert outing.states == {"confirmed": outings.PLACES, "waiting": 13, "cancelled": 7}

    found = ending.places(outing, await live.look(town.door))
    assert [line for line in found if not line.holds] == []
