"""Both services as they run: HTTP in, real Kafka between them, real Postgres below."""

import asyncio
import base64
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaProducer

from services.intake.usecases import photos
from shared.events.case_changed import CASE_CHANGED, CaseChanged
from shared.events.envelope import Envelope, to_headers
from shared.kit import clock
from shared.kit.auth import signed_headers
from shared.kit.ids import new_id
from shared.kit.messaging.work import Event
from tests.services.intake.conftest import CODE, REPORT, Suite
from tests.services.intake.test_imaging import encoded, gps, picture, png_claiming
from tests.support import event_of, until

CASE = new_id()


async def rider_id(suite: Suite) -> str:
    return str((await suite.signed("riders", "GET", "/v1/riders/r1")).json()["rider_id"])


async def test_a_company_files_a_report_once(suite: Suite) -> None:
    first = await suite.signed("intake", "POST", "/v1/reports", REPORT)
    again = await suite.signed("intake", "POST", "/v1/reports", REPORT)
    other = await suite.signed("intake", "POST", "/v1/reports", {**REPORT, "text": "不同"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409), first.text
    assert first.json()["report_id"] == again.json()["report_id"] and again.json()["status"] == "repeated"
    assert other.json()["code"] == "idempotency_conflict" and other.headers["content-type"].startswith(
        "application/problem+json"
    )
    read = await suite.signed("intake", "GET", f"/v1/reports/{first.json()['report_id']}")
    assert read.json()["external_id"] == "n1"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"place": None}, 422, "validation_failed"),
        ({"place": {"lng": 120, "lat": 30, "datum": "gcj02", "accuracy_m": "near"}}, 422, "validation_failed"),
        ({"place": {"lng": 120, "lat": 30, "datum": "mars"}}, 422, "validation_failed"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, 422, "occurred_in_future"),
        ({"kind": "part-99999"}, 422, "unknown_kind"),
        ({"text": "x" * 2_001}, 422, "validation_failed"),
        ({"text": "x" * (1 << 20)}, 413, "content_too_large"),
        ({"photos": [str(new_id())]}, 422, "unknown_photo"),
        ({"rider": "nobody"}, 409, "unknown_rider"),
        ({"rider": None}, 422, "validation_failed"),
        ({"external_id": None}, 422, "validation_failed"),
        ({"place": {"lng": "120", "lat": 30, "datum": "gcj02"}}, 422, "validation_failed"),
        ({"place": {"lng": 120, "lat": True, "datum": "gcj02"}}, 422, "validation_failed"),
        ({"company": "another"}, 422, "validation_failed"),
    ],
)
async def test_bad_reports_have_clear_problems(suite: Suite, change: dict[str, Any], status: int, code: str) -> None:
    answer = await suite.signed("intake", "POST", "/v1/reports", {**REPORT, "external_id": "bad", **change})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_nan_is_no_place(suite: Suite) -> None:
    raw = orjson.dumps({**REPORT, "external_id": "nan"}).replace(b"120.2", b"NaN")
    answer = await suite.signed("intake", "POST", "/v1/reports", raw)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_a_batch_answers_each_item(suite: Suite) -> None:
    one = {**REPORT, "external_id": "b1"}
    bodies = [one, one, {**one, "text": "x"}, {**one, "external_id": "b2", "place": None}, {**one, "external_id": "b3"}]
    answer = await suite.signed("intake", "POST", "/v1/reports:batch", {"items": [*bodies, "nonsense"]})
    assert answer.status_code == 200, answer.text
    results = [(item["status"], (item["problem"] or {}).get("code")) for item in answer.json()["items"]]
    assert results == [
        ("accepted", None),
        ("repeated", None),
        ("refused", "idempotency_conflict"),
        ("refused", "validation_failed"),
        ("accepted", None),
        ("refused", "validation_failed"),
    ]
    assert answer.json()["items"][3]["problem"]["field"].startswith("place")
    assert [answer.json()[name] for name in ("accepted", "repeated", "refused")] == [2, 1, 3]
    too_many = await suite.signed("intake", "POST", "/v1/reports:batch", {"items": [one] * 501})
    assert (too_many.status_code, too_many.json()["code"], too_many.json()["items_max"]) == (422, "too_many_items", 500)


