"""The reporter's address, the company's export and the pages, over HTTP with real tokens and signatures."""

import asyncio
import csv
import hashlib
import io
import json
import re
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from services.tracking import usecases
from shared.catalog.problems import problem_words
from shared.devtools.installation import Installation
from shared.kit.auth import Sealer, signed_headers
from shared.kit.ids import new_id
from shared.kit.postgres.db import Pool
from shared.known.knowing import follow_companies
from tests.services.tracking.conftest import Story
from tests.support import client_of, company_is, hear, service_of

Signed = dict[str, bytes]


@asynccontextmanager
async def serving(installation: Installation, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The whole service in this process, as HTTP sees it. Its relay empties the outbox: not for other modules."""
    async with client_of(service_of(installation, "tracking", **{"overview_seconds": 0, **more})) as client:
        yield client


@pytest.fixture(scope="module")
async def client(installation: Installation) -> AsyncIterator[httpx.AsyncClient]:
    """The service of the demo's city, whose boundaries are invented."""
    async with serving(installation, boundaries_fictional=True) as made:
        yield made


def bearer(installation: Installation, sub: object, *roles: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {installation.identity.token(str(sub), '测试', roles)}"}


@pytest.fixture
async def companies(pool: Pool, installation: Installation) -> Signed:
    """Two companies as the riders service publishes them."""
    sealer = Sealer(installation.secrets.sealing_key)
    made: Signed = {}
    for code in (f"c{secrets.token_hex(4)}", f"c{secrets.token_hex(4)}"):
        made[code] = secrets.token_bytes(32)
        key_id = new_id()
        key = {"key_id": key_id, "sealed": sealer.seal(made[code], code, str(key_id)), "active": True}
        await hear(pool, follow_companies, company_is(code, keys=[key]))
    return made


async def get(client: httpx.AsyncClient, path: str, company: str, secret: bytes) -> httpx.Response:
    headers = signed_headers(company=company, secret=secret, method="GET", target=path)
    return await client.get(path, headers=headers)


async def test_the_reporter_sees_every_step_and_nobody_elses(
    client: httpx.AsyncClient, tracking: Any, installation: Installation, companies: Signed
) -> None:
    (own, own_key), (other, other_key) = companies.items()
    story = Story("H-1", own)
    await tracking.hear(*story.whole())
    path = f"/v1/tracking/reports/{story.report_id}"
    answer = await client.get(path, headers=bearer(installation, story.rider_id, "rider"))
    assert answer.status_code == 200
    body = answer.json()
    assert [step["key"] for step in body["steps"]][:4] == ["received", "unroutable", "routed", "opened"]
    assert body["steps"][-1]["key"] == "points_posted"
    assert {"zh", "en", "at", "who"} <= body["steps"][0].keys()
    assert "王芳" in {step["who"] for step in body["steps"]}
    assert (body["state"], body["state_zh"]) == ("closed", "已结案")
    assert (await get(client, path, own, own_key)).status_code == 200
    assert (await client.get(path, headers=bearer(installation, "op", "operator"))).status_code == 200
    assert (await get(client, path, other, other_key)).status_code == 404
    assert (await client.get(path, headers=bearer(installation, new_id(), "rider"))).status_code == 404
    assert (await client.get(path, headers=bearer(installation, story.rider_id, "grid_worker"))).status_code == 403
    assert (await client.get(path)).status_code == 401


async def test_the_export_is_the_companys_own(
    client: httpx.AsyncClient, tracking: Any, installation: Installation, companies: Signed
) -> None:
    (own, own_key), (other, other_key) = companies.items()
    stories = [Story("=1+1", own), Story('"quoted"', own)]
    for story in stories:
        await tracking.hear(*story.whole())
    lines = (await get(client, "/v1/tracking/export", own, own_key)).text.splitlines()
    assert {orjson.loads(line)["external_id"] for line in lines} == {"=1+1", '"quoted"'}
    assert list(orjson.loads(lines[0])) == [
        "external_id", "report_id", "grid_code", "ambiguous", "case_id", "state", "points", "version", "body",
    ]  # fmt: skip
    answer = await get(client, f"/v1/tracking/export?company={own}&format=csv", own, own_key)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert ('"quoted"', "closed", "50") in [(row["external_id"], row["state"], row["points"]) for row in rows]
    assert {row["external_id"] for row in rows} == {"'=1+1", '"quoted"'}
    moved = stories[0].case(6, "redispatched", "open", 9.0, grid_code="330114001002009")
    await tracking.hear(("cases", [moved]))
    answer = await get(client, f"/v1/tracking/export?company={own}&format=csv", own, own_key)
    grids = {row["external_id"]: row["grid_code"] for row in csv.DictReader(io.StringIO(answer.text))}
    assert grids["'=1+1"] == "330114001002009" != grids['"quoted"']
    assert (await get(client, f"/v1/tracking/export?company={own}", other, other_key)).status_code == 403
    assert (await get(client, "/v1/tracking/export", other, other_key)).text == ""
    operator = bearer(installation, "op", "operator")
    assert (await client.get("/v1/tracking/export", headers=operator)).status_code == 422
    assert len((await client.get(f"/v1/tracking/export?company={own}", headers=operator)).text.splitlines()) == 2


async def test_progress_and_hops(
    client: httpx.AsyncClient, tracking: Any, installation: Installation, companies: Signed
) -> None:
    own, own_key = next(iter(companies.items()))
    await tracking.hear(*Story("G-1", own).whole())
    assert (await get(client, "/v1/tracking/progress", own, own_key)).json() == {
        "received": 1, "routed": 1, "unroutable": 0, "in_case": 1, "closed": 1, "points_posted": 1, "points": 50,
        "settled": 1,
    }  # fmt: skip
    operator = bearer(installation, "op", "operator")
    hops = (await client.get("/v1/tracking/hops?since=2026-01-01T00:00:00Z", headers=operator)).json()["hops"]
    assert [hop["hop"] for hop in hops] == [
        "accepted_to_routed", "routed_to_case", "case_to_held", "accepted_to_held", "closed_to_posted",
        "accepted_to_case",
    ]  # fmt: skip
    assert (await client.get("/v1/tracking/hops", headers=bearer(installation, "r", "rider"))).status_code == 403


async def test_many_who_come_at_once_are_one_reading(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flushed Redis has nothing to do with it: what is shared lies in the process."""
    reads, read = [], usecases.read_overview

    async def slow(pool_of: Callable[[], Pool]) -> usecases.Overview:
        reads.append(1)
        await asyncio.sleep(0.05)
        return await read(pool_of)

    monkeypatch.setattr(usecases, "read_overview", slow)
    async with serving(installation, overview_seconds=60) as city:
        answers = await asyncio.gather(*(city.get(path) for path in ("/city", "/", "/city?lang=en") * 20))
    assert {one.status_code for one in answers} == {200}
    assert len(reads) == 1


@pytest.mark.parametrize("path", ["/", "/city", "/?lang=en", "/city?lang=en"])
async def test_pages_load_nothing_from_elsewhere(client: httpx.AsyncClient, tracking: Any, path: str) -> None:
    await tracking.hear(*Story("L-1").whole())
    page = await client.get(path)
    assert page.status_code == 200
    _check_policy(page)
    assert ('lang="en"' if "en" in path else 'lang="zh-CN"') in page.text
    assert ("Invented boundaries" if "en" in path else "虚构边界") in page.text


async def test_a_real_city_is_not_called_invented(installation: Installation) -> None:
    async with serving(installation, city_name_zh="钱塘") as real:
        for path in ("/", "/city"):
            page = (await real.get(path)).text
            assert "钱塘" in page
            assert "虚构" not in page
            assert "演示" not in page


async def test_the_page_of_a_report(client: httpx.AsyncClient, tracking: Any, installation: Installation) -> None:
    story = Story("<script>alert(1)</script>")
    again = story.case(6, "reopened", "open", 9.0, note="请拨138·0013·8000，案号2026112800012")
    await tracking.hear(*story.whole(), ("cases", [again]))
    headers = bearer(installation, story.rider_id, "rider")
    link = (await client.get(f"/v1/tracking/reports/{story.report_id}", headers=headers)).json()["link"]
    page = await client.get(link)
    assert page.status_code == 200
    _check_policy(page)
    assert page.text.count("<li class=") == 11
    assert "已认领" in page.text
    assert "王芳 · 网格员" in page.text
    assert "&lt;script&gt;" in page.text
    assert "请拨***，案号2026112800012" in page.text
    for secret in (story.rider_id, "120.3012345", "井盖破损"):
        assert str(secret) not in page.text
    assert "Claimed" in (await client.get(f"{link}?lang=en")).text
    assert page.headers["cache-control"] == "no-store"


async def test_a_report_of_long_ago_says_when_it_was_seen(
    client: httpx.AsyncClient, tracking: Any, installation: Installation
) -> None:
    story = Story("OLD-1", seen=datetime(2019, 3, 5, 0, 30, tzinfo=UTC))
    await tracking.hear(*story.whole())
    headers = bearer(installation, story.rider_id, "rider")
    report = (await client.get(f"/v1/tracking/reports/{story.report_id}", headers=headers)).json()
    assert report["occurred_at"] == "2019-03-05T00:30:00Z" and report["received_at"] > "2026"
    page = (await client.get(report["link"])).text
    assert "<dt>发现时间</dt><dd>2019-03-05 08:30:00</dd>" in page
    fresh = Story("NEW-1")
    await tracking.hear(*fresh.whole())
    headers = bearer(installation, fresh.rider_id, "rider")
    link = (await client.get(f"/v1/tracking/reports/{fresh.report_id}", headers=headers)).json()["link"]
    assert "发现时间" not in (await client.get(link)).text


async def test_what_has_no_street_above_is_not_called_one(client: httpx.AsyncClient, tracking: Any) -> None:
    async with tracking.owner.acquire() as conn:
        await tracking.empty(conn)  # one case without a street among others' is enough
    await tracking.hear(*Story("S-1").whole())
    assert "按街道" in (await client.get("/city")).text
    story = Story("S-2")
    routed, opened = story.routed(grid_code="W-001"), story.case(1, "opened", "open", 1, grid_code="W-001")
    await tracking.hear(("reports", [story.received]), ("routings", [routed]), ("cases", [opened]))
    page = (await client.get("/city")).text
    assert "按辖区" in page and "无上级辖区" in page and "按街道" not in page
    page = (await client.get("/city?lang=en")).text
    assert "By area" in page and "no area above" in page


@pytest.mark.parametrize("token", ["x", "A" * 43, "%E4%BD%A0"])
async def test_no_link_no_report(client: httpx.AsyncClient, token: str) -> None:
    page = await client.get(f"/r/{token}")
    assert page.status_code == 404
    _check_policy(page)


@pytest.mark.parametrize("query", ["", "?lang=en"])
async def test_the_page_of_a_problem(client: httpx.AsyncClient, query: str) -> None:
    refused = (await client.get("/v1/tracking/progress")).json()
    assert refused["type"] == "/problems/credentials_missing"
    page = await client.get(refused["type"] + query)
    assert page.status_code == 200
    _check_policy(page)
    for words in ("credentials_missing", "401", "需要登录", "Authentication required", "detail", "errors"):
        assert words in page.text
    assert ("What to do next" if query else "接下来怎么做") in page.text
    assert ("every service" if query else "所有服务") in page.text
    assert "`" not in page.text


async def test_every_listed_problem_has_a_page(client: httpx.AsyncClient) -> None:
    for code in problem_words():
        page = await client.get(f"/problems/{code}")
        assert page.status_code == 200 and code in page.text
    taken = (await client.get("/problems/company_suspended")).text
    # whoever takes companies' signatures
    assert "报告受理（intake）、通知（notifications）、兑换（rewards）" in taken and "进度公开（tracking）" in taken
    assert "403；也会出现在批量请求" in taken


@pytest.mark.parametrize("name", ["", "/openapi", "/asyncapi"])
async def test_the_documents_are_pages_that_ask_nobody_else(client: httpx.AsyncClient, name: str) -> None:
    page = await client.get(f"/docs{name}")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    _check_policy(page)
    targets = set(re.findall(r'href="#([^"]+)"', page.text))
    assert targets <= set(re.findall(r'id="([^"]+)"', page.text)), "every link within the page leads somewhere"
    words = {
        "": "openapi.json",
        "/openapi": "POST /v1/reports:batch",
        "/asyncapi": "beegrid.inbound.{company}.reports.v1",
    }
    assert words[name] in page.text and "/ops/" not in page.text.replace("/ops/&lt;service&gt;/", "")


async def test_the_page_shows_every_webhook_with_its_payload_and_answers(client: httpx.AsyncClient) -> None:
    document = (await client.get("/docs/openapi.json")).json()
    page = (await client.get("/docs/openapi")).text
    assert set(document["webhooks"]) >= {"report.status_changed", "webhook.test"}
    for event, methods in document["webhooks"].items():
        (one,) = methods.values()
        section = page.partition(f'<section class="card" id="{one["operationId"]}">')[2].partition("</section>")[0]
        schema = one["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert f"POST {event}<" in section and f'href="#schema-{schema}"' in section
        assert f'id="schema-{schema}"' in page
        assert all(f"<td>{status}</td>" in section for status in one["responses"])
        assert all(f"<code>{header['name']}</code>" in section for header in one["parameters"])


async def test_the_documents_themselves_lie_beside_their_pages(client: httpx.AsyncClient) -> None:
    assert (await client.get("/docs/")).text == (await client.get("/docs")).text
    http = (await client.get("/docs/openapi.json")).json()
    assert "/v1/reports:batch" in http["paths"] and not [path for path in http["paths"] if path.startswith("/ops/")]
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(http)))
    assert named <= set(http["components"]["schemas"])
    events = await client.get("/docs/asyncapi.yaml")
    assert events.headers["content-type"] == "application/yaml" and "asyncapi: 3.1.0" in events.text
    assert (await client.get("/docs/other.json")).status_code == 422


@pytest.mark.parametrize("code", ["nonsense", "<script>", "%E4%BD%A0", "..%2Fcity"])
async def test_an_unknown_problem_has_none(client: httpx.AsyncClient, code: str) -> None:
    page = await client.get(f"/problems/{code}")
    assert page.status_code == 404
    if "%2F" not in code:
        _check_policy(page)
        assert "没有这个问题代码" in page.text
        assert "no such problem code" in (await client.get(f"/problems/{code}?lang=en")).text


def _check_policy(page: httpx.Response) -> None:
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "<script" not in page.text
    assert " style=" not in page.text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.text)
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert style is not None
    digest = b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
