"""A new map on which codes stand for other ground: nobody's cases become another office's without a word."""

import asyncio
from collections.abc import Sequence

import pytest

from services.routing.store.areas import Redrawn
from services.routing.usecases import grounds, versions
from services.routing.usecases.grounds import Moved
from tests.services.routing.conftest import Routing, box

A, B, C = "330114001001001", "330114001001002", "330114001002001"


async def test_codes_that_stand_for_other_ground_are_listed_and_need_a_word(routing: Routing) -> None:
    first = await routing.put_in_force([box(A, 120.50, 30.3), box(B, 120.51, 30.3), box(C, 120.52, 30.3)])
    second = await routing.draft()
    await routing.upload(second, [box(A, 120.51, 30.3), box(B, 120.50, 30.3), box(C, 120.521, 30.3)])
    moved = [{"code": code, "level": "grid", "share": 0.0} for code in (A, B)]
    tried = await routing.activate(second, dry_run=True)
    assert (tried["moved"], tried["vanishing"], tried["changed"]) == (moved, [], 0)
    refused = await routing.activate(second, status=409, strict=False)
    assert (refused["code"], refused["total"], refused["codes"]) == ("areas_moved", 2, [A, B])
    exchanged = [{"old_code": A, "new_code": B}, {"old_code": B, "new_code": A}]
    wrong = await routing.activate(second, status=422, mapping=exchanged, accept=True)
    assert [error["code"] for error in wrong["errors"]] == [A, B]
    assert all("other ground" in error["problem"] and "new code" in error["problem"] for error in wrong["errors"])
    assert (await routing.call("GET", "/v1/areas"))["version_id"] == first
    assert (await routing.activate(second))["moved"] == moved
    assert (await routing.activate(second, strict=False))["moved"] == [], "it is in force by now"
    assert (await routing.activate(first, dry_run=True))["moved"] == moved


async def test_a_map_that_was_compared_with_another_than_it_replaces_is_refused(
    routing: Routing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await routing.put_in_force([box(A, 120.50, 30.3)])
    second, third = await routing.draft(), await routing.draft()
    for version in (second, third):
        await routing.upload(version, [box(A, 120.50, 30.3)])
    compare = grounds.moved

    def slowly(redrawn: Sequence[Redrawn]) -> tuple[Moved, ...]:
        monkeypatch.setattr(versions, "moved", compare)
        asyncio.run_coroutine_threadsafe(routing.activate(third), loop).result(30)
        return compare(redrawn)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(versions, "moved", slowly)
    assert (await routing.activate(second, status=409))["code"] == "version_changed"
    await routing.activate(second)
