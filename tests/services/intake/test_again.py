"""What may come again over HTTP, and what may not: after a rider's change, without a field, under an event's id."""

from typing import Any

import httpx
import orjson
import pytest

from shared.kit.auth import signed_headers
from shared.kit.ids import new_id
from tests.services.intake.conftest import CODE, REPORT, Suite
from tests.support import until


@pytest.mark.parametrize(
    ("lacking", "status", "code"),
    [({"consent_at": None}, 422, "consent_missing"), ({"active": False}, 403, "rider_inactive")],
)
async def test_the_same_message_may_come_again_when_its_rider_has_changed(
    suite: Suite, lacking: dict[str, Any], status: int, code: str
) -> None:
    number = f"change-{new_id()}"[:24]
    rider = {"external_id": number, "name": "王小哥", "consent_at": "2026-01-01T00:00:00Z"}
    made = await suite.signed("riders", "POST", "/v1/riders:batch", {"items": [{**rider, **lacking}]})
    assert made.json()["items"][0]["status"] == "created", made.text
    raw = orjson.dumps({**REPORT, "external_id": number, "rider": number})
    sign = {"company": CODE, "secret": suite.secret, "method": "POST", "target": "/v1/reports", "body": raw}
    headers = {"content-type": "application/json", **signed_headers(**sign)}

    async def send() -> httpx.Response:
        return await suite.clients["intake"].post("/v1/reports", content=raw, headers=headers)

    async def known() -> bool:
        return (await send()).json()["code"] == code

    await until(known)
    early = await send()
    assert (early.status_code, early.headers["retry-after"]) == (status, "2")
    await suite.signed("riders", "POST", "/v1/riders:batch", {"items": [rider]})

    async def taken() -> bool:
        return (await send()).status_code == 201

    await until(taken)


async def test_a_missing_field_gets_one_answer_on_every_way_in(suite: Suite) -> None:
    """Over HTTP alone and in a batch; on Kafka the decoder says the same (tests/kit/consuming)."""
    for name in ("external_id", "rider"):
        body = {key: value for key, value in REPORT.items() if key != name}
        single = (await suite.signed("intake", "POST", "/v1/reports", body)).json()
        [item] = (await suite.signed("intake", "POST", "/v1/reports:batch", {"items": [body]})).json()["items"]
        assert single["code"] == item["problem"]["code"] == "validation_failed"
        [of_single], [of_item] = single["errors"], item["problem"]["errors"]
        assert (of_single["kind"], of_single["problem"]) == (of_item["kind"], of_item["problem"])
        assert of_single["field"] == f"body.{name}" and of_item["field"].endswith(name)


async def test_another_report_under_one_event_id_is_refused_whichever_way_the_first_came(suite: Suite) -> None:
    id_, number = str(new_id()), f"e-{new_id()}"[:20]
    structured = {"content-type": "application/cloudevents+json"}

    async def file(**changes: Any) -> httpx.Response:
        said = {"specversion": "1.0", "id": id_, "source": "/a", "type": "report"}
        raw = orjson.dumps({**said, "data": {**REPORT, "external_id": number, **changes}})
        sign = {"company": CODE, "secret": suite.secret, "method": "POST", "target": "/v1/reports", "body": raw}
        return await suite.clients["intake"].post(
            "/v1/reports", content=raw, headers={**structured, **signed_headers(**sign)}
        )

    first, again = await file(), await file(place={**REPORT["place"], "accuracy_m": 20.0})
    assert (first.status_code, again.status_code) == (201, 200), again.text
    other = await file(external_id=f"{number}-2")
    assert (other.status_code, other.json()["code"]) == (409, "event_known")
    # of a number that was accepted before, under another event: what this event says is new to it all the same
    await suite.signed("intake", "POST", "/v1/reports", {**REPORT, "external_id": f"{number}-3"})
    other = await file(external_id=f"{number}-3")
    assert (other.status_code, other.json()["code"]) == (409, "event_known")
