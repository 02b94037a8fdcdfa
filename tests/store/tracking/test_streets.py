"""A case is counted in the street in which the map has its grid, and leaves that one when it goes elsewhere."""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

import pytest

from services.tracking.domain import CaseState
from services.tracking.store import figures, projections
from shared.kit import counters
from shared.kit.db import Pool
from shared.kit.ids import new_id
from tests.store.tracking.conftest import T0

SQL_AREA = """
INSERT INTO known_areas (code, level, path, in_force, successors, version, revision)
VALUES ($1, $2, $3, true, '{}', 1, 1)
"""


@pytest.fixture
async def mapped(pool: Pool) -> Pool:
    """One grid lies in a street of another number, one in a district without streets; of the third nobody knows."""
    await pool.execute("DELETE FROM known_areas")
    areas = [
        ("330114", "district", []),
        ("330114009", "street", ["330114"]),
        ("330114001001001", "grid", ["330114", "330114009"]),
        ("330114002001001", "grid", ["330114"]),
    ]
    for area in areas:
        await pool.execute(SQL_AREA, *area)
    return pool


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
    assert await streets(mapped, before) == {"330114009": 1, "330114002001001": 1, "330114003": 1}
    await mapped.execute("UPDATE known_areas SET path = '{330114}' WHERE code = $1", known)
    await cases(mapped, 2, (one, known))
    assert (await streets(mapped, before))["330114009"] == 1
    await cases(mapped, 3, (one, unknown))
    assert await streets(mapped, before) == {"330114002001001": 1, "330114003": 2}
