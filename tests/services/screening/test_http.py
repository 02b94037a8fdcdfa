"""Screening as it runs: what waits and why, a decision, and thresholds that begin."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.screening import metrics, usecases
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from tests.services.screening.street import Screen, noon, photo, report
from tests.support import client_of, service_of

SHOWN = 0x00FF00FF00FF00FF


@pytest.fixture
async def client(installation: Installation, screen: Screen) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {installation.identity.token('op', '运维', ['operator'])}"}
    async with client_of(service_of(installation, "screening")) as one:
        one.headers.update(headers)
        yield one


async def burst(screen: Screen, reports: int = 7) -> Any:
    rider = new_id()
    await screen.hears(*(report(rider, noon() + timedelta(minutes=n)) for n in range(reports)))
    return rider


async def queue(client: httpx.AsyncClient) -> dict[str, Any]:
    """What waits, by report."""
    items = (await client.get("/v1/screening/suspicions")).json()["items"]
    return {one["report_id"]: one for one in items}


async def version(screen: Screen, suspicion: dict[str, Any]) -> int:
    """How often something was said of it. (A relay runs: the outbox is empty again.)"""
    found: int = await screen.pool.fetchval(
        "SELECT version FROM suspicions WHERE report_id = $1::text::uuid", suspicion["report_id"]
    )
    return found


async def test_what_waits_is_read_with_its_reasons_and_decided_once(client: httpx.AsyncClient, screen: Screen) -> None:
    rider = await burst(screen)
    # the service runs, and may hear of other tests' reports as well
    waiting = (await client.get("/v1/screening/suspicions", params={"limit": 100})).json()["items"]
    first, second, *_ = (one for one in waiting if one["rider_id"] == str(rider))
    [found] = first["findings"]
    assert (found["reason"], found["measured"], found["allowed"]) == ("velocity", 7, 6)
    assert found["zh"] == "10 分钟内上报 7 次，超过 6 次" and found["en"].startswith("7 reports within 10 minutes")
    body = {"reports": [first["report_id"]], "decision": "confirmed", "note": "同一地点连拍，电话 13800138000"}
    decided = (await client.post("/v1/screening/suspicions:decide", json=body)).json()
    assert decided["items"][0]["state"] == "confirmed" and "13800138000" not in decided["items"][0]["note"]
    assert decided["items"][0]["decided_by"] == "运维"
    other = {**body, "decision": "cleared", "reports": [first["report_id"], second["report_id"]]}
    states = {
        one["report_id"]: one["state"]
        for one in (await client.post("/v1/screening/suspicions:decide", json=other)).json()["items"]
    }
    assert states == {first["report_id"]: "confirmed", second["report_id"]: "cleared"}, "decided once"
    assert await version(screen, first) == 2
    assert not {first["report_id"], second["report_id"]} & set(await queue(client))
    kept = (await client.get(f"/v1/screening/riders/{rider}")).json()["items"]
    assert Counter(one["state"] for one in kept) == {"raised": 5, "cleared": 1, "confirmed": 1}


async def test_unknown_ones_are_refused_and_nothing_is_decided(client: httpx.AsyncClient, screen: Screen) -> None:
    await burst(screen)
    first, *_ = (await client.get("/v1/screening/suspicions")).json()["items"]
    body = {"reports": [first["report_id"], str(new_id())], "decision": "cleared", "note": "a test"}
    assert (await client.post("/v1/screening/suspicions:decide", json=body)).status_code == 404
    assert (await screen.tallies())["raised"] == 7


async def test_what_is_cleared_comes_again_only_for_another_reason(client: httpx.AsyncClient, screen: Screen) -> None:
    rider = await burst(screen, 7)
    first, *_ = (await client.get("/v1/screening/suspicions")).json()["items"]
    body = {"reports": [first["report_id"]], "decision": "cleared", "note": "a market day"}
    await client.post("/v1/screening/suspicions:decide", json=body)
    await screen.hears(*(report(rider, noon() + timedelta(minutes=n)) for n in range(3)))
    assert first["report_id"] not in await queue(client)
    shown = (photo("a", SHOWN),)
    await screen.hears(report(new_id(), noon(2), photos=shown))
    again = report(rider, noon() + timedelta(minutes=6), photos=shown, report_id=UUID(first["report_id"]))
    await screen.hears(again)
    waiting = (await queue(client))[first["report_id"]]
    assert [one["reason"] for one in waiting["findings"]] == ["repeated_photo", "velocity"]
    assert await version(screen, first) == 3


async def test_it_is_measured_how_long_the_oldest_has_waited(screen: Screen) -> None:
    """What SuspicionsWaiting is raised by."""
    await burst(screen)
    await screen.pool.execute("UPDATE suspicions SET changed_at = now() - interval '4 days'")
    await burst(screen)
    async with screen.pool.acquire() as conn:
        await usecases.measure(conn)
        assert (metrics.OPEN._value.get(), metrics.OLDEST._value.get() // 86_400) == (14, 4)
        await conn.execute("UPDATE suspicions SET state = 'cleared', score = 0")
        await usecases.measure(conn)
    assert (metrics.OPEN._value.get(), metrics.OLDEST._value.get()) == (0, 0)


async def test_pages_go_on_where_the_last_one_ended(client: httpx.AsyncClient, screen: Screen) -> None:
    await burst(screen, 8)
    first = (await client.get("/v1/screening/suspicions", params={"limit": 5})).json()
    then = (await client.get("/v1/screening/suspicions", params={"limit": 5, "cursor": first["cursor"]})).json()
    assert len({one["report_id"] for one in first["items"] + then["items"]}) == 8 and then["cursor"] is None


async def test_thresholds_begin_and_a_score_of_nothing_switches_off(client: httpx.AsyncClient, screen: Screen) -> None:
    current = (await client.get("/v1/screening/limits")).json()["current"]
    wanted = {k: v for k, v in current.items() if k not in ("version", "effective_from", "set_by", "reason")}
    wanted |= {"after_version": current["version"], "reason": "a market in town", "velocity_score": 0}
    past = {**wanted, "effective_from": "2021-01-01T00:00:00Z"}
    assert (await client.put("/v1/screening/limits", json=past)).json()["code"] == "limits_in_the_past"
    made = await client.put("/v1/screening/limits", json=wanted)
    assert made.status_code == 200 and made.json()["current"]["velocity_score"] == 0
    assert (await client.put("/v1/screening/limits", json=wanted)).json()["code"] == "limits_moved_on"
    await burst(screen)
    assert await screen.found() == {}
    later = {**wanted, "after_version": 2, "velocity_score": 100}
    later["effective_from"] = (clock.now() + timedelta(days=1)).isoformat()
    assert (await client.put("/v1/screening/limits", json=later)).json()["current"]["velocity_score"] == 0
    await burst(screen)
    assert await screen.found() == {}, "not before they begin"
