"""More riders want to come to an activity than there are places; some cancel, and who waits moves up."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.kit import clock
from shared.kit.ids import new_id
from shared.synthetic.door import Door
from shared.synthetic.people import person_name

PLACES = 50
CANCELS_EVERY = 10
AT_ONCE = 16
WORDS = {
    "title_zh": "小哥集体生日会", "title_en": "Birthday together", "words_zh": "本月过生日的小哥一起吃蛋糕。",
    "words_en": "Cake for all whose birthday is this month.", "address": "钱塘区（虚构地址）", "organiser": "演示街道",
}  # fmt: skip


@dataclass(frozen=True)
class Outing:
    """How it went. `states`: of the sign-ups when all had come and some had cancelled."""

    activity: str
    wishes: int
    states: Counter[str]


async def hold(door: Door, area: str, riders: Sequence[str]) -> Outing:
    """Publish an activity; these riders sign up at once, and every tenth cancels again."""
    start = clock.now() + timedelta(days=7)
    stated = {
        "area_code": area, "starts_at": start.isoformat(), "ends_at": (start + timedelta(hours=2)).isoformat(),
        "signup_until": (start - timedelta(hours=2)).isoformat(), "places": PLACES,
    }  # fmt: skip
    activity = await door.post("/v1/activities", {**WORDS, **stated}, idempotency_key=str(new_id()))
    path, gate = f"/v1/activities/{activity['id']}/signup", asyncio.Semaphore(AT_ONCE)

    async def come(number: int, rider: str) -> None:
        token = door.token(rider, person_name(number), ["rider"])
        async with gate:
            await door.put(path, {}, token)
            if number % CANCELS_EVERY == 0:
                await door.post(f"{path}/cancel", None, token)

    await asyncio.gather(*(come(number, rider) for number, rider in enumerate(riders)))
    states = Counter[str]()
    asked: dict[str, str] = {}
    while True:
        page = await door.get(f"{path}s", limit=500, **asked)
        states.update(one["state"] for one in page["items"])
        if page["cursor"] is None:
            return Outing(activity["id"], len(riders), states)
        asked = {"cursor": page["cursor"]}
