"""The demo city: real names and codes of Qiantang on invented cells (虚构边界), the same every time for one seed.

`python -m shared.synthetic.city > city.geojson` writes it. The cells are Voronoi cells: no gaps, no overlaps.
"""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

NAMES = Path(__file__).parent / "data" / "qiantang.csv"
NOTICE = "虚构边界：名称与代码真实，边界为演示而虚构 / Invented boundaries"
SEED = 330114
GRIDS_PER_COMMUNITY = (4, 8)
# An invented outline near the real place; degrees, WGS-84.
OUTLINE = shapely.from_wkt(
    "POLYGON((120.29 30.26, 120.36 30.21, 120.47 30.20, 120.58 30.22, 120.66 30.27, 120.70 30.33,"
    " 120.64 30.38, 120.55 30.37, 120.48 30.41, 120.40 30.37, 120.33 30.35, 120.30 30.31, 120.29 30.26))"
)
DIGITS = 7  # a centimetre
RELAXATIONS = 4
BORDER_M = 8.0
_METRE = 1 / 111_000

Points = NDArray[np.float64]
Cells = NDArray[np.object_]
Where = Literal["inside", "border", "outside"]


@dataclass(frozen=True, slots=True)
class Area:
    """One invented area; `level` is district, street, community or grid."""

    code: str
    name: str
    level: str
    parent_code: str | None
    polygon: shapely.Geometry


@dataclass(frozen=True, slots=True)
class Place:
    """A random place in WGS-84 degrees; `border`: within 8 m of a border between grids."""

    lng: float
    lat: float
    where: Where


@cache
def city(seed: int = SEED) -> tuple[Area, ...]:
    """All areas: the district, 7 streets, 127 communities, 4 to 8 grids each; parents before children."""
    rng = np.random.default_rng(seed)
    rows = _names()
    communities = [row for row in rows if row["level"] == "community"]
    streets = [row for row in rows if row["level"] == "street"]
    counts = rng.integers(GRIDS_PER_COMMUNITY[0], GRIDS_PER_COMMUNITY[1] + 1, len(communities))
    cells, centres = _cells(rng, int(counts.sum()))
    grids: list[Area] = []
    upper: list[Area] = []
    of_street = [[n for n, row in enumerate(communities) if row["code"].startswith(s["code"])] for s in streets]
    street_parts = _split(centres, np.arange(len(cells)), [int(counts[members].sum()) for members in of_street])
    for street, members, part in zip(streets, of_street, street_parts, strict=True):
        upper.append(Area(street["code"], street["name"], "street", street["code"][:6], _whole(cells[part])))
        parts = _split(centres, part, [int(counts[n]) for n in members])
        for n, own in zip(members, parts, strict=True):
            code, name = communities[n]["code"], communities[n]["name"]
            upper.append(Area(code, name, "community", code[:9], _whole(cells[own])))
            grids.extend(
                Area(f"{code}{number:03d}", f"{name}第{number}网格", "grid", code, cells[cell])
                for number, cell in enumerate(own.tolist(), start=1)
            )
    district = next(row for row in rows if row["level"] == "district")
    upper.sort(key=lambda area: (len(area.code), area.code))
    whole = Area(district["code"], district["name"], "district", None, _whole(cells))
    return (whole, *upper, *sorted(grids, key=lambda area: area.code))


def grids(seed: int = SEED) -> tuple[Area, ...]:
    """The grids only, by code."""
    return tuple(area for area in city(seed) if area.level == "grid")


def feature_collection(areas: Sequence[Area]) -> dict[str, Any]:
    """GeoJSON of some areas; every feature says `fictional: true` and carries the notice."""
    return {
        "type": "FeatureCollection",
        "notice": NOTICE,
        "features": [
            {
                "type": "Feature",
                "properties": {
                    "code": area.code,
                    "name": area.name,
                    "level": area.level,
                    "parent_code": area.parent_code,
                    "fictional": True,
                    "notice": "虚构边界",
                },
                "geometry": shapely.geometry.mapping(area.polygon),
            }
            for area in areas
        ],
    }


def random_places(n: int, seed: int = 1) -> list[Place]:
    """`n` places, the same per seed: 93 % anywhere inside, 5 % within 8 m of a grid border, 2 % outside the city."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(np.array(["inside", "border", "outside"]), n, p=[0.93, 0.05, 0.02])
    points = np.empty((n, 2))
    points[kinds == "inside"] = _points_inside(rng, int((kinds == "inside").sum()))
    points[kinds == "border"] = _points_on_borders(rng, int((kinds == "border").sum()))
    # A ring of its own well outside: 3 to 6 km west of the outline.
    outside = int((kinds == "outside").sum())
    points[kinds == "outside"] = np.column_stack(
        [rng.uniform(120.23, 120.26, outside), rng.uniform(30.20, 30.40, outside)]
    )
    return [Place(float(x), float(y), kind) for (x, y), kind in zip(points.round(DIGITS), kinds.tolist(), strict=True)]


def _names() -> list[dict[str, str]]:
    with NAMES.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _points_inside(rng: np.random.Generator, n: int) -> Points:
    west, south, east, north = OUTLINE.bounds
    found = np.empty((0, 2))
    while len(found) < n:
        more = np.column_stack([rng.uniform(west, east, 2 * n), rng.uniform(south, north, 2 * n)])
        found = np.concatenate([found, more[shapely.contains_xy(OUTLINE, more)]])
    return found[:n]


def _points_on_borders(rng: np.random.Generator, n: int) -> Points:
    rings = shapely.get_exterior_ring(np.array([area.polygon for area in grids()], dtype=object))
    lines = rng.choice(rings, n)
    points = shapely.line_interpolate_point(lines, rng.uniform(0, 1, n), normalized=True)
    return np.asarray(shapely.get_coordinates(points) + rng.uniform(-BORDER_M, BORDER_M, (n, 2)) * _METRE * 0.7)


def _cells(rng: np.random.Generator, n: int) -> tuple[Cells, Points]:
    """`n` Voronoi cells that fill the outline, and their centres; relaxed so that no cell is a splinter."""
    centres = _points_inside(rng, n)
    cells: Cells = np.empty(0, dtype=object)
    for _ in range(RELAXATIONS + 1):
        raw = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(centres), extend_to=OUTLINE))
        cells = shapely.intersection(raw, OUTLINE)
        centres = shapely.get_coordinates(shapely.centroid(cells))
    # Neighbours share corners, so rounding moves both sides of a border alike.
    return shapely.transform(cells, lambda corners: corners.round(DIGITS)), centres


def _split(centres: Points, cells: NDArray[np.intp], sizes: Sequence[int]) -> list[NDArray[np.intp]]:
    """Neighbouring cells in groups of the given sizes: halves along the longer side until one group is left."""
    if len(sizes) == 1:
        return [cells]
    half = len(sizes) // 2
    spread = np.ptp(centres[cells], axis=0)
    ordered = cells[np.argsort(centres[cells, int(np.argmax(spread))], kind="stable")]
    cut = sum(sizes[:half])
    return _split(centres, ordered[:cut], sizes[:half]) + _split(centres, ordered[cut:], sizes[half:])


def _whole(cells: Cells) -> shapely.Geometry:
    return shapely.union_all(cells)


if __name__ == "__main__":
    json.dump(feature_collection(city()), sys.stdout, ensure_ascii=False)
