"""Points located a second on one core: routing's own batch path on the demo city's grids, without a database."""

import importlib
import time
from collections.abc import Callable

from shared.geo.index import PolygonIndex
from shared.synthetic.city import city, random_places

BATCH = 200
POINTS = 100_000
RADIUS_M = 5.0


def located(points: int = POINTS) -> dict[str, int]:
    """Ask for random places of the demo city in batches of 200: 5 % of them near a border, 2 % outside.

    Places a second of the process's own CPU time. Located: the grids within 5 m of each place. Routed: with the route
    of each, the nearest grid of those outside too.
    """
    domain, areas, places = importlib.import_module("services.routing.domain"), city(), random_places(points)
    index = PolygonIndex([area.polygon for area in areas if area.level == "grid"])
    made = [domain.Area(a.code, domain.Level(a.level), a.name, a.parent_code) for a in areas]
    in_force = domain.AreaMap.of(None, 1, made, index, {})
    asked = [domain.Place(place.lng, place.lat, RADIUS_M, "part") for place in places]
    lng, lat, radius = [place.lng for place in places], [place.lat for place in places], [RADIUS_M] * BATCH
    return {
        "located_per_core_s": _per_second(
            points, lambda at: index.candidates(lng[at : at + BATCH], lat[at : at + BATCH], radius)
        ),
        "routed_per_core_s": _per_second(points, lambda at: in_force.route(asked[at : at + BATCH])),
    }


def _per_second(points: int, ask: Callable[[int], object]) -> int:
    whole = points // BATCH * BATCH
    ask(0)
    began_s = time.process_time()
    for at in range(0, whole, BATCH):
        ask(at)
    return round(whole / (time.process_time() - began_s))