async def test_many_single_reports_at_once_share_transactions(suite: Suite) -> None:
    bodies = [{**REPORT, "external_id": f"c{number}"} for number in range(300)]
    answers = await asyncio.gather(*(suite.signed("intake", "POST", "/v1/reports", body) for body in bodies))
    assert {answer.status_code for answer in answers} == {201}
    pool = suite.services["intake"].pool
    transactions = await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM reports WHERE external_id LIKE 'c%'")
    assert transactions < 150


async def test_a_rider_files_with_a_token(suite: Suite) -> None:
    me = await rider_id(suite)
    body = {key: value for key, value in REPORT.items() if key not in ("rider", "external_id")}
    key = {"headers": {"Idempotency-Key": "phone-0001"}}
    first = await suite.person("intake", "POST", "/v1/reports", me, ["rider"], json=body, **key)
    again = await suite.person("intake", "POST", "/v1/reports", me, ["rider"], json=body, **key)
    other = await suite.person("intake", "POST", "/v1/reports", me, ["rider"], json={**body, "text": "x"}, **key)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409), first.text
    path = f"/v1/reports/{first.json()['report_id']}"
    stranger = await suite.person("intake", "GET", path, str(new_id()), ["rider"])
    company = await suite.signed("intake", "GET", path)
    own = await suite.person("intake", "GET", path, me, ["rider"])
    assert (stranger.status_code, company.status_code, own.status_code) == (404, 404, 200)
    nobody = await suite.person("intake", "POST", "/v1/reports", str(new_id()), ["rider"], json=body, **key)
    assert nobody.json()["code"] == "unknown_rider"
    pretender = await suite.person("intake", "POST", "/v1/reports", me, ["rider"], json={**body, "rider": "r9"}, **key)
    assert pretender.json()["code"] == "rider_not_allowed"


async def test_the_same_message_may_come_again_when_its_rider_has(suite: Suite) -> None:
    """409 with Retry-After uses up neither the id of the signed request nor the number of the report."""
    number = f"late-{new_id()}"[:20]
    raw = orjson.dumps({**REPORT, "external_id": number, "rider": number})
    sign = {"company": CODE, "secret": suite.secret, "method": "POST", "target": "/v1/reports", "body": raw}
    headers = {"content-type": "application/json", **signed_headers(**sign)}

    async def send() -> httpx.Response:
        return await suite.clients["intake"].post("/v1/reports", content=raw, headers=headers)

    early = await send()
    assert (early.status_code, early.json()["code"], early.headers["retry-after"]) == (409, "unknown_rider", "2")
    batch = {"items": [{**REPORT, "external_id": number, "rider": number}]}
    [item] = (await suite.signed("intake", "POST", "/v1/reports:batch", batch)).json()["items"]
    assert (item["problem"]["code"], item["problem"]["retry_after_s"]) == ("unknown_rider", 2)
    rider = {"external_id": number, "name": "王小哥", "consent_at": "2026-01-01T00:00:00Z"}
    made = await suite.signed("riders", "POST", "/v1/riders:batch", {"items": [rider]})
    assert made.json()["items"][0]["status"] == "created", made.text

    async def taken() -> bool:
        return (await send()).status_code == 201

    await until(taken)
    assert (await send()).status_code == 201, "the answer of the one that worked is kept"


