"""The map that this process routes by: loaded at start, asked for again and again, exchanged whole."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import shapely
import structlog

from services.routing import metrics
from services.routing.domain import EMPTY, AreaMap, Level
from services.routing.store import areas as area_store
from services.routing.store import responsibilities as responsibility_store
from services.routing.store.areas import StoredArea
from shared.geo.index import PolygonIndex
from shared.kit import clock
from shared.kit.postgres.db import Connection, Pool, reading

log = structlog.get_logger(__name__)


class CurrentMap:
    """Holds one immutable map; readers take `value` once per batch."""

    def __init__(self, pool: Callable[[], Pool]) -> None:
        self.value: AreaMap = EMPTY
        self._pool = pool
        self._lock = asyncio.Lock()

    async def refresh(self) -> None:
        """Take over what is in force now. Raises what the database raises; the old map then stays."""
        async with self._lock, reading(self._pool()) as conn:
            version_id, revision = await area_store.in_force(conn)
            if version_id != self.value.version_id or self.value is EMPTY:
                self.value = await self._load(conn, version_id, revision)
                log.info("map_in_force", version=str(version_id), grids=len(self.value.grids))
            elif revision != self.value.revision:
                # The revision was read first: a change in between is seen now and once more at the next turn.
                departments = await _departments(conn)
                self.value = replace(self.value, revision=revision, departments=departments)
        metrics.MAP_GRIDS.set(len(self.value.grids))
        metrics.MAP_ASKED.set(clock.unix_s())  # process clock: a gauge

    async def _load(self, conn: Connection, version_id: UUID | None, revision: int) -> AreaMap:
        departments = await _departments(conn)
        stored = [] if version_id is None else await area_store.areas(conn, version_id)
        with metrics.MAP_BUILD.time():
            return await asyncio.to_thread(_build, version_id, revision, stored, departments)


async def _departments(conn: Connection) -> dict[tuple[str, str], str]:
    rows = await responsibility_store.everything(conn)
    return {(row.department_kind, row.area_code): row.department for row in rows}


def _build(
    version_id: UUID | None, revision: int, stored: list[StoredArea], departments: dict[tuple[str, str], str]
) -> AreaMap:
    # The store gives areas by code: the grids' numbers in the index are those of AreaMap.grids.
    grids = [polygon for area, polygon in stored if area.level is Level.GRID]
    index = None if version_id is None else PolygonIndex(shapely.from_wkb(grids))
    return AreaMap.of(version_id, revision, (area for area, _ in stored), index, departments)
