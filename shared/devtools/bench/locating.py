"""Points located a second on one core: routing's own batch path on the demo city's grids, without a database."""

import importlib
import time
from types import ModuleType

from shared.devtools.city import city, random_places
from shared.geo.index import PolygonIndex

BATCH = 200
POINTS = 200_000
KIND_OF_DEPARTMENT = "part"


def located_per_core_s(points: int = POINTS) -> float:
    """Places a second of the process's own CPU time, through `AreaMap.route` in batches of 200.

    Places are random ones of the city, near borders and outside included, with a radius of 5 m.
    """
    domain = importlib.import_module("services.routing.domain")
    areas = _map(domain)
    places = [domain.Place(p.lng, p.lat, 5.0, KIND_OF_DEPARTMENT) for p in random_places(points)]
    areas.route(places[:BATCH])
    began_s = time.process_time()
    for start in range(0, len(places), BATCH):
        areas.route(places[start : start + BATCH])
    return len(places) / (time.process_time() - began_s)


def _map(domain: ModuleType):  # type: ignore[no-untyped-def]  # routing's own AreaMap, found at run time
    stored = city()
    made = [domain.Area(a.code, domain.Level(a.level), a.name, a.parent_code) for a in stored]
    index = PolygonIndex([a.polygon for a in stored if a.level == "grid"])
    return domain.AreaMap.of(None, 1, made, index, {})
