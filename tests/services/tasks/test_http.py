"""Tasks as they run: who may what over HTTP, contacts under seal, sums for companies."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.tasks.api import figures
from services.tasks.settings import Settings
from services.tasks.store import claims, teams
from services.tasks.usecases import leaving
from services.tasks.usecases.sealing import sealed_contacts
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.areas import KnownArea
from shared.kit.areas import store as known_store
from shared.kit.areas.store import KeptArea
from shared.kit.ids import new_id
from shared.kit.postgres.rows import arrays
from shared.kit.privacy.erasure import SQL_ERASED_ADD, Leaver
from tests.services.tasks.board import COMMUNITY, STREET, Board, next_day
from tests.services.tasks.rights import terms
from tests.support import client_of, service_of

PHONE = "13800138000"


class Office:
    """The running service and who asks it."""

    def __init__(self, client: httpx.AsyncClient, installation: Installation, board: Board) -> None:
        self.client, self.installation, self.board = client, installation, board

    async def ask(self, method: str, path: str, who: str | UUID, body: Any = None, **more: Any) -> httpx.Response:
        """`who`: a rider's id, or the name of an operator of the street."""
        role, areas = ("rider", ()) if isinstance(who, UUID) else ("operator", more.pop("areas", (STREET,)))
        token = self.installation.identity.token(str(who), "某人", [role], areas)
        headers = {"Authorization": f"Bearer {token}"}
        if method == "POST":
            headers["Idempotency-Key"] = more.pop("key", str(new_id()))
        return await self.client.request(method, f"/v1/tasks{path}", json=body, headers=headers, **more)

    async def task(self, **changed: Any) -> dict[str, Any]:
        starts_at = next_day(20, self.board.settings.city_zone)
        body = terms(
            area_code=COMMUNITY, starts_at=starts_at.isoformat(), ends_at=(starts_at + timedelta(hours=2)).isoformat()
        )
        made = await self.ask("POST", "", "op", body | changed)
        assert made.status_code == 201, made.text
        return dict(made.json())


@pytest.fixture
async def office(installation: Installation, board: Board) -> AsyncIterator[Office]:
    street = KnownArea(STREET, "street", (), True)
    community = KnownArea(COMMUNITY, "community", (STREET,), True)
    async with board.pool.acquire() as conn, conn.transaction():
        await known_store.keep(conn, [KeptArea(one, 1_000) for one in (street, community)])
    async with client_of(service_of(installation, "tasks", clock_every_s=300)) as client:
        yield Office(client, installation, board)
    await board.pool.execute("DELETE FROM known_areas")
    await board.pool.execute("DELETE FROM known_map")


async def test_from_the_board_to_a_deed(office: Office) -> None:
    board = office.board
    [rider] = await board.riders()
    task = await office.task(capacity=1)
    listed = (await office.ask("GET", "", rider, params={"free": True, "skill": "first-aid"})).json()
    assert [(one["id"], one["free"], one["state"]) for one in listed["items"]] == [(task["id"], 1, "open")]
    path = f"/{task['id']}/claims"
    first = await office.ask("POST", path, rider, {"of_age": True}, key="the-same-key")
    again = await office.ask("POST", path, rider, {"of_age": True}, key="the-same-key")
    assert (first.status_code, again.json(), again.headers["Idempotency-Replayed"]) == (201, first.json(), "true")
    claim = f"/claims/{first.json()['id']}"
    await board.pool.execute("UPDATE tasks SET hand_back_until = now(), starts_at = now()")
    assert (await office.ask("PUT", f"{claim}/start", rider, {})).json()["state"] == "started"
    done = await office.ask("PUT", f"{claim}/finish", rider, {"note": f"打 {PHONE}", "photo_id": str(new_id())})
    assert done.json()["note"] == "打 ***" and done.json()["photo_id"]
    waiting = (await office.ask("GET", "/reviews", "op")).json()["items"]
    assert [one["id"] for one in waiting] == [first.json()["id"]]
    assert (await office.ask("GET", "/reviews", "op", params={"overdue": True})).json()["items"] == []
    assert (await office.ask("GET", "/reviews", "op", areas=("330199001",))).json()["items"] == []
    judged = await office.ask("PUT", f"{claim}/review", "op", {"approved": True, "reason": "照片清楚"})
    assert judged.json()["state"] == "approved"
    own = (await office.ask("GET", "/claims/mine", rider)).json()["items"]
    assert [(one["state"], one["reason"]) for one in own] == [("approved", "照片清楚")]
    row = await board.pool.fetchrow("SELECT action, quantity, withdrawn_at FROM deeds")
    assert row is not None and tuple(row) == ("errand", 10, None)
    found = (await office.ask("GET", "/figures", "city", areas=())).json()
    assert (found["balanced"], found["claims"], found["deeds"], found["approved_reviews"]) == (True, 1, 1, 1)


