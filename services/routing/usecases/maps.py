"""Reading the map in force."""

from bisect import bisect_right
from typing import Any

import orjson
import shapely

from services.routing.domain import Area, AreaMap, Level
from services.routing.store import areas as area_store
from shared.kit.postgres.db import Connection


def list_areas(areas: AreaMap, level: Level | None, parent: str | None, after: str, limit: int) -> list[Area]:
    """Areas by code, from behind `after` on. A page costs what is on it, however large the map is."""
    listed = areas.listed.get((level, parent), ())
    start = bisect_right(listed, after, key=lambda area: area.code)
    return list(listed[start : start + limit])


async def geometry(conn: Connection, areas: AreaMap, code: str) -> dict[str, Any] | None:
    """GeoJSON of one area's polygon, None where it has none."""
    if areas.version_id is None:
        return None
    found = await area_store.areas_of_codes(conn, areas.version_id, [code])
    if not found or found[0][1] is None:
        return None
    geojson: dict[str, Any] = orjson.loads(shapely.to_geojson(shapely.from_wkb(found[0][1])))
    return geojson
