"""One report, all the way: what a rider sees, who handles it, what it earns, and who else is notified."""

import asyncio
import io
from datetime import timedelta
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer
from PIL import Image

from shared.geo.datum import point_from_wgs84
from shared.kit import clock
from shared.kit.ids import new_id
from shared.provision.kafka import client_config
from shared.provision.topology import provision_system
from shared.synthetic.city import grids
from shared.synthetic.door import DoorError
from shared.synthetic.opening import producer_of
from tests.asking import ANSWER_WITHIN_S, soon
from tests.journeys.conftest import Town


def manhole(external_id: str, rider: str, grid_index: int = 100, **changes: Any) -> dict[str, Any]:
    """A broken manhole cover in the middle of a grid, as a phone with a Chinese map gives it."""
    middle = grids()[grid_index].polygon.representative_point()
    lng, lat = point_from_wgs84(middle.x, middle.y, "gcj02")
    return {
        "external_id": external_id,
        "rider": rider,
        "kind": "part-01001",
        "place": {"lng": lng, "lat": lat, "datum": "gcj02", "accuracy_m": 5},
        "occurred_at": (clock.now() - timedelta(minutes=2)).isoformat(),
        "text": "井盖碎了，夜里很危险",
        **changes,
    }


async def rider_id_of(town: Town, external_id: str) -> str:
    body = {"items": [{"external_id": external_id, "name": "孙芳", "consent_at": clock.now().isoformat()}]}
    answer = await town.door.signed(town.company.code, town.company.secret, "/v1/riders:batch", body)
    return str(answer["items"][0]["rider_id"])


async def test_a_manhole_cover_from_the_street_to_a_gift(town: Town) -> None:
    door, grid = town.door, grids()[100]

    # 小哥拍下破损的井盖 / a rider photographs a broken manhole cover and files it through their company's app.
    rider = await rider_id_of(town, town.company.rider(7))
    phone = door.token(rider, "孙芳", ["rider"])
    report = manhole(f"story-{new_id()}", town.company.rider(7))
    accepted = await door.signed(town.company.code, town.company.secret, "/v1/reports", report)
    assert accepted["status"] == "accepted"
    address = f"/v1/tracking/reports/{accepted['report_id']}"

    # It belongs to the grid they stood in, a case opens there, and points wait for them.
    seen = await soon(lambda: door.get(address, phone), lambda x: x["case_id"] is not None, "a case is open")
    assert seen["grid_code"] == grid.code
    inbox = await soon(
        lambda: door.get("/v1/inbox", phone), lambda x: any("积分" in m["body"] for m in x["items"]), "points wait"
    )
    assert any(grid.code in str(m) or grid.name in str(m) for m in inbox["items"])

    # 网格员认领、处置，他人核查 / the grid worker handles it; they may not verify their own work, somebody else does.
    case = f"/v1/cases/{seen['case_id']}"
    worker = door.token("w-1", "王强", ["grid_worker", "verifier"], areas=[grid.code])
    verifier = door.token("v-1", "陈静", ["verifier"], areas=[grid.code[:9]])
    stranger = door.token("w-2", "外区网格员", ["grid_worker"], areas=["330199"])
    with pytest.raises(DoorError, match=" 404 "):
        await door.post(f"{case}/claim", {}, stranger)
    await door.post(f"{case}/claim", {}, worker)
    await door.post(f"{case}/handle", {"note": "已更换井盖"}, worker)
    with pytest.raises(DoorError, match="same_person"):
        await door.post(f"{case}/verify", {}, worker)
    await door.post(f"{case}/verify", {}, verifier)
    await door.post(f"{case}/close", {}, verifier)

    # The reporter reads every step, with times and the names of who was on it, at one address.
    seen = await soon(
        lambda: door.get(address, phone),
        lambda x: x["state"] == "closed" and any(s["key"].endswith("posted") for s in x["steps"]),
        "paid",
    )
    assert seen["state"] == "closed"
    named = {step["who"] for step in seen["steps"]}
    assert {"王强", "陈静"} <= named
    assert [step["at"] for step in seen["steps"]] == sorted(step["at"] for step in seen["steps"])
    with pytest.raises(DoorError, match=" 404 "):
        await door.get(address, door.token(str(new_id()), "别人", ["rider"]))

    # 积分到账，换一份早餐 / the points are theirs, and become breakfast at a station.
    mine = await soon(lambda: door.get("/v1/points/me", phone), lambda x: x["available"] > 0, "points are available")
    gift = await redeem_breakfast(town, phone, price=10)
    left = await soon(
        lambda: door.get("/v1/points/me", phone), lambda x: x["available"] == mine["available"] - 10, "points are paid"
    )
    assert gift["offer_name"] == "早餐"
    assert left["pending"] == 0


