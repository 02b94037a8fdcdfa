"""Cases over HTTP with real tokens: who may see and do what."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.privacy.erasure import Leaver
from shared.known.leaving import erase_riders
from tests.support import client_of, service_of

GRID = "330114001002003"


@pytest.fixture(scope="module")
async def client(installation: Installation) -> AsyncIterator[httpx.AsyncClient]:
    """The whole service in this process, as HTTP sees it. Its relay empties the outbox: not for other modules."""
    async with client_of(service_of(installation, "cases")) as client:
        yield client


@pytest.fixture
def as_(installation: Installation) -> Any:
    def headers(sub: object, role: str, *areas: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {installation.identity.token(str(sub), f'人{sub}', [role], areas)}"}

    return headers


async def open_case(cases: Any, routed: Any, **changes: Any) -> tuple[UUID, str]:
    event = routed(text="井盖破损", **changes)
    await cases.report(event)
    case_id = await cases.pool.fetchval("SELECT case_id FROM case_reports WHERE report_id = $1", event.data.report_id)
    return case_id, str(event.data.rider_id)


async def test_the_way_of_a_case(client: httpx.AsyncClient, cases: Any, routed: Any, as_: Any) -> None:
    case_id, rider = await open_case(cases, routed)
    worker, verifier = as_("w1", "grid_worker", GRID), as_("v1", "verifier", "330114")
    dispatcher = as_("d1", "dispatcher", "330114001")
    listed = (await client.get(f"/v1/cases?grid={GRID}&state=open", headers=worker)).json()
    assert [item["case_id"] for item in listed["items"]] == [str(case_id)]
    way = [(worker, "claim"), (worker, "handle"), (verifier, "verify"), (dispatcher, "close")]
    for version, (who, word) in enumerate(way, start=2):
        answer = await client.post(f"/v1/cases/{case_id}/{word}", json={"note": "已看，电138 0013 8000"}, headers=who)
        assert (answer.status_code, answer.json()["version"]) == (200, version)
    reporter = as_(rider, "rider")
    seen = (await client.get(f"/v1/cases/{case_id}", headers=reporter)).json()
    assert [step["step"] for step in seen["steps"]] == ["opened", "claimed", "handled", "verified", "closed"]
    assert seen["steps"][-1]["note"] == "已看，电***"
    assert seen["words"] == []
    assert (await client.get(f"/v1/cases/{case_id}", headers=worker)).json()["words"][0]["text"] == "井盖破损"
    reopened = await client.post(f"/v1/cases/{case_id}/reopen", headers=reporter)
    assert reopened.json()["state"] == "open"
    again = (await client.get(f"/v1/cases/{case_id}", headers=worker)).json()["steps"][-1]
    assert again["actor"] == {"name": None, "role": "rider"}


async def test_what_a_rider_writes_goes_with_them_however_their_token_writes_their_id(
    client: httpx.AsyncClient, cases: Any, routed: Any, as_: Any
) -> None:
    for place, form in enumerate(("{:s}", "urn:uuid:{:s}", "{{{:s}}}"), 1):
        case_id, rider = await open_case(cases, routed, metres=1_000 * place)
        await cases.pool.execute("UPDATE cases SET state = 'closed', live = false WHERE case_id = $1", case_id)
        answer = await client.post(
            f"/v1/cases/{case_id}/reopen", json={"note": "我是王小明"}, headers=as_(form.format(rider.upper()), "rider")
        )
        assert answer.status_code == 200, answer.text
        async with cases.pool.acquire() as conn, conn.transaction():
            await erase_riders(conn, [Leaver(UUID(rider), "erased:x", clock.now())])
        step = "SELECT actor_id, note FROM steps WHERE case_id = $1 AND step = 'reopened'"
        assert tuple(await cases.pool.fetchrow(step, case_id)) == (rider, "（已删除 / erased）")


async def test_no_step_of_a_rider_has_their_id_in_another_form(cases: Any) -> None:
    for written in (str(new_id()).upper(), "W-7"):
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.DataError)):
            await cases.pool.execute(
                "INSERT INTO steps (case_id, version, step, state, actor_id, actor_role, note, at)"
                " VALUES ($1, 1, 'reopened', 'open', $2, 'rider', '', now())",
                new_id(), written,
            )  # fmt: skip


async def test_what_a_reporter_writes_is_not_for_other_reporters(
    client: httpx.AsyncClient, cases: Any, routed: Any, as_: Any
) -> None:
    case_id, writer = await open_case(cases, routed)
    other = routed()
    await cases.report(other)
    await cases.pool.execute("UPDATE cases SET state = 'closed', live = false WHERE case_id = $1", case_id)
    answer = await client.post(
        f"/v1/cases/{case_id}/reopen", json={"note": "我家在三单元"}, headers=as_(writer, "rider")
    )
    assert answer.status_code == 200, answer.text
    readers = {
        "writer": as_(writer, "rider"), "other": as_(str(other.data.rider_id), "rider"),
        "worker": as_("w1", "grid_worker", GRID),
    }  # fmt: skip
    texts = {
        name: (await client.get(f"/v1/cases/{case_id}", headers=who)).json()["steps"][-1]["note"]
        for name, who in readers.items()
    }
    assert texts == {"writer": "我家在三单元", "other": "", "worker": "我家在三单元"}


async def test_refusals(client: httpx.AsyncClient, cases: Any, routed: Any, as_: Any) -> None:
    case_id, _ = await open_case(cases, routed)
    worker = as_("w1", "grid_worker", GRID)
    path = f"/v1/cases/{case_id}"
    strangers = [as_("w9", "grid_worker", "330105"), as_(new_id(), "rider"), as_("d9", "dispatcher")]
    for stranger in strangers:
        assert (await client.get(path, headers=stranger)).status_code == 404
    assert (await client.post(f"{path}/claim", headers=strangers[0])).status_code == 404
    assert (await client.post(f"{path}/close", headers=worker)).status_code == 403
    assert (await client.post(f"{path}/claim")).status_code == 401
    wrong = await client.post(f"{path}/handle", headers=worker)
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["state"]) == (409, "wrong_state", "open")
    assert (await client.post(f"{path}/claim", json={"who": "me"}, headers=worker)).status_code == 422
    await client.post(f"{path}/claim", headers=worker)
    await client.post(f"{path}/handle", headers=worker)
    same = await client.post(f"{path}/verify", headers=as_("w1", "verifier", GRID))
    assert (same.status_code, same.json()["code"]) == (409, "same_person")
    assert (await client.get("/v1/cases?grid=330105", headers=worker)).status_code == 403
    assert (await client.get("/v1/cases?cursor=zzz", headers=worker)).status_code == 422
    assert (await client.get("/v1/cases", headers=as_(new_id(), "rider"))).status_code == 403
    assert (await client.get("/v1/cases", headers=as_("d9", "dispatcher"))).json()["items"] == []


async def test_pages_of_the_list_meet(client: httpx.AsyncClient, cases: Any, routed: Any, as_: Any) -> None:
    await cases.report(*(routed(100 * number) for number in range(25)))
    seen: list[str] = []
    path = "/v1/cases?limit=10"
    while True:
        page = (await client.get(path, headers=as_("op", "operator"))).json()
        seen += [item["case_id"] for item in page["items"]]
        if page["cursor"] is None:
            break
        path = f"/v1/cases?limit=10&cursor={page['cursor']}"
    assert len(seen) == len(set(seen)) == 25


async def test_steps_in_bulk(client: httpx.AsyncClient, cases: Any, routed: Any, as_: Any) -> None:
    await cases.report(*(routed(100 * number) for number in range(20)))
    ids = [str(row["case_id"]) for row in await cases.pool.fetch("SELECT case_id FROM cases")]
    steps = [{"case_id": case_id, "step": "claim"} for case_id in [*ids, str(new_id())]]
    answer = await client.post("/v1/cases:transition", json={"items": steps}, headers=as_("w1", "grid_worker", GRID))
    items = answer.json()["items"]
    assert [item["ok"] for item in items] == [True] * 20 + [False]
    assert items[-1]["problem"]["code"] == "not_found"
    too_many = [steps[0]] * 501
    answer = await client.post("/v1/cases:transition", json={"items": too_many}, headers=as_("w1", "grid_worker", GRID))
    assert (answer.status_code, answer.json()["code"], answer.json()["items_max"]) == (422, "too_many_items", 500)
