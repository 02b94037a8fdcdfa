"""What companies' webhooks get is what the OpenAPI document says, and a company looks after its own deliveries."""

import base64
import hmac
from collections.abc import AsyncIterator
from functools import partial
from hashlib import sha256
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from services.notifications.app import build
from services.notifications.outbound.webhook import sign
from services.notifications.settings import Settings
from services.notifications.usecases import cases
from shared.devtools.gen.files import ROOT
from shared.devtools.gen.openapi import document
from shared.devtools.suite import local_settings
from shared.kit import clock
from shared.kit.ids import new_id
from tests.services.notifications.stage import Receiver, Stage, reported, stepped
from tests.services.notifications.test_api import know_company, signed
from tests.support import client_of, until

OTHER = b"o" * 32
HEADERS = {"webhook-id", "webhook-timestamp", "webhook-signature"}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    found = document("notifications")
    assert found is not None
    return found


@pytest.fixture
async def web(settings: Settings, stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(build(settings)) as client:
        yield client


@pytest.fixture
async def public(settings: Settings, stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """The service as a city has it: https and public addresses alone."""
    strict = {"webhook_http_allowed": False, "webhook_networks_allowed": ()}
    async with client_of(build(settings.model_copy(update=strict))) as client:
        yield client


async def ask(client: httpx.AsyncClient, method: str, target: str, body: Any = None, company: str = "mt") -> Any:
    secret = OTHER if company == "other" else b"k" * 32
    return await client.request(method, target, **signed(method, target, body, company, secret))


async def notify(stage: Stage, *events: Any) -> None:
    await stage.hear(partial(cases.notify_of_cases, stage.settings), *events)


async def test_what_is_sent_is_what_is_described(
    web: httpx.AsyncClient, stage: Stage, described: dict[str, Any]
) -> None:
    await know_company(stage)
    async with Receiver().listening() as receiver:
        made = await ask(web, "PUT", "/v1/webhooks", {"url": receiver.url})
        receiver.secrets = [base64.b64decode(made.json()["secret"].removeprefix("whsec_"))]
        [opened] = reported([new_id()])
        await notify(stage, opened, stepped("closed", 1, opened.data.case_id))
        assert (await ask(web, "POST", "/v1/webhooks/test")).status_code == 202, "without a body"

        async def all_of_them() -> bool:
            return len(receiver.taken) == 3

        await until(all_of_them)
    assert {body["type"] for body in receiver.taken} == set(described["webhooks"])
    for body in receiver.taken:
        operation = described["webhooks"][body["type"]]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        closed = {**schema, "components": _closed(described["components"])}
        Draft202012Validator(closed).validate(body)
        with pytest.raises(Exception, match="is a required property"):
            Draft202012Validator(closed).validate({"type": body["type"]})
    for headers in receiver.requests:
        assert headers.keys() >= HEADERS


def _closed(part: Any) -> Any:
    """The same schemas, with no room for fields that aren't described."""
    if isinstance(part, dict):
        inner = {name: _closed(value) for name, value in part.items()}
        return {**inner, "additionalProperties": False} if isinstance(inner.get("properties"), dict) else inner
    return [_closed(one) for one in part] if isinstance(part, list) else part


def test_the_document_says_how_it_is_sent(described: dict[str, Any], settings: Settings) -> None:
    for methods in described["webhooks"].values():
        operation = methods["post"]
        assert {one["name"] for one in operation["parameters"] if one["in"] == "header"} == HEADERS
        assert all(one["required"] and one["description"] for one in operation["parameters"])
        assert {"2XX", "410", "default"} <= operation["responses"].keys()
        assert "HMAC-SHA256" in str(operation["parameters"])
        for words in ("8 attempts", "Retry-After", "72 h", "At least once"):
            assert words in operation["description"]
    assert settings.delivery_attempts_max == 8 and settings.delivery_age_hours_max == 72
    assert "HTTPValidationError" not in str(described)


def test_a_signature_is_the_standards_by_hand() -> None:
    secret, at, body = b"s" * 32, clock.now(), b'{"type":"webhook.test"}'
    made = sign([secret, b"t" * 32], "msg-1", at, body)
    first, second = made.split(" ")
    message = f"msg-1.{int(at.timestamp())}.".encode() + body
    assert first == "v1," + base64.b64encode(hmac.digest(secret, message, sha256)).decode()
    assert second != first


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://localhost/hook", "the host's address isn't public"),
        ("https://nobody.invalid/hook", "the host has no address now"),
        ("https://[::1]/hook", "the host's address isn't public"),
        ("http://192.0.2.1/hook", "the scheme must be https"),
    ],
)
async def test_what_can_never_work_is_refused_when_it_is_set(
    url: str, reason: str, public: httpx.AsyncClient, stage: Stage
) -> None:
    await know_company(stage)
    answer = await ask(public, "PUT", "/v1/webhooks", {"url": url})
    said = answer.json()
    assert (answer.status_code, said["code"], said["detail"], said["field"]) == (422, "url_not_allowed", reason, "url")
    assert (await ask(public, "GET", "/v1/webhooks")).json()["items"] == []