async def redeem_breakfast(town: Town, phone: str, price: int) -> dict[str, Any]:
    """A station offers, the rider redeems, the counter takes the voucher once."""
    door = town.door
    merchant = await door.post(
        "/v1/merchants", {"name": "驿站", "address": "虚构路 1 号"}, idempotency_key=str(new_id())
    )
    now = clock.now()
    offer = await door.post(
        "/v1/offers",
        {
            "merchant_id": merchant["id"], "name": "早餐", "price": price, "stock": 1,
            "valid_from": (now - timedelta(hours=1)).isoformat(), "valid_until": (now + timedelta(days=1)).isoformat(),
        },
        idempotency_key=str(new_id()),
    )  # fmt: skip
    wish = await door.post(f"/v1/offers/{offer['id']}/redeem", None, phone, idempotency_key=str(new_id()))
    path = f"/v1/redemptions/{wish['redemption_id']}"
    voucher = await soon(lambda: door.get(path, phone), lambda x: x["state"] == "issued", "a voucher")
    with pytest.raises(DoorError, match=" 409 "):
        await door.post(f"/v1/offers/{offer['id']}/redeem", None, phone, idempotency_key=str(new_id()))
    counter = door.token("m-1", "柜台", ["merchant"], merchant_id=merchant["id"])
    taken: dict[str, Any] = await door.post("/v1/vouchers/verify", {"code": voucher["code"]}, counter)
    with pytest.raises(DoorError, match=" 409 "):
        await door.post("/v1/vouchers/verify", {"code": voucher["code"]}, counter)
    return taken


async def test_two_riders_one_hole_one_case_and_a_photo(town: Town) -> None:
    """The second reporter joins the first one's case; their photo keeps no place and no device."""
    door = town.door
    rider = await rider_id_of(town, town.company.rider(9))
    phone = door.token(rider, "李娜", ["rider"])
    picture = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "PhoneMaker"
    Image.new("RGB", (640, 480), (90, 90, 90)).save(picture, "JPEG", exif=exif)
    stored = await door.send_bytes("/v1/photos", picture.getvalue(), "image/jpeg", phone)
    first = manhole(f"hole-{new_id()}", town.company.rider(8), grid_index=200)
    await door.signed(town.company.code, town.company.secret, "/v1/reports", first)
    second = {k: v for k, v in manhole("x", "", grid_index=200).items() if k not in {"rider", "external_id"}}
    second |= {"external_id": f"own-{new_id()}", "photos": [stored["photo_id"]]}
    accepted = await door.post("/v1/reports", second, phone)
    address = f"/v1/tracking/reports/{accepted['report_id']}"
    seen = await soon(lambda: door.get(address, phone), lambda x: x["report_count"] == 2, "both are in one case")
    assert seen["case_id"]
    kept = await door.get_bytes(f"/v1/photos/{stored['photo_id']}", phone)
    assert not dict(Image.open(io.BytesIO(kept)).getexif())