async def test_photos(suite: Suite) -> None:
    me = await rider_id(suite)
    content = encoded(picture(), "JPEG", exif=gps(30.3, 120.2))

    async def upload(raw: bytes, kind: str = "image/jpeg", who: str = me) -> httpx.Response:
        options = {"content": raw, "headers": {"content-type": kind}}
        return await suite.person("intake", "POST", "/v1/photos", who, ["rider"], **options)

    first, again = await upload(content), await upload(content)
    assert (first.status_code, again.status_code) == (201, 200), first.text
    assert first.json()["photo_id"] == again.json()["photo_id"]
    assert first.json()["place"] == pytest.approx({"lng": 120.2, "lat": 30.3}, abs=1e-5)
    form = await suite.person("intake", "POST", "/v1/photos", me, ["rider"], files={"file": ("a.jpg", content)})
    assert form.json()["photo_id"] == first.json()["photo_id"], form.text
    codes = [
        (await upload(b"not a photo")).json()["code"],
        (await upload(png_claiming(60_000, 60_000), "image/png")).json()["code"],
        (await upload(content[: len(content) // 2])).json()["code"],
        (await upload(b"")).json()["code"],
        (await upload(content, "text/html")).json()["code"],
    ]
    assert codes == ["not_an_image", "too_many_pixels", "photo_truncated", "photo_empty", "unsupported_media_type"]
    assert (await upload(b"\xff" * (17 * 1024 * 1024))).status_code == 413
    path = f"/v1/photos/{first.json()['photo_id']}"
    seen = [
        (await suite.person("intake", "GET", path, sub, [role])).status_code
        for sub, role in [(me, "rider"), (str(new_id()), "rider"), ("w1", "grid_worker"), ("m1", "merchant")]
    ]
    assert seen == [200, 404, 404, 403]  # not yet part of a report: the owner's alone
    filed = await suite.signed(
        "intake", "POST", "/v1/reports", {**REPORT, "external_id": "p1", "photos": [first.json()["photo_id"]]}
    )
    assert filed.status_code == 201, filed.text
    report_id = filed.json()["report_id"]

    async def seen_by(sub: str, role: str, *areas: str) -> int:
        answer = await suite.person("intake", "GET", path, sub, [role], *areas, params={"size": "thumbnail"})
        assert answer.status_code in (403, 404) or answer.headers["content-type"] == "image/jpeg"
        return answer.status_code

    here, there = "330114001001001", "330114001001002"
    assert [await seen_by("w1", "grid_worker", here), await seen_by("op1", "operator")] == [404, 200], "no case yet"
    for number, (grid, alternatives) in enumerate([(here, (there,)), (here, ()), (there, ())], start=1):
        transition, attached = ("opened", report_id) if number == 1 else ("claimed", None)
        changed = case_changed(CASE, number, transition, grid, alternatives, attached)
        async with suite.services["intake"].work() as work:
            await photos.follow_cases(work, [changed])
            await photos.follow_cases(work, [changed])
        expected = {1: [200, 200], 2: [200, 404], 3: [404, 200]}[number]
        assert [await seen_by("w1", "grid_worker", here), await seen_by("w2", "verifier", there)] == expected
        async with suite.services["intake"].work() as work:  # late, as after a rebalance
            await photos.follow_cases(work, [case_changed(CASE, 1, "opened", "330105", (), report_id)])
        assert [await seen_by("w3", "dispatcher", "330105"), await seen_by("w4", "merchant", there)] == [404, 403]
        assert await seen_by("d1", "dispatcher", "330114") == 200 == await seen_by("o1", "operator", "330114")


def case_changed(
    case_id: UUID, version: int, transition: str, grid: str, alternatives: tuple[str, ...], attached: str | None
) -> Event[CaseChanged]:
    body = CaseChanged.model_validate({
        "case_id": case_id, "state": "open", "transition": transition, "kind": "part-01001", "level": "hazard",
        "grid_code": grid, "alternatives": alternatives, "department": None, "lng": 120.5, "lat": 30.3,
        "report_count": 1, "report": attached and {
            "report_id": attached, "rider_id": new_id(), "company": CODE, "ordinal": 1
        }, "changed_at": clock.now(), "opened_at": clock.now(), "due_at": clock.now(),
    })  # fmt: skip
    return event_of(CASE_CHANGED, body, version, at=body.changed_at)


async def test_reports_over_kafka(suite: Suite) -> None:
    cluster, pool = suite.installation.cluster, suite.services["intake"].pool
    topic = f"inbound.{CODE}.reports.v1"
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=f"{cluster.user_prefix}company-{CODE}",
        sasl_plain_password="company-password",
    )
    await producer.start()
    try:
        for number, change in {"k1": {}, "k2": {"kind": "nonsense"}, "k3": {"place": None}, "k4": {}}.items():
            body = {**REPORT, "external_id": number, **change}
            headers = to_headers(Envelope(new_id(), topic, "/feima", number, 0, clock.now()))
            await producer.send_and_wait(
                cluster.topic_prefix + topic, orjson.dumps(body), key=number.encode(), headers=headers
            )
    finally:
        await producer.stop()
    await until(lambda: pool.fetchval("SELECT count(*) = 2 FROM reports WHERE external_id LIKE 'k%'"))
    letters = await until(lambda: pool.fetch("SELECT convert_from(key, 'utf8') AS key, status, code FROM dead_letters"))
    assert {(row["key"], row["status"]) for row in letters} == {("k2", "rejected"), ("k3", "dead")}
    assert {row["code"] for row in letters if row["key"] == "k2"} == {"unknown_kind"}


async def test_overload_is_answered(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    relay = suite.services["intake"].relay
    # the relay itself looks each second, and would find fewer
    monkeypatch.setattr(type(relay), "depth", property(lambda _: 10**9, lambda _, __: None), raising=False)
    answer = await suite.signed("intake", "POST", "/v1/reports", {**REPORT, "external_id": "o1"})
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0


async def test_keys_rotate_and_a_suspended_company_is_refused(suite: Suite) -> None:
    key = {"headers": {"Idempotency-Key": "rotate-0001"}}
    made = await suite.operator("POST", f"/v1/companies/{CODE}/keys", **key)
    repeat = await suite.operator("POST", f"/v1/companies/{CODE}/keys", **key)
    assert made.json()["secret"].startswith("whsec_") and repeat.json()["secret"] is None
    assert made.json()["key_id"] == repeat.json()["key_id"]
    assert (await suite.operator("POST", "/v1/companies", json={"code": CODE, "name": "x"})).status_code == 409
    keys = (await suite.operator("GET", f"/v1/companies/{CODE}")).json()["keys"]
    old = next(one["key_id"] for one in keys if one["key_id"] != made.json()["key_id"])
    assert (await suite.operator("DELETE", f"/v1/companies/{CODE}/keys/{old}")).status_code == 204

    async def refused() -> bool:
        answer = await suite.signed("intake", "POST", "/v1/reports", {**REPORT, "external_id": "s1"})
        return answer.status_code == 401

    await until(refused)
    suite.secret = base64.b64decode(made.json()["secret"].removeprefix("whsec_"))
    assert (await suite.signed("intake", "POST", "/v1/reports", {**REPORT, "external_id": "s3"})).status_code == 201
    await suite.operator("PUT", f"/v1/companies/{CODE}", json={"name": "飞马", "active": False})

    async def suspended() -> bool:
        answer = await suite.signed(
            "intake", "POST", "/v1/reports", {**REPORT, "external_id": "s2", "text": str(new_id())}
        )
        return answer.status_code == 403 and answer.json()["code"] == "company_suspended"

    await until(suspended)
    put = {"external_id": "r5", "name": "李"}
    assert (await suite.signed("riders", "PUT", "/v1/riders/r5", put)).json()["code"] == "company_suspended"
    await suite.operator("PUT", f"/v1/companies/{CODE}", json={"name": "飞马", "active": True})

    async def registered() -> bool:
        return (await suite.signed("riders", "PUT", "/v1/riders/r5", put)).json().get("version") == 1

    await until(registered)
    assert (await suite.signed("riders", "PUT", "/v1/riders/r6", put)).json()["code"] == "external_id_mismatch"


async def test_who_reads_a_rider(suite: Suite) -> None:
    me = await rider_id(suite)
    path = f"/v1/riders/{me}"
    seen = [
        (await suite.person("riders", "GET", path, sub, [role])).status_code
        for sub, role in [(me, "rider"), (str(new_id()), "rider"), ("op1", "operator"), ("w1", "grid_worker")]
    ]
    assert seen == [200, 404, 200, 403]
    assert (await suite.signed("riders", "GET", path)).status_code == 404
    outlets = {"items": [{"code": "o1", "name": "一号"}, {"code": "o 2", "name": "x"}]}
    saved = await suite.signed("riders", "POST", "/v1/outlets:batch", outlets)
    assert [item["status"] for item in saved.json()["items"]] == ["saved", "refused"], saved.text
    assert (await suite.signed("riders", "GET", "/v1/outlets")).json()["items"][0]["code"] == "o1"
    assert (await suite.person("riders", "DELETE", path, str(new_id()), ["rider"])).status_code == 404
    assert (await suite.person("riders", "DELETE", path, me, ["rider"])).status_code == 204
    assert (await suite.operator("GET", path)).json()["name"] == ""
