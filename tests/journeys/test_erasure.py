"""A rider leaves: one of three who reported one thing. Nothing of theirs is left anywhere, and nothing else is lost."""

import asyncio
import io
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import orjson
import pytest
import redis
from aiokafka import AIOKafkaProducer
from PIL import Image

from shared.devtools.demo.target import target_of
from shared.events.personal import ERASED_WORDS
from shared.kit import clock
from shared.kit.ids import new_id
from shared.synthetic.city import grids
from shared.synthetic.door import DoorError
from shared.synthetic.opening import producer_of
from tests.journeys.canary import Canary, Places, forms_of
from tests.journeys.conftest import Town
from tests.journeys.odd_forms import Odd, as_poison, odd_forms, over_http
from tests.journeys.test_one_report import soon

PHONE, NAME = "13900077123", "欧阳金雀"
WORDS, NOTE = "金丝雀看见井盖翻起", "金丝雀补充说在路灯杆旁"
OTHERS = {"b": "乙看见同一个井盖", "c": "丙也看见那个井盖"}
GRID = 600


@dataclass
class Rider:
    """One of the three, with the phone's token."""

    number: str
    name: str
    id: str = ""
    phone: str = ""


def place_of(metres_north: int) -> dict[str, Any]:
    """A place in the middle of a grid, with seven decimals that no other place has."""
    middle = grids()[GRID].polygon.representative_point()
    lng = round(middle.x, 4) + 0.0000377 + metres_north * 1.3e-6
    lat = round(middle.y, 4) + 0.0000233 + metres_north / 111_320
    return {"lng": round(lng, 7), "lat": round(lat, 7), "datum": "wgs84", "accuracy_m": 5}


def report_of(number: str, place: dict[str, Any], **more: Any) -> dict[str, Any]:
    seen = (clock.now() - timedelta(minutes=2)).isoformat()
    return {"external_id": number, "kind": "part-01001", "place": place, "occurred_at": seen, **more}


async def register(town: Town, rider: Rider) -> None:
    body = {"items": [{"external_id": rider.number, "name": rider.name, "consent_at": clock.now().isoformat()}]}
    answer = await town.door.signed(town.company.code, town.company.secret, "/v1/riders:batch", body)
    rider.id = str(answer["items"][0]["rider_id"])
    rider.phone = town.door.token(rider.id, rider.name, ["rider"])


async def picture(town: Town, rider: Rider) -> str:
    content = io.BytesIO()
    Image.effect_noise((320, 240), 90).convert("RGB").save(content, "JPEG")
    stored = await town.door.send_bytes("/v1/photos", content.getvalue(), "image/jpeg", rider.phone)
    return str(stored["photo_id"])


async def on_kafka(town: Town, kind: str, *bodies: dict[str, Any]) -> None:
    topic = f"{town.suite.installation.topic_prefix}inbound.{town.company.code}.{kind}.v1"
    producer: AIOKafkaProducer
    async with producer_of(town.suite.installation.cluster, town.company) as producer:
        for body in bodies:
            await producer.send_and_wait(topic, orjson.dumps(body), key=str(body["external_id"]).encode())


async def letters_of(town: Town) -> int:
    """How many letters of companies' records are open."""
    found = [await town.door.get(f"/ops/{name}/status") for name in ("riders", "intake")]
    return sum(n for one in found for topic, n in one["dead_letters"].items() if topic.startswith("inbound"))


async def settled_letters(town: Town, letters: int) -> None:
    """Wait until so many letters of companies are open at riders and intake."""
    await soon(lambda: letters_of(town), lambda n: n >= letters, f"{letters} letters")