async def test_a_company_reads_its_own_deliveries_and_has_one_sent_again(web: httpx.AsyncClient, stage: Stage) -> None:
    await know_company(stage)
    await know_company(stage, "other", OTHER)
    async with Receiver(answers=[500]).listening() as receiver:
        made = await ask(web, "PUT", "/v1/webhooks", {"url": receiver.url})
        [opened] = reported([new_id()])
        await notify(stage, opened)
        await until(lambda: stage.deliveries("failed"))
        await stage.rows("UPDATE deliveries SET state = 'dead', finished_at = now()")
        [own] = (await ask(web, "GET", "/v1/webhooks/deliveries")).json()["items"]
        assert (own["type"], own["state"], own["reason"]) == ("report.status_changed", "dead", "answered 500")
        assert own["payload"]["data"]["report_ids"] == [str(opened.data.report.report_id)]
        assert [one["status"] for one in own["attempts"]] == [500] and own["next_attempt_at"] is None

        again = f"/v1/webhooks/deliveries/{own['delivery_id']}/retry"
        assert (await ask(web, "GET", "/v1/webhooks/deliveries", company="other")).json()["items"] == []
        foreign = await ask(web, "GET", "/v1/webhooks/deliveries?company=mt", company="other")
        assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden")
        assert (await ask(web, "POST", again, company="other")).status_code == 404
        receiver.answers = [204]
        receiver.secrets = [base64.b64decode(made.json()["secret"].removeprefix("whsec_"))]
        assert (await ask(web, "POST", again)).status_code == 202
        await stage.hurry()
        await until(lambda: stage.deliveries("sent"))
        # one that was taken, too: the receiver may have lost it
        assert (await ask(web, "POST", again)).status_code == 202

        async def twice() -> bool:
            return len(receiver.taken) == 2

        await stage.hurry()
        await until(twice)
        await until(lambda: stage.deliveries("sent"))  # written behind the answer
    assert {request["webhook-id"] for request in receiver.requests} == {own["delivery_id"]}
    await stage.rows("UPDATE deliveries SET state = 'failed', finished_at = NULL, next_attempt_at = now() + '1 day'")
    waiting = await ask(web, "POST", again)
    assert (waiting.status_code, waiting.json()["code"], waiting.json()["state"]) == (409, "not_dead", "failed")
    assert (await ask(web, "DELETE", "/v1/webhooks")).status_code == 204
    assert (await ask(web, "POST", again)).status_code == 404, "a webhook that is off sends nothing"


async def test_an_operator_reads_a_companys_deliveries_by_naming_it(
    web: httpx.AsyncClient, stage: Stage, installation: Any
) -> None:
    await know_company(stage)
    await ask(web, "PUT", "/v1/webhooks", {"url": "http://127.0.0.1:9/"})
    operator = {"authorization": "Bearer " + installation.identity.token("op", "某人", ("operator",))}
    assert (await web.get("/v1/webhooks/deliveries?company=mt&state=sent", headers=operator)).json()["items"] == []
    unnamed = await web.get("/v1/webhooks/deliveries", headers=operator)
    assert unnamed.json()["code"] == "company_missing"


def test_only_a_suite_on_one_machine_lets_webhooks_reach_it(tmp_path: Any) -> None:
    local = local_settings(tmp_path)
    assert (
        local["BEEGRID_WEBHOOK_HTTP_ALLOWED"] == "true" and "127.0.0.0/8" in local["BEEGRID_WEBHOOK_NETWORKS_ALLOWED"]
    )
    assert not Settings.model_fields["webhook_http_allowed"].default
    for file in [ROOT / "docker-compose.yml", *(ROOT / "k8s").rglob("*.yaml")]:
        text = file.read_text(encoding="utf-8")
        assert "WEBHOOK_HTTP_ALLOWED" not in text, file
