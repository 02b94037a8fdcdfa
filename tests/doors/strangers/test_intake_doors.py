"""Companies' reports, riders and photos in every form that a company may send them, on the services as they run."""

import asyncio
import gzip
import json
import zlib
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from shared.events.inbound_reports import INBOUND_REPORTS
from shared.kit.messaging.cloudevents import BATCHED, STRUCTURED
from tests.doors.strangers.conftest import COMPANY, Doors
from tests.kit.messaging.strangers import admin_arguments
from tests.services.intake.test_imaging import encoded, picture
from tests.support import settings_of, wait_until

JSON = "application/json"
REPORT = {
    "rider": "r1",
    "kind": "local-gas-smell",
    "place": {"lng": 120.2, "lat": 30.3, "datum": "wgs84"},
    "occurred_at": "2026-11-20T08:00:00Z",
}


def report(number: str, **changes: Any) -> dict[str, Any]:
    return {"external_id": number, **REPORT, **changes}


def event(data: Any, id_: str, source: str = "/dispatch", **changes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id_, "source": source, "type": "report", "data": data, **changes}


def reports(doors: Doors, batch: Any, kind: str = BATCHED, **headers: str) -> list[dict[str, Any]]:
    """A batch's results."""
    answer = doors.post("intake", "company", "/v1/reports:batch", json.dumps(batch).encode(), kind, **headers)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def outcomes(items: list[dict[str, Any]]) -> list[str]:
    return [(item["problem"] or {}).get("code") or item["status"] for item in items]


def test_an_event_counts_once_whatever_way_it_comes(doors: Doors) -> None:
    key = uuid4().hex
    one = event(report(f"{key}-1"), f"{key}-a")
    first = doors.post("intake", "company", "/v1/reports", json.dumps(one).encode(), STRUCTURED)
    again = doors.post("intake", "company", "/v1/reports", json.dumps(one).encode(), STRUCTURED)
    binary = {"ce_id": f"{key}-a", "ce_source": "%2Fdispatch", "ce_specversion": "1.0", "ce_type": "report"}
    headers = doors.post("intake", "company", "/v1/reports", json.dumps(report(f"{key}-1")).encode(), JSON, **binary)
    other = doors.post("intake", "company", "/v1/reports", json.dumps(report(f"{key}-2")).encode(), JSON, **binary)
    assert [one.status_code for one in (first, again, headers, other)] == [201, 200, 200, 409], first.text
    assert first.json()["report_id"] == again.json()["report_id"] == headers.json()["report_id"]
    assert (again.json()["status"], other.json()["code"]) == ("repeated", "event_known")
    elsewhere = event(report(f"{key}-2"), f"{key}-a", "/other")
    assert doors.post("intake", "company", "/v1/reports", json.dumps(elsewhere).encode(), STRUCTURED).status_code == 201


def test_a_batch_has_a_result_for_each_event(doors: Doors) -> None:
    key = uuid4().hex
    one, two = event(report(f"{key}-1"), f"{key}-1"), event(report(f"{key}-2"), f"{key}-2")
    batch = [
        one, one, event(report(f"{key}-3"), f"{key}-1"), event(report(f"{key}-1"), f"{key}-9"), {"id": "no event"},
        event(report(f"{key}-4", kind="nonsense"), f"{key}-4"), event(report(f"{key}-5", text=7), f"{key}-5"), two,
        event(report(f"{key}-1", text="other"), f"{key}-6"),
    ]  # fmt: skip
    found = reports(doors, batch)
    assert outcomes(found) == [
        "accepted", "repeated", "event_known", "repeated", "malformed_event", "unknown_kind", "validation_failed",
        "accepted", "idempotency_conflict",
    ]  # fmt: skip
    assert found[0]["report_id"] == found[1]["report_id"] == found[3]["report_id"]
    assert "specversion" in found[4]["problem"]["detail"]
    # what was refused may come again, corrected, as the same event; what was taken is known
    corrected = [event(report(f"{key}-4"), f"{key}-4"), event(report(f"{key}-5"), f"{key}-5"), one]
    assert outcomes(reports(doors, corrected)) == ["accepted", "accepted", "repeated"]
    assert outcomes(reports(doors, {"items": [report(f"{key}-4")]}, JSON)) == ["repeated"]


