"""What routes of routing share: the map that this process routes by, looked at once a request."""

from typing import Annotated

from fastapi import Depends

from services.routing.domain import Area, AreaMap
from services.routing.usecases.current_map import CurrentMap
from services.routing.usecases.reports import Router
from shared.catalog import Catalogue
from shared.kit.service import Given


async def _map_in_force(current: Given[CurrentMap]) -> AreaMap:
    return current.value


MapInForce = Annotated[AreaMap, Depends(_map_in_force)]


async def _router(areas: MapInForce, catalogue: Given[Catalogue]) -> Router:
    return Router(areas, catalogue)


CurrentRouter = Annotated[Router, Depends(_router)]


def invented(areas: AreaMap, *codes: str) -> bool:
    """Whether one of the areas has invented borders."""
    known: list[Area] = [areas.areas[code] for code in codes if code in areas.areas]
    return any(area.fictional for area in known)
