"""What all routes of routing share."""

from typing import Annotated

from fastapi import Depends

from services.routing.domain import Area, AreaMap
from services.routing.usecases.current_map import RoutingService
from shared.kit.http.open_answers import OpenAnswers
from shared.kit.service import Service, current_service


class Routing(RoutingService):
    """The service with the map, and what of it is being sent."""

    open_exports: OpenAnswers


def routing_service(service: Annotated[Service, Depends(current_service)]) -> Routing:
    """The running service with its map."""
    if not isinstance(service, Routing):
        raise TypeError(f"{service.name} has no map")
    return service


def map_in_force(service: Annotated[Routing, Depends(routing_service)]) -> AreaMap:
    """The map that this process routes by now."""
    return service.areas.value


CurrentRouting = Annotated[Routing, Depends(routing_service)]
MapInForce = Annotated[AreaMap, Depends(map_in_force)]


def invented(areas: AreaMap, *codes: str) -> bool:
    """Whether one of the areas has invented borders."""
    known: list[Area] = [areas.areas[code] for code in codes if code in areas.areas]
    return any(area.fictional for area in known)
