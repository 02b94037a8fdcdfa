"""Reading the map in force."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import shapely

from services.routing.domain import NOTICE, Area, AreaMap, Level
from services.routing.store import areas as area_store
from shared.geo.index import PolygonIndex
from shared.kit.db import Pool

MEDIA_TYPE = "application/geo+json"


def list_areas(areas: AreaMap, level: Level | None, parent: str | None, after: str, limit: int) -> list[Area]:
    """Areas by code, from behind `after` on."""
    found = [
        area
        for area in areas.areas.values()
        if area.code > after and level in (None, area.level) and parent in (None, area.parent_code)
    ]
    return sorted(found, key=lambda area: area.code)[:limit]


async def geometry(pool: Pool, areas: AreaMap, code: str) -> dict[str, Any] | None:
    """GeoJSON of one area's polygon, None where it has none."""
    if areas.version_id is None:
        return None
    async with pool.acquire() as conn:
        found = await area_store.areas_of_codes(conn, areas.version_id, [code])
    if not found or found[0][1] is None:
        return None
    told: dict[str, Any] = orjson.loads(shapely.to_geojson(shapely.from_wkb(found[0][1])))
    return told


async def export_grids(areas: AreaMap, within: str) -> bytes:
    """All grids whose codes begin so, as a GeoJSON FeatureCollection."""
    index = areas.locator
    chosen = [number for number, grid in enumerate(areas.grids) if grid.code.startswith(within)]
    polygons: Sequence[shapely.Geometry] = list(index.polygons(chosen)) if isinstance(index, PolygonIndex) else []
    return await asyncio.to_thread(_collection, areas, [areas.grids[number] for number in chosen], polygons)


def _collection(areas: AreaMap, grids: Sequence[Area], polygons: Sequence[shapely.Geometry]) -> bytes:
    features = [
        {
            "type": "Feature",
            "id": grid.code,
            "properties": {
                "code": grid.code,
                "name": grid.name,
                "level": grid.level,
                "parent_code": grid.parent_code,
                "path": areas.paths[grid.code],
                "fictional": grid.fictional,
                "notice": NOTICE if grid.fictional else None,
            },
            "geometry": orjson.Fragment(geometry),
        }
        for grid, geometry in zip(grids, shapely.to_geojson(polygons), strict=True)
    ]
    fictional = any(grid.fictional for grid in grids)
    return orjson.dumps(
        {
            "type": "FeatureCollection",
            "version_id": None if areas.version_id is None else str(areas.version_id),
            "fictional": fictional,
            "notice": NOTICE if fictional else None,
            "features": features,
        }
    )
