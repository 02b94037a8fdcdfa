"""Many grids and many places at borders cost their sum, not their product."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from services.cases.store import areas, listing
from services.cases.store.listing import Listing, page
from shared.devtools.installation import Installation
from shared.kit.areas import AreaTree, KnownArea
from shared.kit.postgres.db import Connection, Pool
from shared.provision.postgres import owner_role
from tests.reads import analyze

FAR = datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0)
GRIDS, AT_BORDERS = 20_000, 6_000
PATIENCE_MS = 800
"""Far above the 100 ms that a statement of a running suite may take: the product would take many seconds."""
SQL_LOAD = """
INSERT INTO cases (case_id, version, state, live, kind, level, grid_code, alternatives, lng, lat, cell, seen_at,
                   opened_at, due_at, changed_at, report_count)
SELECT gen_random_uuid(), 1, CASE WHEN n % 500 = 0 THEN 'returned' ELSE 'open' END, true, 'k', 'routine', 'E' || n,
       ARRAY['E' || n + 1, 'G' || n], 120, 30, n, now(), now(), now() + n * interval '1 second', now(), 1
FROM generate_series(1, $1::int) AS n
"""
SQL_VANISHED = """
INSERT INTO known_areas (code, level, path, in_force, successors, version, revision)
SELECT 'V' || n, 'grid', '{}', false, ARRAY['G' || n], 2, 2 FROM generate_series(1, $1::int) AS n
"""
# D has the grids that are only the others of the places at borders; of E's every case has its own
TREE = AreaTree.of(
    [KnownArea("D", "district", (), True), KnownArea("F", "district", (), True), KnownArea("S", "street", ("F",), True)]
    + [KnownArea(f"G{n}", "grid", ("D",), True) for n in range(1, GRIDS + 1)]
    + [KnownArea(f"G{GRIDS + n}", "grid", ("F", "S"), True) for n in range(1, 200)]
)


@pytest.fixture
async def conn(installation: Installation, pool: Pool) -> AsyncIterator[Connection]:
    """A large city's places at borders, none of its grids taken over; a statement that takes too long is ended."""
    owner = await asyncpg.connect(installation.dsn("cases", owner_role))
    await owner.execute("DELETE FROM cases")
    await owner.execute(SQL_LOAD, AT_BORDERS)
    await owner.execute(SQL_VANISHED, GRIDS)
    await analyze(installation, "cases", "cases", "known_areas")
    async with pool.acquire() as conn:
        await conn.execute(f"SET statement_timeout = {PATIENCE_MS}")
        yield conn
        await conn.execute("RESET statement_timeout")
    await owner.execute("DELETE FROM known_areas")
    await owner.close()


async def test_nothing_left_to_carry_is_found_soon(conn: Connection) -> None:
    for _ in range(7):  # also by the plan for any values
        async with conn.transaction():
            assert await areas.succeeded(conn, 200) == {}


async def test_a_place_at_a_border_is_found_by_any_of_its_grids(conn: Connection) -> None:
    await conn.execute("UPDATE cases SET alternatives = ARRAY['G1', 'V7', 'V9'] WHERE grid_code = 'E5'")
    await conn.execute("UPDATE cases SET grid_code = 'V8' WHERE grid_code = 'E6'")
    async with conn.transaction():
        found = await areas.succeeded(conn, 200)
    assert sorted(case.grid_code for case in found.values()) == ["E5", "V8"]
    async with conn.transaction():
        assert len(await areas.succeeded(conn, 1)) == 1


@pytest.mark.parametrize("state", [None, "open", "returned", "needs_info"])
async def test_an_office_with_many_grids_sees_what_may_be_theirs(
    conn: Connection, state: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "AMBIGUOUS_AT_ONCE", 1_000)
    wanted = [
        row["case_id"]
        for row in await conn.fetch("SELECT case_id, state FROM cases ORDER BY due_at, case_id")
        if state is None or row["state"] == state
    ]
    seen, after = [], FAR
    for _ in range(4):
        found = await page(conn, Listing(("D",), TREE, state, None, after, 5))
        seen += [case.case_id for case in found]
        if not found:
            break
        after = found[-1].due_at, found[-1].case_id
    assert seen == wanted[:20]


async def test_an_office_with_many_grids_and_none_at_a_border_sees_nothing(conn: Connection) -> None:
    assert await page(conn, Listing(("F",), TREE, None, None, FAR, 100)) == []
    soon = datetime(2020, 1, 1, tzinfo=UTC)
    assert await page(conn, Listing(("D",), TREE, None, soon, FAR, 100)) == []
