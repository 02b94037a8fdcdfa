"""The map as a file: built once for everybody, kept packed and bounded, and read a page at a time."""

import asyncio
import gzip
import json
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import shapely

from services.routing.domain import Area, AreaMap, Level
from services.routing.usecases import exports, maps
from services.routing.usecases.exports import Exports
from shared.geo.index import PolygonIndex
from shared.kit.areas import AreaTree, KnownArea
from shared.kit.ids import new_id

CITY, PARTS, GRIDS = "3301", 40, 1_200


def code_of(number: int) -> str:
    return f"3301{number % PARTS:02d}{number:09d}"


def city(grids: int = GRIDS, *, version: UUID | None = None) -> tuple[AreaMap, AreaTree]:
    codes = sorted(code_of(number) for number in range(grids))
    parts = sorted({code[:6] for code in codes})
    areas = [Area(CITY, Level.CITY, "杭州", None)]
    areas += [Area(part, Level.DISTRICT, f"区{part}", CITY) for part in parts]
    areas += [Area(code, Level.GRID, f"网格{code}", code[:6]) for code in codes]
    shapes = [shapely.Point(120 + (n % 200) * 0.002, 30 + (n // 200) * 0.002).buffer(0.001) for n in range(grids)]
    known = [KnownArea(CITY, "city", (), True)]
    known += [KnownArea(part, "district", (CITY,), True) for part in parts]
    known += [KnownArea(code, "grid", (CITY, code[:6]), True) for code in codes]
    return AreaMap.of(version or new_id(), 0, areas, PolygonIndex(shapes), {}), AreaTree.of(known)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """What was built; two at once are one too many."""
    built: list[str | None] = []
    alone, packed = threading.Lock(), exports._packed

    def one(areas: AreaMap, tree: AreaTree, within: str | None) -> bytes:
        assert alone.acquire(blocking=False), "two are built at once"
        try:
            built.append(within)
            return packed(areas, tree, within)
        finally:
            alone.release()

    monkeypatch.setattr(exports, "_packed", one)
    return built


async def test_twenty_who_ask_at_once_cost_what_one_does(builds: list[str | None]) -> None:
    (areas, tree), kept = city(), Exports()
    found = await asyncio.gather(*(kept.get(areas, tree, None) for _ in range(20)))
    assert builds == [None]
    assert all(one is found[0] for one in found)
    await asyncio.gather(*(kept.get(areas, tree, f"3301{part:02d}") for part in range(8) for _ in range(3)))
    assert len(builds) == 9


async def test_what_is_kept_is_bounded(builds: list[str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    (areas, tree), kept = city(), Exports()
    for part in range(PARTS):
        await kept.get(areas, tree, f"3301{part:02d}")
    last = [f"3301{part:02d}" for part in range(PARTS)][-exports.KEPT_MAX :]
    for within in last:
        await kept.get(areas, tree, within)
    assert len(builds) == PARTS
    await kept.get(areas, tree, "330100")
    assert builds[PARTS:] == ["330100"]
    monkeypatch.setattr(exports, "KEPT_BYTES_MAX", kept.kept_bytes // 2)
    whole = await kept.get(areas, tree, None)
    assert kept.kept_bytes <= max(exports.KEPT_BYTES_MAX, len(whole))


async def test_a_new_map_or_tree_is_another_file(builds: list[str | None]) -> None:
    (areas, tree), kept = city(10), Exports()
    await kept.get(areas, tree, "330101")
    other, known = city(20)
    assert features(await kept.get(other, tree, "330101")) != features(await kept.get(other, known, "330119"))
    await kept.get(other, known, None)
    await kept.get(other, known, None)
    assert builds == ["330101", "330101", "330119", None]


def features(packed: bytes) -> list[dict[str, Any]]:
    whole = json.loads(gzip.decompress(packed))
    assert whole["type"] == "FeatureCollection"
    return list(whole["features"])


async def test_the_file_is_whole_for_every_number_of_grids() -> None:
    for grids in (1, exports.GRIDS_AT_ONCE, exports.GRIDS_AT_ONCE + 1, GRIDS):
        areas, tree = city(grids)
        packed = await Exports().get(areas, tree, None)
        found = features(packed)
        assert [one["id"] for one in found] == [grid.code for grid in areas.grids]
        assert found[-1]["geometry"]["type"] == "Polygon"
        assert b"".join(exports.pieces(packed)) == packed
        pieces = list(exports.unpacked(packed))
        assert b"".join(pieces) == gzip.decompress(packed)
        assert max(map(len, pieces)) <= exports.PIECE_BYTES
    assert features(await Exports().get(areas, tree, "9999")) == []


def test_building_one_takes_less_memory_than_the_file_has() -> None:
    areas, tree = city(6_000)
    tracemalloc.start()
    try:
        packed = exports._packed(areas, tree, None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(gzip.decompress(packed))


def test_a_page_of_areas_looks_at_no_others() -> None:
    areas, _ = city()
    looked = 0

    class Watched(tuple[Area, ...]):
        __slots__ = ()

        def __getitem__(self, at: Any) -> Any:
            nonlocal looked
            found = super().__getitem__(at)
            looked += len(found) if isinstance(found, tuple) else 1
            return found

        def __iter__(self) -> Iterator[Area]:
            for one in super().__iter__():
                nonlocal looked
                looked += 1
                yield one

    object.__setattr__(areas, "listed", {asked: Watched(found) for asked, found in areas.listed.items()})
    everything = sorted(areas.areas.values(), key=lambda area: area.code)
    for level, parent, after in (
        (None, None, ""),
        (Level.GRID, None, code_of(600)),
        (None, "330107", "330107000000047"),
    ):
        looked = 0
        wanted = [
            area
            for area in everything
            if level in (None, area.level) and parent in (None, area.parent_code) and area.code > after
        ]
        assert maps.list_areas(areas, level, parent, after, 20) == wanted[:20]
        assert wanted
        assert looked <= 20 + 12, looked
    assert maps.list_areas(areas, Level.STREET, None, "", 20) == []
