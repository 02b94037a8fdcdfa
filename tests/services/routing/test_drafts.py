"""What a killed import leaves behind doesn't stay."""

import asyncio
from datetime import timedelta
from itertools import count

import pytest

from services.routing.store import areas as area_store
from services.routing.usecases import versions
from shared.synthetic.city import grids
from tests.services.routing.conftest import Routing

DRAFT_KEPT = timedelta(days=3)
SQL_AGE = "UPDATE area_versions SET touched_at = now() - $2::interval WHERE version_id = $1"
SQL_LEFT = (
    "SELECT v.version_id::text, count(a.code) FROM area_versions v LEFT JOIN areas a USING (version_id) GROUP BY 1"
)


async def _left(routing: Routing) -> dict[str, int]:
    return dict(await routing.service.pool.fetch(SQL_LEFT))


async def _drop(routing: Routing) -> int:
    """As often as the clock does it; how many went."""
    for dropped in count():
        async with routing.service.work() as work:
            if not await versions.drop_abandoned(work, days=DRAFT_KEPT.days):
                return dropped
    raise AssertionError


async def _draft(routing: Routing, areas: int, age: timedelta) -> str:
    version = await routing.draft()
    if areas:
        await routing.upload(version, grids()[:areas])
    await routing.service.pool.execute(SQL_AGE, version, age)
    return version


async def test_a_draft_that_nobody_touches_leaves_whole(routing: Routing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(area_store, "DROP_AREAS_MAX", 4)
    in_force = await routing.put_in_force(grids()[:3])
    await routing.service.pool.execute(SQL_AGE, in_force, DRAFT_KEPT * 9)
    minute = timedelta(minutes=1)
    for areas in (8, 9, 0):
        await _draft(routing, areas, DRAFT_KEPT + minute)
    young = await _draft(routing, 2, DRAFT_KEPT - minute)
    touched = await _draft(routing, 2, DRAFT_KEPT + minute)
    await routing.upload(touched, grids()[2:4])
    assert await _drop(routing) == 3
    left = await _left(routing)
    assert left.pop(in_force) >= 3  # and the areas above them
    assert left == {young: 2, touched: 4}
    assert await _drop(routing) == 0


async def test_a_draft_that_somebody_works_on_waits(routing: Routing) -> None:
    version = await _draft(routing, 2, DRAFT_KEPT * 2)
    async with routing.service.pool.acquire() as conn, conn.transaction():
        await area_store.touch_draft(conn, version)
        assert await _drop(routing) == 0
    assert await _drop(routing) == 0
    assert await _left(routing) == {version: 2}


async def test_the_service_does_it_by_itself(routing: Routing) -> None:
    await _draft(routing, 2, DRAFT_KEPT * 2)
    task = asyncio.ensure_future(routing.drop_drafts())
    try:
        async with asyncio.timeout(20):
            while await _left(routing):
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