async def test_a_rider_leaves_and_nothing_of_theirs_stays(town: Town) -> None:
    door, places = town.door, Places(town.suite)
    a, b, c = Rider(PHONE, NAME), Rider(town.company.rider(11), "李同"), Rider(town.company.rider(12), "王同")
    for rider in (a, b, c):
        await register(town, rider)
    case, reports, photo = await live(town, a, b, c)
    await refused_by_kafka(town, a)
    forms = await odd_ones(town)
    where = place_of(0)
    canary = Canary(
        {
            "phone": PHONE, "name": NAME, "words": WORDS, "note": NOTE, "photo": photo, "report": "canary-report",
            "lng": str(where["lng"])[:-1], "lat": str(where["lat"])[:-1],
        }
    )  # fmt: skip
    # the search sees each of them, so it is not for want of eyes that it finds none afterwards
    assert [odd.name for odd in forms if not canary.hits(odd.value + (odd.key or b""))] == []
    before = await asyncio.to_thread(places.search, canary)
    assert before["postgres riders.dead_letters"] >= {"phone", "name"}
    assert before["postgres riders.rider_names"] == {"name"}
    assert before["postgres tracking.case_steps"] == {"note"}
    assert {"words", "photo"} <= before["postgres cases.case_reports"]
    assert {"phone", "words"} <= before["postgres intake.dead_letters"]
    assert before["postgres riders.request_ids"] == {"phone"}
    assert before["postgres intake.outbox_held"] >= {"words", "lng", "lat"}
    assert {"words", "lng", "lat"} <= before["topic intake.report-received.v1"]
    assert before["object"] == {"photo"}
    assert not [
        place
        for place, hits in before.items()
        if place.startswith("topic") and "name" in hits and "inbound" not in place
    ]
    ledger = (await door.get("/ops/points/status"))["tallies"]

    since = {place: (after, after) for place, (_, after) in (await asyncio.to_thread(places.ends)).items()}
    await door.delete(f"/v1/riders/{a.id}", a.phone)
    await whole(town, a.id)
    await come_again(town, a, b, case)

    # What the suite itself wrote since then has nothing of theirs; what companies wrote expires with their topics.
    ends = await asyncio.to_thread(places.ends)
    later = {place: (since.get(place, (0, 0))[1], after) for place, (_, after) in ends.items()}
    written = [
        (place, hits)
        for place, content in await asyncio.to_thread(lambda: list(places.records(later)))
        if (hits := canary.hits(content)) and not (place.startswith("topic inbound.") and not place.endswith(".dlq"))
    ]
    assert written == []
    await places.expire()
    assert await asyncio.to_thread(places.search, canary) == {}

    await others_are_whole(town, b, c, case, reports, ledger)
    await asyncio.to_thread(plant_and_find, town, places, canary)


async def live(town: Town, a: Rider, b: Rider, c: Rider) -> tuple[str, dict[str, str], str]:
    """A sees it first, with a photo; B and C too. A is asked and answers; the case is closed and all are paid."""
    door = town.door
    photo = await picture(town, a)
    await door.put("/v1/preferences", {"language": "en", "channels": [], "version": 0}, a.phone)
    first = report_of(f"canary-report-{new_id()}", place_of(0), text=WORDS, photos=[photo])
    reports = {"a": (await door.post("/v1/reports", first, a.phone))["report_id"]}
    address = f"/v1/tracking/reports/{reports['a']}"
    seen = await soon(lambda: door.get(address, a.phone), lambda x: x["case_id"] is not None, "a case is open")
    for key, rider, metres in (("b", b, 3), ("c", c, 6)):
        body = report_of(f"{key}-{new_id()}", place_of(metres), text=OTHERS[key], rider=rider.number)
        answer = await door.signed(town.company.code, town.company.secret, "/v1/reports", body)
        reports[key] = answer["report_id"]
    # one that intake refuses, with the rider's words in its letter
    wrong = report_of(f"canary-report-{new_id()}", place_of(0), text=WORDS, rider=PHONE) | {"kind": "part-99999"}
    letters = await letters_of(town)
    await on_kafka(town, "reports", wrong)
    await settled_letters(town, letters + 1)
    await soon(lambda: door.get(address, a.phone), lambda x: x["report_count"] == 3, "one case of three")
    case = f"/v1/cases/{seen['case_id']}"
    worker = door.token("w-1", "王强", ["grid_worker"], areas=[grids()[GRID].code])
    verifier = door.token("v-1", "陈静", ["verifier"], areas=[grids()[GRID].code])
    await door.post(f"{case}/claim", {}, worker)
    await door.post(f"{case}/request-info", {"note": "请说明位置"}, worker)
    await door.post(f"{case}/give-info", {"note": NOTE}, a.phone)
    await door.post(f"{case}/handle", {"note": "已更换井盖"}, worker)
    await door.post(f"{case}/verify", {}, verifier)
    await door.post(f"{case}/close", {}, verifier)
    for key, rider in (("a", a), ("b", b), ("c", c)):
        ask = partial(door.get, f"/v1/tracking/reports/{reports[key]}", rider.phone)
        await soon(ask, lambda x: any(s["key"] == "points_posted" for s in x["steps"]), f"{key} is paid")
    return case, reports, photo


async def odd_ones(town: Town) -> list[Odd]:
    """The company's poison about the rider in every form, on its topics and over HTTP: none of it takes effect."""
    report = report_of(f"canary-report-{new_id()}", place_of(0), text=WORDS, rider=PHONE) | {"kind": "part-99999"}
    forms, target = list(odd_forms(report, NAME)), target_of(town.suite)
    letters = await letters_of(town)
    await as_poison(target, town.company, town.suite.installation.topic_prefix, forms)
    await settled_letters(town, letters + len(forms))
    answers = await over_http(target, town.company, forms)
    batch = answers.pop("batched")
    assert batch < 500 and {status for status in answers.values() if not 400 <= status < 500} == set(), answers
    return forms


async def refused_by_kafka(town: Town, a: Rider) -> None:
    """An event about the first report that Kafka would not take, and that an operator has given up."""
    body = {"rider_id": a.id, "external_id": PHONE, "text": WORDS, **place_of(0), "photos": []}
    held = (1, "intake.report-received.v1", orjson.dumps(body), [a.id])
    conn = await asyncpg.connect(town.suite.installation.dsn("intake"))
    try:
        await conn.execute(
            "INSERT INTO outbox_held (id, hold_id, event_id, topic, key, version, occurred_at, payload, riders, "
            "discarded_at) VALUES ($1, $1, gen_random_uuid(), $2, 'x', 1, now(), $3, $4, now())",
            *held,
        )
    finally:
        await conn.close()


