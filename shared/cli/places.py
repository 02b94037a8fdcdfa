"""A place on the city's map, for reports that only try the way out."""

from dataclasses import dataclass
from typing import Any

from shared.cli.client import Client, CliError

_ANYWHERE_LNG, _ANYWHERE_LAT = 120.35, 30.3
_DECIMALS = 6


@dataclass(frozen=True)
class Place:
    """WGS-84 degrees. `grid`: the code of the grid it lies in, empty where no map is in force."""

    lng: float
    lat: float
    grid: str = ""


def place_on_the_map(client: Client) -> Place:
    """The middle of the first grid of the map in force; somewhere, where there is none."""
    from shapely.geometry import shape  # other commands don't wait for it

    try:
        areas = client.get("/v1/areas", params={"level": "grid", "limit": "1"})["items"]
        found: list[dict[str, Any]] = [client.get(f"/v1/areas/{area['code']}") for area in areas]
    except CliError:
        found = []
    for area in found:
        if area["geometry"] is not None:
            middle = shape(area["geometry"]).representative_point()
            return Place(round(middle.x, _DECIMALS), round(middle.y, _DECIMALS), area["code"])
    return Place(_ANYWHERE_LNG, _ANYWHERE_LAT)
