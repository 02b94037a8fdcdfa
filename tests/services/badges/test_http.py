"""Badges as they run, on real Postgres and Redis: boards that come back, pictures that can be verified."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import httpx
import pytest
from redis.asyncio import Redis

from services.badges.domain import handle
from services.badges.store import standings as store
from shared.devtools.installation import Installation
from shared.kit import clock
from shared.kit.ids import new_id
from shared.kit.postgres.rows import arrays
from shared.kit.privacy.erasure import SQL_ERASED_ADD, Leaver
from tests.services.badges.hive import Deed, Hive
from tests.support import client_of, service_of, settings_of


class Town:
    """The running service and who asks it."""

    def __init__(self, client: httpx.AsyncClient, installation: Installation, hive: Hive) -> None:
        self.client, self.installation, self.hive = client, installation, hive
        self.settings = settings_of(installation, "badges")
        self.redis = Redis.from_url(self.settings.redis_url.get_secret_value())

    def handle(self, rider: UUID) -> str:
        return handle(self.settings.handle_key(), rider)

    def headers(self, rider: UUID | str, role: str = "rider") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.installation.identity.token(str(rider), '孙芳', [role])}"}

    async def board(self, rider: UUID, path: str = "", **asked: Any) -> dict[str, Any]:
        found = await self.client.get(f"/v1/badges/boards{path}", params=asked, headers=self.headers(rider))
        assert found.status_code == 200, found.text
        return dict(found.json())

    async def mine(self, rider: UUID) -> dict[str, Any]:
        return dict((await self.client.get("/v1/badges/me", headers=self.headers(rider))).json())


@pytest.fixture
async def town(installation: Installation, hive: Hive) -> AsyncIterator[Town]:
    async with client_of(service_of(installation, "badges")) as client:
        made = Town(client, installation, hive)
        await made.redis.flushdb()
        yield made
        await made.redis.aclose()


async def credited(hive: Hive, *points: int, company: str = "suda", grid: str = "G1") -> list[UUID]:
    riders = [new_id() for _ in points]
    for rider, many in zip(riders, points, strict=True):
        await hive.hears(*Deed(rider, many, company, grid).credited())
    return riders


def lines(board: dict[str, Any]) -> list[tuple[int, int]]:
    return [(one["place"], one["points"]) for one in board["items"]]


async def test_a_board_shows_handles_ties_and_ones_own_place(town: Town) -> None:
    riders = await credited(town.hive, 50, 80, 50, 20)
    board = await town.board(riders[3])
    assert lines(board) == [(1, 80), (2, 50), (2, 50), (4, 20)]
    assert board["own"] == {"place": 4, "name": town.handle(riders[3]), "points": 20}
    assert (await town.board(riders[2]))["own"]["place"] == 2
    assert {one["name"] for one in board["items"]} == {town.handle(rider) for rider in riders}
    assert "孙芳" not in str(board)


@pytest.mark.parametrize("period", ["day", "week", "month"])
@pytest.mark.parametrize("path", ["", "/teams"])
async def test_days_that_no_calendar_of_ours_has_are_refused(town: Town, period: str, path: str) -> None:
    rider = new_id()
    for on in ("9999-12-31", "3000-01-01", "0001-01-01", "1999-12-31", "0"):
        asked = {"period": period, "on": on}
        refused = await town.client.get(f"/v1/badges/boards{path}", params=asked, headers=town.headers(rider))
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed"), on
    for on in ("2000-01-01", "2999-12-31"):
        assert lines(await town.board(rider, path, period=period, on=on)) == []


async def test_who_is_erased_is_on_no_board_that_was_made_before(town: Town) -> None:
    riders = await credited(town.hive, 50, 80)
    assert len((await town.board(riders[0]))["items"]) == 2
    leaver = Leaver(riders[1], "erased:" + "0" * 40, clock.now())
    async with town.hive.pool.acquire() as conn, conn.transaction():
        await conn.execute(SQL_ERASED_ADD, *arrays(Leaver, [leaver]))
        await store.forget(conn, [leaver])
    assert await town.redis.dbsize() > 0, "the board is there still"
    board = await town.board(riders[0])
    assert [one["name"] for one in board["items"]] == [town.handle(riders[0])]


@pytest.mark.parametrize("period", ["day", "week", "month"])
async def test_a_flushed_redis_makes_the_same_board_again(town: Town, period: str) -> None:
    [rider, *_] = await credited(town.hive, 50, 80, 50)
    before = await town.board(rider, period=period)
    assert await town.redis.dbsize() > 0
    await town.redis.flushdb()
    assert lines(await town.board(rider, period=period)) == lines(before) == [(1, 80), (2, 50), (2, 50)]


async def test_while_redis_is_away_boards_are_made_for_the_one_who_asks(installation: Installation, hive: Hive) -> None:
    riders = await credited(hive, 50, 80)
    away = service_of(installation, "badges", redis_url="redis://127.0.0.1:1/0")
    async with client_of(away) as client:
        board = await Town(client, installation, hive).board(riders[0])
    assert lines(board) == [(1, 80), (2, 50)] and board["own"]["place"] == 2


async def test_boards_of_a_company_an_area_and_of_teams(town: Town) -> None:
    [here] = await credited(town.hive, 50, company="suda", grid="G1")
    await credited(town.hive, 30, 40, company="kuai", grid="G2")
    assert lines(await town.board(here, company="kuai")) == [(1, 40), (2, 30)]
    assert lines(await town.board(here, area="G1")) == [(1, 50)]
    teams = await town.board(here, "/teams")
    assert [(one["place"], one["name"], one["points"]) for one in teams["items"]] == [(1, "kuai", 70), (2, "suda", 50)]
    last = (clock.now() - timedelta(days=40)).date().isoformat()
    assert lines(await town.board(here, on=last)) == []


async def test_who_does_not_want_to_be_on_boards_is_not_at_once(town: Town) -> None:
    riders = await credited(town.hive, 50, 80)
    assert len((await town.board(riders[0]))["items"]) == 2
    gone = {"json": {"on_boards": False}, "headers": town.headers(riders[1])}
    assert (await town.client.put("/v1/badges/me/boards", **gone)).status_code == 200
    board = await town.board(riders[0])
    assert town.handle(riders[1]) not in str(board)
    assert not (await town.mine(riders[1]))["on_boards"]
    await town.redis.flushdb()
    assert lines(await town.board(riders[0])) == [(1, 50)], "made without them"
    assert (await town.board(riders[1]))["own"] is None


async def test_a_badge_is_shown_and_verified_by_whoever_has_its_address(town: Town) -> None:
    [rider] = await credited(town.hive, 250)
    mine = await town.mine(rider)
    assert (mine["level"]["code"], mine["next_level"]["code"], mine["streak"]) == ("level-2", "level-3", 1)
    assert (mine["level"]["rank"], mine["next_level"]["rank"]) == (1, 2)
    [badge] = mine["badges"]
    picture = await town.client.get(badge["picture"])
    assert picture.headers["content-type"] == "image/svg+xml"
    assert ElementTree.fromstring(picture.text).tag.endswith("svg") and "第一哨" in picture.text
    verified = (await town.client.get(badge["verify"])).json()
    assert (verified["zh"], verified["handle"], verified["valid"]) == ("第一哨", town.handle(rider), True)
    forged = badge["verify"][:-4] + ("0000" if badge["verify"][-4:] != "0000" else "1111")
    assert (await town.client.get(forged)).status_code == 404
    other = badge["verify"].replace(badge["award_id"], str(new_id()))
    assert (await town.client.get(other)).status_code == 404


async def test_thresholds_are_read_by_all_and_set_by_the_city(town: Town) -> None:
    operator = town.headers("op", "operator")
    body = {"after_version": 0, "kind": "badge", "zh": "五十分", "en": "Fifty", "measure": "points", "least": 50}
    made = await town.client.put("/v1/badges/thresholds/points-50", json=body, headers=operator)
    assert made.status_code == 200, made.text
    again = await town.client.put("/v1/badges/thresholds/points-50", json=body, headers=operator)
    assert again.json()["code"] == "threshold_moved_on" and again.json()["current_version"] == 1
    past = {**body, "after_version": 1, "effective_from": "2021-01-01T00:00:00Z"}
    refused = await town.client.put("/v1/badges/thresholds/points-50", json=past, headers=operator)
    assert refused.json()["code"] == "threshold_in_the_past"
    [rider] = await credited(town.hive, 50)
    assert "points-50" in await town.hive.badges(rider)
    codes = [one["code"] for one in (await town.client.get("/v1/badges/thresholds", headers=operator)).json()["items"]]
    assert "points-50" in codes and "level-1" in codes


async def test_levels_have_the_ranks_that_offers_ask_for(town: Town) -> None:
    operator = town.headers("op", "operator")
    body = {"after_version": 0, "kind": "level", "zh": "铜蜂", "en": "Copper", "measure": "points", "least": 500}
    made = await town.client.put("/v1/badges/thresholds/copper", json=body, headers=operator)
    assert made.json()["rank"] == 2
    later = {**body, "effective_from": (clock.now() + timedelta(days=1)).isoformat()}
    assert (await town.client.put("/v1/badges/thresholds/later", json=later, headers=operator)).json()["rank"] is None
    items = (await town.client.get("/v1/badges/thresholds", headers=operator)).json()["items"]
    assert {one["code"]: one["rank"] for one in items if one["kind"] == "level"} == {
        "level-1": 0, "level-2": 1, "copper": 2, "level-3": 3, "level-4": 4,
    }  # fmt: skip
    assert {one["rank"] for one in items if one["kind"] == "badge"} == {None}
    assert (await town.mine(new_id()))["level"]["rank"] == 0, "of whom nothing was credited"