async def whole(town: Town, rider_id: str) -> None:
    """Wait until every service says that it has nothing left."""

    async def done() -> list[str]:
        states = [await town.door.get(f"/ops/{name}/erasures/{rider_id}") for name in town.suite.installation.services]
        return [one["service"] for one in states if one["done_at"] is not None]

    await soon(done, lambda names: len(names) == len(town.suite.installation.services), "erased in all services")


async def come_again(town: Town, a: Rider, b: Rider, case: str) -> None:
    """Everything that could write them down once more: the company's list, late reports, the old token, the case."""
    door, company = town.door, town.company
    again = {"external_id": PHONE, "name": NAME, "consent_at": clock.now().isoformat()}
    answer = await door.signed(company.code, company.secret, "/v1/riders:batch", {"items": [again]})
    assert answer["items"][0]["problem"]["code"] == "rider_erased"
    late = report_of(f"canary-report-{new_id()}", place_of(0), text=WORDS, rider=PHONE)
    with pytest.raises(DoorError, match="rider_erased"):
        await door.signed(company.code, company.secret, "/v1/reports", late)
    letters = await letters_of(town)
    await on_kafka(town, "riders", again)
    await on_kafka(town, "reports", late)
    await settled_letters(town, letters + 2)
    await odd_ones(town)
    with pytest.raises(DoorError, match=" 403 "):
        await door.post("/v1/reports", {k: v for k, v in late.items() if k != "rider"}, a.phone)
    with pytest.raises(DoorError, match=" 403 "):
        await door.post(f"{case}/reopen", {"note": NOTE}, a.phone)
    await door.post(f"{case}/reopen", {"note": "还是没修好"}, b.phone)
    for service in ("intake", "riders", "routing", "cases"):
        await door.post(f"/ops/{service}/dead-letters/replay", {"reason": "as before"})


async def others_are_whole(
    town: Town, b: Rider, c: Rider, case: str, reports: dict[str, str], ledger: dict[str, int]
) -> None:
    """The ledger balances, the case reads, and the other two have what is theirs."""
    door = town.door
    now = (await door.get("/ops/points/status"))["tallies"]
    assert now["ledger_sum"] == now["imbalance"] == 0
    assert now["available"] >= ledger["available"] > 0
    worker = door.token("w-1", "王强", ["grid_worker"], areas=[grids()[GRID].code])
    seen = await door.get(case, worker)
    assert seen["report_count"] == 3
    assert {one["text"] for one in seen["words"]} >= set(OTHERS.values())
    assert ERASED_WORDS in [step["note"] for step in seen["steps"] if step["step"] == "info_given"]
    for key, rider in (("b", b), ("c", c)):
        mine = await door.get(f"/v1/tracking/reports/{reports[key]}", rider.phone)
        assert [s["note"] for s in mine["steps"] if s["key"] == "info_given"] == [""]  # A's words never were theirs
        assert {"王强", "陈静"} <= {step["who"] for step in mine["steps"]}
        assert (await door.get("/v1/inbox", rider.phone))["items"]
        assert (await door.get(f"/v1/riders/{rider.id}", rider.phone))["name"] == rider.name


def plant_and_find(town: Town, places: Places, canary: Canary) -> None:
    """The search itself can fail: something left in each place is found there, whatever form it has."""
    made = town.suite.installation
    asyncio.run(_plant_row(made.dsn("notifications")))
    with redis.Redis.from_url(made.environment("intake")["BEEGRID_REDIS_URL"]) as client:
        client.set(f"intake:rate:person:{PHONE}", 1, px=60_000)
    (places.photos / f"{canary.needles['photo']}.jpg").write_bytes(b"jpeg")
    (town.suite.logs / "planted.log").write_text(f'{{"event": "x", "name": {orjson.dumps(NAME).decode()}}}\n')
    topic = f"inbound.{town.company.code}.reports.v1"
    asyncio.run(on_kafka(town, "reports", {"external_id": "planted", "text": WORDS}))
    found = places.search(canary)
    assert found["postgres notifications.messages"] == {"name", "words"}
    assert (found["redis"], found["object"], found["log planted.log"]) == ({"phone"}, {"photo"}, {"name"})
    assert found[f"topic {topic}"] == {"words"}
    assert all(canary.hits(b"xy" + form + b"z") for form in forms_of(NOTE))


async def _plant_row(dsn: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(
            "INSERT INTO messages (rider_id, message_id, topic, template, params, created_at) "
            "VALUES ($1, $1, 'case', $2, $3, now())",
            new_id(), NAME, orjson.dumps({"note": WORDS}).decode(),
        )  # fmt: skip
    finally:
        await conn.close()
