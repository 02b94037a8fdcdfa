"""A case is counted in the street in which the map has its grid, and leaves that one when it goes elsewhere."""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from uuid import UUID

import pytest

from services.tracking.domain import CaseState
from services.tracking.store import figures, projections
from shared.kit.ids import new_id
from shared.kit.postgres import counters
from shared.kit.postgres.db import Pool
from tests.services.tracking.conftest import T0

SQL_AREA = """
INSERT INTO known_areas (code, level, path, in_force, successors, version, revision)
VALUES ($1, $2, $3, true, '{}', 1, 1)
"""


@pytest.fixture
async def mapped(pool: Pool) -> AsyncIterator[Pool]:
    """One grid lies in a street of another number, one in a district without streets; of the third nobody knows."""
    await pool.execute("DELETE FROM known_areas")
    areas = [
        ("330114", "district", []),
        ("330114009", "street", ["330114"]),
        ("330114001001001", "grid", ["330114", "330114009"]),
        ("330114002001001", "grid", ["330114"]),
        ("G1", "grid", ["330114"]),
        ("C7", "community", []),
        ("G2", "grid", ["C7"]),
        ("G3", "grid", []),
    ]
    for area in areas:
        await pool.execute(SQL_AREA, *area)
    yield pool
    # other tests of these tables look at pages of streets
    await pool.execute("UPDATE cases SET street = '330114001' WHERE street !~ '^[0-9]{9}$'")
    await pool.execute("DELETE FROM known_areas")


async def streets(pool: Pool, before: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """Cases by street, beyond those that were there."""
    async with pool.acquire() as conn, conn.transaction():
        assert await counters.differences(conn) == []
        found = (await figures.cases_at_a_glance(conn, 1_000)).by_street
    risen = {one.name: one.number - before.get(one.name, 0) for one in found}
    return {street: number for street, number in risen.items() if number}


async def cases(pool: Pool, version: int, *at: tuple[UUID, str]) -> None:
    """What the projection hears of some cases at once."""
    rows = [CaseState(case, version, "open", "k", "hazard", grid, None, 120, 30, 1, T0, T0, T0) for case, grid in at]
    async with pool.acquire() as conn:
        await projections.upsert_cases(conn, rows)


async def test_the_map_says_where_a_case_is(mapped: Pool) -> None:
    one, before = new_id(), await streets(mapped)
    known, unknown = "330114001001001", "330114003001001"
    await cases(mapped, 1, (one, known), (new_id(), "330114002001001"), (new_id(), unknown))
    assert await streets(mapped, before) == {"330114009": 1, "330114": 1, "330114003": 1}
    await mapped.execute("UPDATE known_areas SET path = '{330114}' WHERE code = $1", known)
    await cases(mapped, 2, (one, known))
    assert (await streets(mapped, before))["330114009"] == 1
    await cases(mapped, 3, (one, unknown))
    assert await streets(mapped, before) == {"330114": 1, "330114003": 2}


async def test_a_map_without_streets_has_few_numbers(mapped: Pool) -> None:
    """Whatever grids are called: under the nearest area that a city has few of, else under the largest one above."""
    before = await streets(mapped)
    await cases(mapped, 1, *((new_id(), grid) for grid in ("G1", "G1", "G2", "G3", "nobody's")))
    assert await streets(mapped, before) == {"330114": 2, "C7": 1, "": 2}


async def test_what_was_counted_under_none_or_its_grid_is_decided_again(mapped: Pool) -> None:
    """The map may be heard of after the case; and grids had numbers of their own once."""
    late, old, before = new_id(), new_id(), await streets(mapped)
    await cases(mapped, 1, (late, "G9"), (old, "G1"))
    await mapped.execute("UPDATE cases SET street = grid_code WHERE case_id = $1", old)
    assert await streets(mapped, before) == {"": 1, "G1": 1}
    await mapped.execute(SQL_AREA, "G9", "grid", ["330114"])
    await cases(mapped, 2, (late, "G9"), (old, "G1"))
    assert await streets(mapped, before) == {"330114": 2}


async def test_a_case_is_counted_once_however_deep_its_street_lies(mapped: Pool) -> None:
    before = await streets(mapped)
    await mapped.execute(SQL_AREA, "3301", "city", [])
    await mapped.execute(SQL_AREA, "330114009001001", "grid", ["3301", "330114", "330114009"])
    await cases(mapped, 1, (new_id(), "330114009001001"))
    assert await streets(mapped, before) == {"330114009": 1}


async def test_only_the_largest_numbers_leave_the_database(pool: Pool) -> None:
    """Equal ones in the order of their labels, shards added up, none that has become 0."""
    async with pool.acquire() as conn, conn.transaction():
        numbers = [("b", 0, 2), ("b", 1, 3), ("a", 0, 5), ("B", 0, 5), ("gone", 0, 1), ("gone", 1, -1), ("few", 0, 1)]
        for label, shard, n in numbers:
            await conn.execute("INSERT INTO counters VALUES ('of a test', $1, $2, $3)", label, shard, n)
        assert await counters.most(conn, "of a test", 3) == [("B", 5), ("a", 5), ("b", 5)]
        assert await counters.most(conn, "of a test", 9) == [("B", 5), ("a", 5), ("b", 5), ("few", 1)]
        await conn.execute("DELETE FROM counters WHERE what = 'of a test'")
