"""A new map: live cases go to the grids that took over theirs, and their history says so."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.cases import domain, usecases
from services.cases.store.listing import Listing, page
from shared.kit.areas import AreaTree, KnownArea, store
from shared.kit.areas.store import KeptArea
from shared.kit.auth import Principal
from shared.kit.postgres.db import Pool
from tests.support import work_on

OLD, NEW, OTHER, STAYS = "330103001001001", "330102009001001", "330102009001002", "330114001002003"
FAR = datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0)
ENDED = "ended cases (counted to 100)"


@pytest.fixture
async def new_map(pool: Pool) -> AsyncIterator[None]:
    async with pool.acquire() as conn, conn.transaction():
        areas = [KnownArea(OLD, "grid", ("330103",), False, (NEW, OTHER)), KnownArea(NEW, "grid", ("330102",), True)]
        areas.append(KnownArea(OTHER, "grid", ("330102",), True))
        await store.keep(conn, [KeptArea(area, 1) for area in areas])
    yield
    await pool.execute("DELETE FROM known_areas")
    await pool.execute("DELETE FROM known_map")


async def carry(pool: Pool) -> int:
    async with work_on(pool) as work:
        return await usecases.carry_over(work)


async def test_what_ended_is_its_successors_office_to_read(cases: Any, routed: Any, pool: Pool, new_map: None) -> None:
    """Under its old code: those who have only new areas list it, open it, and may end what is reopened."""
    await cases.report(routed(0, grid_code=OLD), routed(500, grid_code=OLD), routed(1000, grid_code=STAYS))
    await pool.execute("UPDATE cases SET state = CASE WHEN lat < 30.301 THEN 'closed' ELSE 'invalid' END, live = false")
    async with pool.acquire() as conn:
        tree = AreaTree.of(kept.area for kept in await store.since(conn, 0))
        seen = {
            (areas, state): {case.grid_code for case in await page(conn, Listing(areas, tree, state, None, FAR, 9))}
            for areas in (("330102",), (OTHER,), ("330103",), ("330114",))
            for state in ("closed", "invalid")
        }
        (closed,) = await page(conn, Listing(("330102",), tree, "closed", None, FAR, 9))
        counted = await usecases.count_by_area(conn, [OLD])
    assert {asked for asked, codes in seen.items() if codes == {OLD}} == {
        (areas, state) for areas in (("330102",), (OTHER,), ("330103",)) for state in ("closed", "invalid")
    }
    assert counted == {"live cases": {}, ENDED: {OLD: 2}}
    for areas, sees in (("330102",), True), (("330114",), False):
        who = Principal("operator", "o1", roles=frozenset({"operator"}), areas=areas, tree=tree)
        person = domain.Person("o1", "人", frozenset({"operator"}), who.covers)
        assert domain.may_see(closed, person) is sees


async def test_live_cases_are_carried_over_once(cases: Any, routed: Any, pool: Pool, new_map: None) -> None:
    await cases.report(
        routed(0, grid_code=OLD), routed(500, grid_code=STAYS, alternatives=(OLD, NEW)), routed(1000, grid_code=STAYS),
        routed(1500, grid_code=OLD),
    )  # fmt: skip
    await pool.execute("UPDATE cases SET state = 'closed', live = false WHERE lat > 30.3 + 1400 / 111320.0")
    async with pool.acquire() as conn:
        assert await usecases.count_by_area(conn, [OLD, NEW]) == {"live cases": {OLD: 1}, ENDED: {OLD: 1}}
    before = len(await cases.published())
    assert [await carry(pool), await carry(pool)] == [2, 0]
    rows = await pool.fetch("SELECT grid_code, alternatives, state, version FROM cases ORDER BY lat")
    assert [tuple(row) for row in rows] == [
        (NEW, [], "open", 2), (STAYS, [NEW], "open", 2), (STAYS, [], "open", 1), (OLD, [], "closed", 1)
    ]  # fmt: skip
    bodies = (await cases.published())[before:]
    assert {(body["transition"], body["version"], body["actor"]) for body in bodies} == {("carried_over", 2, None)}
    assert all(OLD in body["note"] and NEW in body["note"] for body in bodies)
    case_id = bodies[0]["case_id"]
    steps = await pool.fetch("SELECT step FROM steps WHERE case_id = $1 ORDER BY version", case_id)
    assert [row["step"] for row in steps] == ["opened", "carried_over"]
    # a report that was routed by the old map comes late: the next look finds it
    await cases.report(routed(3000, grid_code=OLD))
    assert await carry(pool) == 1
