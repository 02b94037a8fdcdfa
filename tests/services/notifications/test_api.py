"""The whole service on real Kafka: from a points event to an inbox, and every route under its policy."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaProducer

from services.notifications.app import build
from services.notifications.settings import Settings
from services.notifications.usecases import cases, notifying
from shared.devtools.installation import Installation
from shared.events.account_changed import ACCOUNT_CHANGED
from shared.events.company_changed import CompanyKey
from shared.events.envelope import Envelope, to_headers
from shared.kit.auth import Sealer, signed_headers
from shared.kit.ids import new_id
from shared.known.knowing import follow_companies
from tests.services.notifications.mail import Mailbox, codes, with_gateway
from tests.services.notifications.stage import HEARS_RIDERS, Receiver, Stage, moved, stepped
from tests.support import client_of, company_is, rider_is, until

SECRET = b"k" * 32


@pytest.fixture
async def web(settings: Settings, stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """The running service."""
    async with client_of(build(settings)) as client:
        yield client


@pytest.fixture
def token(installation: Installation) -> Any:
    """Authorization headers."""

    def made(sub: object, *roles: str, areas: tuple[str, ...] = ()) -> dict[str, str]:
        return {"authorization": "Bearer " + installation.identity.token(str(sub), "某人", roles, areas=areas)}

    return made


def signed(method: str, target: str, body: Any = None, company: str = "mt", secret: bytes = SECRET) -> dict[str, Any]:
    raw = b"" if body is None else orjson.dumps(body)
    headers = signed_headers(company=company, secret=secret, method=method, target=target, body=raw)
    return {"content": raw, "headers": {**headers, "content-type": "application/json"}}


async def know_company(stage: Stage, code: str = "mt", secret: bytes = SECRET) -> None:
    key_id = new_id()
    sealed = Sealer(stage.settings.sealing_key.get_secret_value()).seal(secret, code, str(key_id))
    await stage.hear(follow_companies, company_is(code, keys=(CompanyKey(key_id=key_id, sealed=sealed, active=True),)))


async def publish(installation: Installation, *events: Any) -> None:
    """As the points service does, three times each."""
    producer = AIOKafkaProducer(
        bootstrap_servers=installation.infra.kafka_bootstrap,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=f"{installation.user_prefix}points",
        sasl_plain_password=installation.secrets.kafka["points"],
    )
    await producer.start()
    try:
        for event in events * 3:
            envelope = Envelope(event.id, ACCOUNT_CHANGED.name, "/beegrid/points", event.key, 1, event.occurred_at)
            await producer.send_and_wait(
                installation.topic_prefix + ACCOUNT_CHANGED.name,
                event.data.model_dump_json().encode(),
                key=event.key.encode(),
                headers=to_headers(envelope),
            )
    finally:
        await producer.stop()


async def test_from_kafka_to_the_inbox(web: httpx.AsyncClient, installation: Installation, token: Any) -> None:
    rider = new_id()
    mine = token(rider, "rider")
    await publish(installation, moved(rider), moved(rider, "posted"))

    async def both() -> Any:
        answer = (await web.get("/v1/inbox", headers=mine)).json()
        return answer if len(answer["items"]) == 2 else None

    inbox = await until(both)
    await asyncio.sleep(0.3)
    inbox = await both()
    assert inbox["unread"] == 2
    newest, oldest = inbox["items"]
    assert (newest["title"], oldest["title"]) == ("积分已到账", "随手拍已受理")
    assert "网格 330114001001001" in oldest["body"]
    assert set(oldest["links"]) == {"report_id", "case_id"}


async def test_a_rider_reads_page_by_page_in_the_own_language(web: httpx.AsyncClient, stage: Stage, token: Any) -> None:
    rider, other = new_id(), new_id()
    mine = token(rider, "rider")
    await stage.hear(HEARS_RIDERS, rider_is(rider, locale="en"))
    for _ in range(5):
        await stage.hear(
            lambda work, events: notifying.notify_of_movements(stage.settings, work, events), moved(rider), moved(other)
        )
    first = (await web.get("/v1/inbox?limit=3", headers=mine)).json()
    rest = (await web.get(f"/v1/inbox?limit=3&cursor={first['cursor']}", headers=mine)).json()
    ids = [one["message_id"] for one in first["items"] + rest["items"]]
    assert len(ids) == len(set(ids)) == 5
    assert ids == sorted(ids, reverse=True)
    assert rest["cursor"] is None
    assert first["items"][0]["title"] == "Your report is being handled"
    assert (await web.get("/v1/inbox?language=zh", headers=mine)).json()["items"][0]["title"] == "随手拍已受理"

    read = await web.post(f"/v1/inbox/{ids[0]}/read", headers=mine)
    again = await web.post(f"/v1/inbox/{ids[0]}/read", headers=mine)
    assert read.json() == again.json()
    assert (await web.get("/v1/inbox", headers=mine)).json()["unread"] == 4
    assert (await web.post("/v1/inbox/read-all", headers=mine, json={"up_to": ids[2]})).json() == {"marked": 3}
    assert (await web.post("/v1/inbox/read-all", headers=mine, json={})).json() == {"marked": 1}
    # another rider's message looks like none at all
    assert (await web.post(f"/v1/inbox/{ids[0]}/read", headers=token(other, "rider"))).status_code == 404
    assert (await web.get("/v1/inbox", headers=token(other, "rider"))).json()["unread"] == 5


@pytest.mark.parametrize(
    ("method", "path", "roles"),
    [
        ("GET", "/v1/inbox", ["grid_worker"]),
        ("POST", f"/v1/inbox/{UUID(int=1)}/read", ["operator"]),
        ("PUT", "/v1/preferences", ["merchant"]),
        ("POST", f"/v1/preferences/channels/{UUID(int=1)}/code", ["operator"]),
        ("POST", f"/v1/preferences/channels/{UUID(int=1)}/verify", ["merchant"]),
        ("PUT", "/v1/webhooks", ["rider"]),
        ("GET", "/v1/webhooks", ["rider"]),
        ("GET", "/v1/notifications/deliveries", ["rider"]),
        ("POST", f"/v1/notifications/deliveries/{UUID(int=1)}/retry", ["dispatcher"]),
        ("GET", "/v1/notifications/channels", ["rider"]),
        ("DELETE", f"/v1/notifications/channels/{UUID(int=1)}", ["verifier"]),
    ],
)
async def test_nobody_else_may(web: httpx.AsyncClient, token: Any, method: str, path: str, roles: list[str]) -> None:
    assert (await web.request(method, path, headers=token(new_id(), *roles), json={})).status_code == 403
    assert (await web.request(method, path, json={})).status_code == 401


async def test_preferences(web: httpx.AsyncClient, token: Any) -> None:
    mine = token(new_id(), "rider")
    empty = (await web.get("/v1/preferences", headers=mine)).json()
    assert empty == {"language": None, "quiet_hours": None, "channels": [], "version": 0, "code_wait_s": 0}
    body = {
        "language": "en", "quiet_hours": {"begin": "22:00", "end": "07:00"}, "version": 0,
        "channels": [{"kind": "wecom", "address": "wecombot://abcdefgh12345678", "topics": ["case"]}],
    }  # fmt: skip
    saved = await web.put("/v1/preferences", headers=mine, json=body)
    assert saved.status_code == 200
    assert saved.json()["channels"][0]["address"] == "wecom://***5678"
    outdated = await web.put("/v1/preferences", headers=mine, json=body)
    assert (outdated.status_code, outdated.json()["current"]["version"]) == (409, 1)
    for bad in (
        {"channels": [{"kind": "mail", "address": "a@b.cn"}]},  # the city has no mail gateway
        {"channels": [{"kind": "wecom", "address": "json://169.254.169.254/"}]},
        {"channels": [{"kind": "wecom", "address": "wecombot://x", "topics": ["emergency"]}]},
        {"quiet_hours": {"begin": "22:00", "end": "22:00"}},
        {"language": "fr"},
        {"rider_id": str(new_id())},
    ):
        refused = await web.put("/v1/preferences", headers=mine, json={"version": 1, **bad})
        assert refused.status_code == 422, bad
        assert "169.254" not in refused.text


async def test_an_address_that_is_named_twice_is_one_channel(web: httpx.AsyncClient, token: Any) -> None:
    mine = token(new_id(), "rider")
    one = {"kind": "wecom", "address": "wecombot://abcdefgh12345678", "topics": ["case", "case"]}
    other = {**one, "address": "wecombot://abcdefgh12345679", "topics": ["rewards"]}
    body = {"version": 0, "channels": [one, other, {**one, "topics": ["points", "points"]}]}
    saved = (await web.put("/v1/preferences", headers=mine, json=body)).json()["channels"]
    shown = [(channel["address"], channel["topics"]) for channel in saved]
    assert sorted(shown) == [("wecom://***5678", ["points"]), ("wecom://***5679", ["rewards"])]


async def test_a_company_sets_its_webhook_and_is_notified(web: httpx.AsyncClient, stage: Stage, token: Any) -> None:
    await know_company(stage)
    await know_company(stage, "other", b"o" * 32)
    operator = token("op", "operator")
    async with Receiver().listening() as receiver:
        made = await web.put("/v1/webhooks", **signed("PUT", "/v1/webhooks", {"url": receiver.url}))
        assert made.status_code == 200, made.text
        secret = made.json()["secret"]
        again = await web.put("/v1/webhooks", **signed("PUT", "/v1/webhooks", {"url": receiver.url}))
        assert again.json()["secret"] is None
        receiver.secrets = [base64.b64decode(secret.removeprefix("whsec_"))]
        test = await web.post("/v1/webhooks/test", **signed("POST", "/v1/webhooks/test", {}))
        assert test.status_code == 202
        await stage.hear(
            lambda work, events: cases.notify_of_cases(stage.settings, work, events),
            stepped("closed", 1, await stage.case([new_id()])),
        )

        async def both() -> bool:
            return len(receiver.taken) == 2

        await until(both)
    assert {body["type"] for body in receiver.taken} == {"webhook.test", "report.status_changed"}
    own = (await web.request("GET", "/v1/webhooks", **signed("GET", "/v1/webhooks"))).json()
    assert [(one["company"], one["state"], one["secret"]) for one in own["items"]] == [("mt", "working", None)]
    assert (await web.request("GET", "/v1/webhooks", **signed("GET", "/v1/webhooks", None, "other", b"o" * 32))).json()[
        "items"
    ] == []
    foreign = {"url": receiver.url, "company": "mt"}
    refused = await web.put("/v1/webhooks", **signed("PUT", "/v1/webhooks", foreign, "other", b"o" * 32))
    assert refused.status_code == 403
    forged = await web.put("/v1/webhooks", **signed("PUT", "/v1/webhooks", foreign, "mt", b"x" * 32))
    assert forged.status_code == 401
    assert [one["company"] for one in (await web.get("/v1/webhooks", headers=operator)).json()["items"]] == ["mt"]
    unknown = await web.put("/v1/webhooks", headers=operator, json={"url": receiver.url, "company": "nobody"})
    assert unknown.status_code == 404
    private = await web.put("/v1/webhooks", headers=operator, json={"url": "https://10.0.0.1/", "company": "mt"})
    assert (private.status_code, private.json()["code"]) == (422, "url_not_allowed")
    assert (await web.delete("/v1/webhooks?company=mt", headers=operator)).status_code == 204
    assert (await web.get("/v1/webhooks", headers=operator)).json()["items"][0]["state"] == "off"


async def test_tests_are_limited_for_a_company_whoever_asks(web: httpx.AsyncClient, stage: Stage, token: Any) -> None:
    for company in ("tried", "other"):
        await know_company(stage, company)
        await web.put("/v1/webhooks", **signed("PUT", "/v1/webhooks", {"url": "http://127.0.0.1:9/"}, company))
    asked = [await web.post("/v1/webhooks/test", **signed("POST", "/v1/webhooks/test", {"company": "tried"}, "tried"))
             for _ in range(8)]  # fmt: skip
    assert [one.status_code for one in asked] == [202] * 6 + [429] * 2
    assert asked[-1].json()["code"] == "rate_limited" and 1 <= int(asked[-1].headers["retry-after"]) <= 10
    operator = {"headers": token("op", "operator"), "json": {"company": "tried"}}
    assert (await web.post("/v1/webhooks/test", **operator)).status_code == 429
    other = await web.post("/v1/webhooks/test", **signed("POST", "/v1/webhooks/test", {}, "other"))
    assert other.status_code == 202
    [row] = await stage.rows("SELECT count(*) AS n FROM deliveries d JOIN webhooks w ON w.webhook_id = d.target_id"
                             " WHERE company = 'tried'")  # fmt: skip
    assert row["n"] == 6


async def test_an_operator_sees_and_retries_what_is_dead(web: httpx.AsyncClient, stage: Stage, token: Any) -> None:
    operator = token("op", "operator")
    await know_company(stage)
    await web.put("/v1/webhooks", **signed("PUT", "/v1/webhooks", {"url": "http://127.0.0.1:9/"}))
    for _ in range(3):
        await stage.hear(
            lambda work, events: cases.notify_of_cases(stage.settings, work, events),
            stepped("closed", 1, await stage.case([new_id()])),
        )
    await stage.rows("UPDATE deliveries SET state = 'dead', reason = 'x', attempts = 8")
    first = (await web.get("/v1/notifications/deliveries?state=dead&limit=2", headers=operator)).json()
    cursor = first["cursor"]
    rest = (await web.get("/v1/notifications/deliveries", params={"cursor": cursor}, headers=operator)).json()
    found = first["items"] + rest["items"]
    assert len({one["delivery_id"] for one in found}) == 3
    assert (await web.get("/v1/notifications/deliveries?cursor=x", headers=operator)).status_code == 422
    one = found[0]
    path = f"/v1/notifications/deliveries/{one['delivery_id']}/retry"
    assert (await web.post(path, headers=operator)).json() == {"retried": 1}
    assert (await web.post(path, headers=operator)).status_code == 409
    unknown = await web.post(f"/v1/notifications/deliveries/{new_id()}/retry", headers=operator)
    assert unknown.status_code == 404
    body = {"target_id": one["target_id"]}
    answer = await web.post("/v1/notifications/deliveries/retry", headers=operator, json=body)
    assert answer.json() == {"retried": 2}


async def test_operators_channels(web: httpx.AsyncClient, token: Any) -> None:
    operator = token("op", "operator")
    body = {"kind": "dingtalk", "address": "dingtalk://token12345678901234567890", "area": "330114"}
    once = {**operator, "idempotency-key": "add-channel-1"}
    made = await web.post("/v1/notifications/channels", headers=once, json=body)
    same = await web.post("/v1/notifications/channels", headers=once, json=body)
    assert (made.status_code, made.json()) == (201, same.json())
    listed = (await web.get("/v1/notifications/channels", headers=operator)).json()["items"]
    assert [one["address"] for one in listed] == ["dingtalk://***7890"]
    more = {**operator, "idempotency-key": "add-channel-2"}
    other = await web.post("/v1/notifications/channels", headers=more, json={**body, "area": "330105"})
    assert other.status_code == 201
    first = (await web.get("/v1/notifications/channels?limit=1", headers=operator)).json()
    rest = await web.get(f"/v1/notifications/channels?limit=1&cursor={first['cursor']}", headers=operator)
    assert {first["items"][0]["area"], rest.json()["items"][0]["area"]} == {"330114", "330105"}
    assert rest.json()["cursor"] is None
    mine = token("op", "operator", areas=("330105",))
    seen = (await web.get("/v1/notifications/channels?limit=1", headers=mine)).json()["items"]
    assert [one["area"] for one in seen] == ["330105"], "what isn't the caller's takes no place of a page"
    foreign = f"/v1/notifications/channels/{listed[0]['channel_id']}"
    assert (await web.delete(foreign, headers=mine)).status_code == 404
    path = f"/v1/notifications/channels/{listed[0]['channel_id']}"
    assert (await web.delete(path, headers=operator)).status_code == 204
    assert (await web.delete(path, headers=operator)).status_code == 404


async def test_a_rider_verifies_an_address(
    settings: Settings, stage: Stage, token: Any, mailbox: tuple[Mailbox, int]
) -> None:
    """As a screen does it: the address, the code, the notifications."""
    mine, other = token(new_id(), "rider"), token(new_id(), "rider")
    async with client_of(build(with_gateway(settings, mailbox[1]))) as web:
        body = {"version": 0, "channels": [{"kind": "mail", "address": "zhang@example.cn"}]}
        chosen = (await web.put("/v1/preferences", headers=mine, json=body)).json()
        [channel] = chosen["channels"]
        assert (channel["verified"], chosen["code_wait_s"]) == (False, 0)
        path = f"/v1/preferences/channels/{channel['channel_id']}"
        assert (await web.post(f"{path}/code", headers=other)).status_code == 404
        assert (await web.post(f"{path}/verify", headers=other, json={"code": "12345678"})).status_code == 404
        asked = await web.post(f"{path}/code", headers=mine)
        assert (asked.status_code, asked.json()) == (202, {"wait_s": 60, "valid_s": 900})
        again = await web.post(f"{path}/code", headers=mine)
        assert (again.status_code, again.headers["retry-after"]) == (429, "60")
        assert 0 < (await web.get("/v1/preferences", headers=mine)).json()["code_wait_s"] <= 60

        async def arrived() -> Any:
            return codes(mailbox[0])

        [code] = await until(arrived)
        wrong = await web.post(f"{path}/verify", headers=mine, json={"code": f"{(int(code) + 1) % 10**8:08}"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_code")
        spaced = f" {code[:4]} {code[4:]}"
        good = await web.post(f"{path}/verify", headers=mine, json={"code": spaced})
        assert (good.status_code, good.json()["verified"]) == (200, True)
        assert (await web.get("/v1/preferences", headers=mine)).json()["channels"][0]["verified"]
        needless = await web.post(f"{path}/code", headers=mine)
        assert (needless.status_code, needless.json()["code"]) == (409, "verified_already")
        await stage.rows("UPDATE channels SET verified_at = NULL")
        late = await web.post(f"{path}/verify", headers=mine, json={"code": code})
        assert (late.status_code, late.json()["code"]) == (409, "code_expired")