async def test_a_contact_is_sealed_read_while_it_matters_and_deleted(office: Office) -> None:
    board = office.board
    rider, other = await board.riders(2)
    task = await office.task()
    body = {"of_age": True, "contact": {"name": "家人", "phone": PHONE}}
    claim = (await office.ask("POST", f"/{task['id']}/claims", rider, body)).json()
    second = (await office.ask("POST", f"/{task['id']}/claims", other, body)).json()
    assert PHONE not in str(claim)
    rows = await board.pool.fetch("SELECT row_to_json(c)::text AS all FROM claims c")
    assert not [row for row in rows if PHONE in row["all"] or "家人" in row["all"]]
    async with board.pool.acquire() as conn:
        seen = await sealed_contacts(board.sealer).page(conn, "", 10)
    assert len(seen) == 2
    assert [sealed_contacts(board.sealer).look(one).key for one in seen] == [board.sealer.keys[0].id] * 2
    path = f"/claims/{claim['id']}/contact"
    assert (await office.ask("PUT", path, "op", areas=("330199001",))).status_code == 404
    assert (await office.ask("PUT", path, "op")).json() == {"name": "家人", "phone": PHONE}
    assert await board.pool.fetchval("SELECT contact_read_by FROM claims WHERE id = $1", UUID(claim["id"])) == "op"
    await office.ask("PUT", f"/claims/{claim['id']}/hand-back", rider)
    assert (await office.ask("PUT", path, "op")).status_code == 404
    await board.pool.execute(
        "UPDATE tasks SET hand_back_until = now() - interval '2 days', starts_at = now() - interval '2 days',"
        " ends_at = now() - interval '1 day'"
    )
    await board.clock()
    assert await board.pool.fetchval("SELECT count(*) FROM claims WHERE contact_sealed IS NOT NULL") == 0
    assert second["id"] != claim["id"]


async def test_a_rider_who_leaves_is_forgotten_and_the_place_is_anothers(office: Office) -> None:
    board = office.board
    rider, other = await board.riders(2)
    done = await board.done(rider=rider)
    await board.review(done, approved=False, reason="没有照片")
    await board.appeal(done, "我到了")
    task = await board.publish(capacity=1)
    await board.claim(task, rider, contact=f"家人\n{PHONE}")
    await board.claim(task, other)
    team = (
        await office.ask("POST", "/teams", "op", {"area_code": STREET, "name": "瞭望哨", "kind": "lookouts"})
    ).json()
    await office.ask("PUT", f"/teams/{team['id']}/membership", rider, {"member": True})
    led = await office.ask("PUT", f"/teams/{team['id']}", "op", {"leader_id": str(rider)})
    assert led.json()["has_leader"]
    leaver = Leaver(rider, "erased:" + "0" * 40, clock.now())
    async with board.pool.acquire() as conn, conn.transaction():
        await conn.execute(SQL_ERASED_ADD, *arrays(Leaver, [leaver]))
        for _ in range(2):
            await leaving.forget(conn, [leaver])
        assert not await teams.is_member(conn, UUID(team["id"]), rider)
        [kept, live] = await claims.of_rider(conn, rider, UUID(int=0), 9)
    assert (kept.note, kept.appeal, kept.reason, kept.photo_id) == ("", "", "", None)
    assert live.contact_sealed is None
    assert not (await office.ask("GET", "/teams", other)).json()["items"][0]["has_leader"]
    await board.clock()
    assert await board.states(task) == ["handed_back", "claimed"]
    await board.figures()