def test_what_came_over_kafka_is_known_over_http(doors: Doors) -> None:
    key = uuid4().hex
    settings = settings_of(doors.installation, "intake")
    topic = settings.topic_prefix + INBOUND_REPORTS.name.format(company=COMPANY)

    async def send(*events: dict[str, Any]) -> None:
        async with AIOKafkaProducer(**admin_arguments(doors.installation, settings)) as by:
            for one in events:
                headers = [("content-type", STRUCTURED.encode())]
                await by.send_and_wait(topic, json.dumps(one).encode(), headers=headers)

    async def accepted() -> int:
        conn = await asyncpg.connect(doors.installation.dsn("intake"))
        try:
            found: int = await conn.fetchval("SELECT count(*) FROM reports WHERE external_id LIKE $1", f"{key}%")
            return found
        finally:
            await conn.close()

    over_http, over_kafka = event(report(f"{key}-1"), f"{key}-1"), event(report(f"{key}-2"), f"{key}-2")
    assert outcomes(reports(doors, [over_http])) == ["accepted"]
    # the same event with another number: on Kafka it is left aside, since it came before
    asyncio.run(send(event(report(f"{key}-3"), f"{key}-1"), over_kafka))
    wait_until(lambda: asyncio.run(accepted()) == 2, "both events have taken effect")
    assert outcomes(reports(doors, [over_kafka, event(report(f"{key}-4"), f"{key}-2")])) == ["repeated", "event_known"]
    assert asyncio.run(accepted()) == 2


def test_riders_come_as_events_and_an_old_one_changes_nothing(doors: Doors) -> None:
    key = uuid4().hex

    def send(*events: dict[str, Any]) -> list[dict[str, Any]]:
        answer = doors.post("riders", "company", "/v1/riders:batch", json.dumps(events).encode(), BATCHED)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    first = event({"external_id": key, "name": "甲"}, f"{key}-1")
    second = event({"external_id": key, "name": "乙"}, f"{key}-2")
    stolen = event({"external_id": f"{key}-x", "name": "丙"}, f"{key}-1")
    early = {"external_id": f"{key}-y", "name": "丁", "consent_at": "2999-01-01T00:00:00Z"}
    found = send(first, second, first, stolen, event({}, f"{key}-3"), event(early, f"{key}-4"))
    assert outcomes(found) == [
        "created", "changed", "unchanged", "event_known", "validation_failed", "consent_in_future",
    ]  # fmt: skip
    corrected = event({**early, "consent_at": "2026-01-01T00:00:00Z"}, f"{key}-4")
    assert outcomes(send(first, corrected)) == ["unchanged", "created"]
    assert doors.ask("riders", "company", "GET", f"/v1/riders/{key}").json()["name"] == "乙"
    assert doors.ask("riders", "company", "GET", f"/v1/riders/{key}-x").status_code == 404


def test_packed_batches_are_taken(doors: Doors) -> None:
    key = uuid4().hex
    for number, (coding, pack) in enumerate((("gzip", gzip.compress), ("deflate", zlib.compress))):
        batch = json.dumps([event(report(f"{key}-{number}-{n}"), f"{key}-{number}-{n}") for n in range(200)]).encode()
        packed = pack(batch)
        answer = doors.post("intake", "company", "/v1/reports:batch", packed, BATCHED, content_encoding=coding)
        assert (answer.status_code, answer.json().get("accepted")) == (200, 200), answer.text
    bomb = gzip.compress(b" " * 20_000_000)
    answer = doors.post("intake", "company", "/v1/reports:batch", bomb, BATCHED, content_encoding="gzip")
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")
    image = picture()
    image.putpixel((0, 0), (*uuid4().bytes[:3],))  # one that nobody has sent before
    photo = encoded(image, "PNG")
    answer = doors.post("intake", "company", "/v1/photos", gzip.compress(photo), "image/png", content_encoding="gzip")
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    "kind",
    ["image/jpg", "application/octet-stream", "", "IMAGE/JPEG; q=1", "image/pjpeg", "image/bmp", "image/x-citrix-jpeg"],
)
def test_photos_are_known_by_their_bytes(kind: str, doors: Doors) -> None:
    for form in ("JPEG", "PNG"):
        answer = doors.post("intake", "company", "/v1/photos", encoded(picture(), form), kind)
        assert answer.status_code in (200, 201), answer.text
    lie = doors.post("intake", "company", "/v1/photos", b"<!doctype html><script>1</script>" * 40, kind)
    assert (lie.status_code, lie.json()["code"]) == (422, "not_an_image")
    named = doors.post("intake", "company", "/v1/photos", encoded(picture(), "JPEG"), "text/html")
    assert (named.status_code, named.json()["code"]) == (415, "unsupported_media_type")


def test_the_documents_declare_what_is_taken(doors: Doors) -> None:
    def declared(service: str, path: str) -> set[str]:
        return set(doors.documents[service]["paths"][path]["post"]["requestBody"]["content"])

    assert declared("intake", "/v1/reports") == {JSON, STRUCTURED}
    assert declared("intake", "/v1/reports:batch") == {JSON, BATCHED} == declared("riders", "/v1/riders:batch")
    assert declared("riders", "/v1/outlets:batch") == {JSON}
    assert declared("intake", "/v1/photos") == {"multipart/form-data", "application/octet-stream"}
