"""The catalogue for whoever is outside: over HTTP, as files, and entry by entry on the compacted topic."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from services.routing.store import catalogue as store
from services.routing.usecases import catalogue
from shared.catalog import Catalogue
from shared.catalog.loader import SHIPPED
from shared.catalog.problems import problem_words
from shared.devtools.installation import Installation
from shared.events.catalogue_changed import CATALOGUE_CHANGED
from shared.kit.postgres.db import Pool
from tests.conftest import PoolFor
from tests.services.routing.conftest import Routing, box
from tests.support import emptied, published, work_on

A, B = "330114001001001", "330114001001002"


async def everything(routing: Routing, name: str) -> list[dict[str, Any]]:
    """All pages of a list, asked for by somebody without any token."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": 200, **({"cursor": cursor} if cursor else {})}
        answer = await routing.http.get(f"/v1/catalogue/{name}", params=params)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if (cursor := answer.json()["cursor"]) is None:
            return found


async def test_each_list_is_there_in_pages_and_as_a_file(routing: Routing) -> None:
    version = await routing.draft()
    await routing.upload(version, [box(A, 120.5, 30.3), box(B, 120.51, 30.3)])
    await routing.activate(version)
    codes = {
        "kinds": {kind.code for kind in Catalogue.load().kinds(await _now(routing))},
        "departments": set(Catalogue.load().departments),
        "codes": set(problem_words()),
    }
    for name in ("kinds", "departments", "areas", "codes"):
        items = await everything(routing, name)
        assert [one["code"] for one in items] == sorted(one["code"] for one in items)
        assert codes.get(name, {A, B}) <= {one["code"] for one in items}
        answer = await routing.http.get(f"/v1/catalogue/{name}.csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["code"] for row in rows] == [one["code"] for one in items]
        assert list(rows[0]) == list(items[0])
    [gas] = [one for one in await everything(routing, "kinds") if one["code"] == "local-gas-smell"]
    assert (gas["department"], gas["level"], gas["limit_hours"]) == ("gas", "emergency", 1)
    [area] = [one for one in await everything(routing, "areas") if one["code"] == A]
    assert (area["level"], area["parent"]) == ("grid", A[:12])
    [code] = [one for one in await everything(routing, "codes") if one["code"] == "unreadable_batch"]
    assert (code["status"], code["letters"], code["same_id"]) == (None, True, True)


async def _now(routing: Routing) -> Any:
    async with routing.service.work() as work:
        return work.now


@pytest.fixture
async def pool(installation: Installation, pool_for: PoolFor) -> Pool:
    await emptied(installation, "routing", "catalogue_entries", "current_map", "activations", "areas", "area_versions")
    made = await pool_for("routing")
    await made.execute("DELETE FROM outbox WHERE topic = $1", CATALOGUE_CHANGED.name)
    return made


async def settle(pool: Pool, publishing: catalogue.Publishing) -> list[dict[str, Any]]:
    """What is published until there is nothing to say, and taken from the outbox."""
    for _ in range(20):
        async with work_on(pool) as work:
            if await publishing.publish_catalogue(work) == 0:
                break
    found = await published(pool, CATALOGUE_CHANGED)
    await pool.execute("DELETE FROM outbox WHERE topic = $1", CATALOGUE_CHANGED.name)
    return found


async def put_in_force(pool: Pool, **names: str) -> None:
    """A map of these grids."""
    version = await pool.fetchval(
        """INSERT INTO area_versions (version_id, label, level, datum, state, version, created_at, created_by)
           VALUES (gen_random_uuid(), 'x', 'grid', 'wgs84', 'activated', 1, now(), 'x') RETURNING version_id"""
    )
    for code, name in names.items():
        await pool.execute(
            "INSERT INTO areas VALUES ($1, $2, 'grid', $3, NULL, '\\x00', 1, false)", version, code, name
        )
    await pool.execute(
        """INSERT INTO current_map (version_id, responsibilities_revision) VALUES ($1, 0)
           ON CONFLICT (singleton) DO UPDATE SET version_id = $1""",
        version,
    )


async def test_everything_is_said_once_and_then_what_changes(pool: Pool, tmp_path: Path) -> None:
    publishing = catalogue.Publishing(Catalogue.load())
    await put_in_force(pool, G1="一格", G2="二格")
    first = await settle(pool, publishing)
    kinds = len(Catalogue.load().kinds(await pool.fetchval("SELECT now()")))
    assert len(first) == kinds + len(Catalogue.load().departments) + len(problem_words()) + 2
    assert {one["version"] for one in first} == {1}
    assert await settle(pool, publishing) == []
    assert await settle(pool, catalogue.Publishing(Catalogue.load())) == [], "nor by a process that has just started"

    await put_in_force(pool, G1="一格", G2="新二格")
    assert [(one["key"], one["version"], one["name_zh"]) for one in await settle(pool, publishing)] == [
        ("area/G2", 2, "新二格")
    ]
    await put_in_force(pool, G1="一格")
    [gone] = await settle(pool, publishing)
    assert gone == {"key": "area/G2", "version": 3}, "a record without a value"
    await put_in_force(pool, G1="一格", G2="新二格")
    [back] = await settle(pool, publishing)
    assert (back["key"], back["version"]) == ("area/G2", 4), "its version goes on"

    (tmp_path / "departments.csv").write_text(
        (SHIPPED / "departments.csv").read_text("utf-8").replace("燃气,Gas", "燃气公司,Gas"), "utf-8"
    )
    changed = await settle(pool, catalogue.Publishing(Catalogue.load(tmp_path)))
    assert [(one["key"], one["name_zh"]) for one in changed] == [("department/gas", "燃气公司")]


async def test_all_of_it_can_be_published_once_more(pool: Pool) -> None:
    await put_in_force(pool, G1="一格", G2="二格")
    first = await settle(pool, catalogue.Publishing(Catalogue.load()))
    await put_in_force(pool, G1="一格")
    await settle(pool, catalogue.Publishing(Catalogue.load()))
    after = ""
    while True:
        async with work_on(pool) as work:
            page = await catalogue.entries(work, after, 100)
        if page.last is None:
            break
        after = page.last
    again = await published(pool, CATALOGUE_CHANGED)
    assert [one["key"] for one in again] == sorted(one["key"] for one in first)
    assert {one["key"]: one for one in again}["area/G2"] == {"key": "area/G2", "version": 2}
    async with pool.acquire() as conn:
        assert await store.tally(conn) == store.Tally(len(first) - 1, 1)
        assert (await catalogue.count_entries(conn)).tombstones == 1