async def test_teams_have_tallies_and_a_leader_who_sees_the_members(office: Office) -> None:
    board = office.board
    rider, other = await board.riders(2)
    made = await office.ask("POST", "/teams", "op", {"area_code": STREET, "name": "帮帮团", "kind": "helpers"})
    path = f"/teams/{made.json()['id']}"
    refused = await office.ask("PUT", path, "op", {"leader_id": str(rider)})
    assert refused.json()["code"] == "not_in_team"
    for one in (rider, other):
        await office.ask("PUT", f"{path}/membership", one, {"member": True})
    assert (await office.ask("GET", f"{path}/members", rider)).status_code == 404
    await office.ask("PUT", path, "op", {"leader_id": str(rider)})
    assert len((await office.ask("GET", f"{path}/members", rider)).json()["items"]) == 2
    await office.ask("PUT", path, "op", {"leader_id": str(other)})
    assert (await office.ask("GET", f"{path}/members", rider)).status_code == 404, "there is one leader"
    await office.ask("PUT", path, "op", {"leader_id": str(rider)})
    task = await board.publish(points=25)
    claim = await board.claim(task, other, team_id=UUID(made.json()["id"]))
    await board.runs(task)
    await board.start(claim)
    await board.review(await board.finish(claim))
    [team] = (await office.ask("GET", "/teams", rider)).json()["items"]
    assert (team["members"], team["done"], team["points"]) == (2, 1, 25)
    assert (await office.ask("DELETE", f"{path}/members/{other}", rider)).status_code == 204
    [team] = (await office.ask("GET", "/teams", rider)).json()["items"]
    assert (team["members"], team["done"]) == (1, 1), "what was done stays the team's"


async def test_companies_learn_sums_of_five_riders_or_more(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    task = await board.publish(capacity=9)
    riders = await board.riders(5)
    made = [await board.claim(task, rider) for rider in riders]
    await board.runs(task)
    for claim in made:
        await board.start(claim)
        await board.finish(claim)
    for claim in made[:4]:
        await board.review(claim)
    month = clock.now().astimezone(board.settings.city_zone).strftime("%Y-%m")
    later = clock.now() + timedelta(days=40)
    monkeypatch.setattr(clock, "now", lambda: later)

    class Caller:
        company_code = "suda"

    async def learned(settings: Settings) -> Any:
        async with board.pool.acquire() as conn:
            return await figures.read_company_month(month, Caller(), conn, settings)  # type: ignore[arg-type]

    assert (await learned(board.settings)).model_dump() == {
        "month": month,
        "riders": None,
        "tasks": None,
        "points": None,
    }
    await board.review(made[4])
    assert (await learned(board.settings)).model_dump() == {"month": month, "riders": 5, "tasks": 5, "points": 100}


async def test_peaks_and_alarms_are_said_with_words(office: Office) -> None:
    [rider] = await office.board.riders()
    noon = next_day(12, office.board.settings.city_zone)
    body = terms(area_code=COMMUNITY, starts_at=noon.isoformat(), ends_at=(noon + timedelta(hours=1)).isoformat())
    refused = await office.ask("POST", "", "op", body)
    assert (refused.status_code, refused.json()["peak"]) == (422, "11:00-13:00")
    assert (await office.ask("POST", "", "op", body, areas=("330199",))).status_code == 403
    task = await office.task()
    alarm = {
        "area_code": STREET, "since": clock.now().isoformat(), "until": task["ends_at"],
        "words_zh": "暴雨红色预警", "words_en": "A red alarm for rain",
    }  # fmt: skip
    made = await office.ask("POST", "/alarms", "op", alarm)
    refused = await office.ask("POST", f"/{task['id']}/claims", rider, {"of_age": True})
    assert (refused.json()["code"], refused.json()["words_zh"]) == ("weather_alarm", "暴雨红色预警")
    assert (await office.ask("GET", f"/{task['id']}", rider)).json()["state"] == "paused"
    assert len((await office.ask("GET", "/alarms", rider)).json()["items"]) == 1
    assert (await office.ask("PUT", f"/alarms/{made.json()['id']}/end", "op")).json()["ended_at"]
    assert (await office.ask("POST", f"/{task['id']}/claims", rider, {"of_age": True})).status_code == 201
