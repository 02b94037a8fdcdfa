"""Pages: every item once, in order; a cursor that the list didn't give out is refused by name."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter

from shared.kit.auth import Public, allow, policy_router
from shared.kit.http.paging import CURSOR_MAX, Asked, Cursors, Page
from shared.kit.refusals import Refusal
from tests.kit.web import app_of, client_of

NUMBERS = list(range(1, 8))
AT = datetime(2026, 5, 1, 12, 30, 15, 123456, UTC)


def routes() -> APIRouter:
    router = policy_router()

    @router.get("/v1/numbers")
    @allow(Public)
    async def numbers(asked: Asked) -> Page[int]:
        after = asked.after(int) or 0
        return asked.page([one for one in NUMBERS if one > after][: asked.rows], int, lambda one: one)

    @router.get("/v1/others")
    @allow(Public)
    async def others(asked: Asked) -> Page[int]:
        return asked.page([asked.after(int) or 0], int, lambda one: one)

    @router.get("/v1/pairs")
    @allow(Public)
    async def pairs(asked: Asked) -> Page[int]:
        return asked.page([*(asked.after(int, int) or ())], int, lambda one: one)

    return router


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
async def test_every_item_comes_once_and_the_last_page_says_so(tmp_path: Path, limit: int) -> None:
    seen: list[int] = []
    async with client_of(app_of([routes()], tmp_path)) as client:
        params: dict[str, str | int] | None = {"limit": limit}
        while params is not None:
            page = (await client.get("/v1/numbers", params=params)).json()
            assert len(page["items"]) <= limit and set(page) == {"items", "cursor"}
            seen += page["items"]
            params = {"limit": limit, "cursor": page["cursor"]} if page["cursor"] else None
    assert seen == NUMBERS


async def refused(client: httpx.AsyncClient, path: str, cursor: str) -> tuple[int, str, str]:
    answer = await client.get(path, params={"cursor": cursor})
    body = answer.json()
    return answer.status_code, body["code"], body["errors"][0]["field"]


async def test_a_false_cursor_is_refused_with_the_fields_name(tmp_path: Path) -> None:
    async with client_of(app_of([routes()], tmp_path)) as client:
        real = (await client.get("/v1/numbers", params={"limit": 2})).json()["cursor"]
        assert (await client.get("/v1/numbers", params={"limit": 2, "cursor": real})).json()["items"] == [3, 4]
        touched = ("A" if real[0] != "A" else "B") + real[1:]
        for false in (touched, real[:-2], f"{real}AA", "zzz", "A", "_" * CURSOR_MAX):
            assert await refused(client, "/v1/numbers", false) == (422, "bad_cursor", "query.cursor"), false
        # of another list, and of another shape
        assert await refused(client, "/v1/others", real) == (422, "bad_cursor", "query.cursor")
        for malformed in ("", "\x00", "a b", "٣", "A" * (CURSOR_MAX + 1)):
            assert await refused(client, "/v1/numbers", malformed) == (422, "validation_failed", "query.cursor")


def test_a_drivers_uuid_is_one() -> None:
    mine = type("Other", (UUID,), {})
    made = Cursors("cases", "secret").make("/v1/cases", (mine(int=7),))
    assert Cursors("cases", "secret").read("/v1/cases", made, (UUID,)) == (UUID(int=7),)


def test_replicas_agree_and_services_do_not() -> None:
    place = (AT, UUID(int=7))
    made = Cursors("cases", "secret").make("/v1/cases", place)
    assert Cursors("cases", "secret").read("/v1/cases", made, (datetime, UUID)) == place
    for cursors, kinds in (
        (Cursors("points", "secret"), (datetime, UUID)),
        (Cursors("cases", "another"), (datetime, UUID)),
        (Cursors("cases", "secret"), (int,)),
    ):
        with pytest.raises(Refusal) as caught:
            cursors.read("/v1/cases", made, kinds)
        assert caught.value.code == "bad_cursor"
