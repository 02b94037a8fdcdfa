"""A page of cases reads about a page, whatever the state, and however many grids and years of history there are."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.cases.domain import LIVE, Case, State
from services.cases.store.listing import Listing, page
from shared.devtools.installation import Installation
from shared.kit.areas import AreaTree, KnownArea
from shared.kit.postgres.db import Connection, Pool
from tests.reads import analyze, rows_read

FAR = datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0)
GRIDS, CLOSED, LIVE_CASES = 300, 18_000, 3_000
# The district's grids are every other one of the city's; one more district is two grids, another one has no case yet.
TREE = AreaTree.of(
    [
        *(KnownArea(one, "district", (), True) for one in ("D1", "D2", "D3", "D4")),
        *(KnownArea(f"G{n}", "grid", ("D3" if n < 2 else f"D{1 + n % 2}",), True) for n in range(GRIDS)),
        *(KnownArea(f"N{n}", "grid", ("D4",), True) for n in range(GRIDS)),
    ]
)
# In turn grid by grid; the rare states are the last in time and all in D2; every tenth live place is ambiguous.
SQL_LOAD = """
INSERT INTO cases (case_id, version, state, live, kind, level, grid_code, alternatives, department, lng, lat, cell,
                   seen_at, opened_at, due_at, changed_at, report_count)
SELECT gen_random_uuid(), 1, s.state, s.live, 'part-01001', 'hazard', 'G' || g.grid,
       CASE WHEN s.live AND n % 10 = 0 THEN ARRAY['G' || (g.grid + 1) % $1::int] ELSE '{}' END, 'water', 120.3, 30.3, n,
       t.at, t.at, t.at, t.at, 1
FROM generate_series(1, $2::int + $3::int) AS n
CROSS JOIN LATERAL (
    SELECT n > $2 AS live,
           CASE WHEN n > $2 + $3 - 20 THEN 'returned' WHEN n > $2 THEN 'open'
                WHEN n > $2 - 20 THEN 'invalid' ELSE 'closed' END AS state
) s
CROSS JOIN LATERAL (SELECT CASE WHEN s.state IN ('returned', 'invalid') THEN 3 + 2 * (n % 9) ELSE n % $1 END AS grid) g
CROSS JOIN LATERAL (SELECT timestamptz '2024-01-01' + n * interval '1 minute' AS at) t
"""


@pytest.fixture
async def conn(pool: Pool, installation: Installation) -> AsyncIterator[Connection]:
    """Three years of a small city."""
    async with pool.acquire() as conn:
        await conn.execute("DELETE FROM cases")
        await conn.execute(SQL_LOAD, GRIDS, CLOSED, LIVE_CASES)
        await analyze(installation, "cases", "cases")
        yield conn


def wanted(areas: tuple[str, ...] | None, state: State | None, after: tuple[datetime, UUID] = FAR) -> Listing:
    return Listing(areas, TREE, state, None, after, 51)


ASKED: list[tuple[tuple[str, ...] | None, State | None]] = [
    (areas, state)
    for areas in (None, ("D1",), ("D2",), ("D3",), ("D4",), ("G2",), ("D1", "D2", "D4"))
    for state in (None, "open", "returned", "closed", "invalid")
]


async def test_a_page_reads_a_row_a_grid_and_a_few_pages(conn: Connection) -> None:
    too_many = {}
    for areas, state in ASKED:
        _, read = await looked(conn, wanted(areas, state))
        if read > (0 if areas is None else len(TREE.below(areas))) + 5 * 51:
            too_many[areas, state] = read
    assert too_many == {}


async def test_an_office_with_most_of_a_large_city_reads_the_citys_list(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.cases.store.listing.MANY", 4)
    most, fewer = ("D1", "D2", "D4"), ("D2", "D4")
    found, read = await looked(conn, wanted(most, "closed"))
    assert len(found) == 51 and read <= 5 * 51 < len(TREE.below(most))
    found, read = await looked(conn, wanted(fewer, "returned"))
    assert len(found) == 20 and read <= len(TREE.below(fewer)) + 5 * 51


async def looked(conn: Connection, listing: Listing) -> tuple[list[Case], int]:
    """A page, and the rows that were read for it once plans are those for any values."""
    for _ in range(6):
        await page(conn, listing)
    before = await rows_read(conn, "cases")
    found = await page(conn, listing)
    return found, await rows_read(conn, "cases") - before


async def test_pages_are_what_a_look_at_everything_finds(conn: Connection) -> None:
    rows = await conn.fetch("SELECT * FROM cases ORDER BY due_at, case_id")
    for areas, state in ASKED:
        mine = None if areas is None else TREE.below(areas)
        there = [
            row["case_id"]
            for row in rows
            if (row["state"] == state if state else row["state"] in LIVE)
            and (mine is None or not mine.isdisjoint([row["grid_code"], *row["alternatives"]]))
        ]
        found: list[UUID] = []
        after = FAR
        for _ in range(8):
            seen = await page(conn, wanted(areas, state, after))
            found += [case.case_id for case in seen]
            if len(seen) < 51:
                break
            after = seen[-1].due_at, seen[-1].case_id
        assert found == there[: 8 * 51], (areas, state)