async def test_a_city_system_reads_the_public_topic_with_a_plain_client(town: Town) -> None:
    """librdkafka, as kcat has it: own user, public topic, nothing of a rider, and no other topic."""
    cluster = town.suite.installation.cluster
    await asyncio.to_thread(provision_system, cluster, "dispatch", "a-password-of-its-own")
    report = manhole(f"public-{new_id()}", town.company.rider(3), grid_index=300)
    await town.door.signed(town.company.code, town.company.secret, "/v1/reports", report)
    found = await asyncio.to_thread(_read_public, town, grids()[300].code)
    body, headers = orjson.loads(found.value()), dict(found.headers())
    assert found.key().decode() == body["case_id"] == headers["ce_subject"].decode()
    assert headers["ce_aggregateversion"] == b"1"
    assert round(body["lng"], 4) == body["lng"]
    assert not {"rider_id", "reports", "text"} & set(body)


def _read_public(town: Town, grid_code: str) -> Any:
    installation = town.suite.installation
    user = f"{installation.user_prefix}system-dispatch"
    config = client_config(installation.infra.kafka_bootstrap, user, "a-password-of-its-own")
    group = f"{installation.topic_prefix}system-dispatch.test"
    consumer = Consumer({**config, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([f"{installation.topic_prefix}public.case-changed.v1"])
    deadline_s = clock.monotonic_s() + ANSWER_WITHIN_S
    try:
        while clock.monotonic_s() < deadline_s:
            message = consumer.poll(0.5)
            # cases that ended long ago leave the topic by records without a value
            if message is not None and message.error() is None and grid_code in (message.value() or b"").decode():
                return message
    finally:
        consumer.close()
    pytest.fail("the case never came on the public topic")


async def test_bad_input_over_kafka_becomes_dead_letters_and_delays_nobody(town: Town) -> None:
    """Each bad record is kept with its reason; the good one beside them is accepted at once."""
    good = manhole(f"good-{new_id()}", town.company.rider(5), grid_index=400)
    no_place = {k: v for k, v in manhole(f"b1-{new_id()}", town.company.rider(5)).items() if k != "place"}
    bad: list[bytes] = [
        b"{not json",
        orjson.dumps(no_place),
        orjson.dumps(manhole(f"b2-{new_id()}", town.company.rider(5), kind="part-99999")),
        orjson.dumps(manhole(f"b3-{new_id()}", "nobody-at-all")),  # waits for its rider
        orjson.dumps(manhole(f"b4-{new_id()}", town.company.rider(0))),  # has not consented: waits, too
        orjson.dumps(manhole(f"b5-{new_id()}", town.company.rider(5), occurred_at="2999-01-01T00:00:00Z")),
        orjson.dumps(manhole(f"b6-{new_id()}", town.company.rider(5), text="长" * 100_000)),
        orjson.dumps(manhole(f"b7-{new_id()}", town.company.rider(5))).replace(b'"gcj02"', b'"mars"'),
        orjson.dumps(manhole(f"b8-{new_id()}", town.company.rider(5))).replace(b'"accuracy_m":5', b'"accuracy_m":NaN'),
    ]
    topic = f"{town.suite.installation.topic_prefix}inbound.{town.company.code}.reports.v1"

    async def letters(after: int) -> list[dict[str, Any]]:
        page = await town.door.get("/ops/intake/dead-letters", limit=1000, after=after)
        return [letter for letter in page if letter["topic"].startswith("inbound")]

    async def received() -> int:
        progress = await town.door.get("/v1/tracking/progress", company=town.company.code)
        return int(progress["received"])

    before = max((letter["id"] for letter in await letters(0)), default=0)
    known = await received()
    async with producer_of(town.suite.installation.cluster, town.company) as producer:
        for value in bad:
            await producer.send(topic, value)
        await producer.send_and_wait(topic, orjson.dumps(good), key=good["external_id"].encode())

    found = await soon(lambda: letters(before), lambda x: len(x) >= len(bad) - 2, "all bad records are kept")
    codes = [letter["code"] for letter in found]
    for expected in (
        "malformed_json",
        "validation_failed",
        "unknown_kind",
        "occurred_in_future",
        "content_too_large",
    ):
        assert expected in codes, codes

    async def export() -> str:
        return (await town.door.get_bytes("/v1/tracking/export", company=town.company.code)).decode()

    await soon(received, lambda count: count > known, "the good report is counted")  # an export is for now and then
    await soon(export, lambda text: good["external_id"] in text, "the good report is tracked")
