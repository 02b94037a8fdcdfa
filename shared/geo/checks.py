"""What is wrong with a set of polygons: broken rings, overlaps, holes. Blocking: call it off the event loop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from shared.geo.metres import Geometries, square_metres

# Borders drawn twice leave slivers; below this they are drawing noise, not a finding.
SQUARE_METRES_MIN = 1.0
# Degrees, with its seas
_LNG_OF_CHINA, _LAT_OF_CHINA = (73.0, 136.0), (3.0, 54.0)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two polygons, by number, that share ground."""

    first: int
    second: int
    square_metres: float


@dataclass(frozen=True, slots=True)
class Hole:
    """Enclosed ground that no polygon covers; `lng`, `lat` lie in it, `neighbours` are numbers of polygons around."""

    lng: float
    lat: float
    square_metres: float
    neighbours: tuple[int, ...]


def out_of_range(geometry: shapely.Geometry) -> bool:
    """Whether a coordinate is no longitude and latitude (projected metres, exchanged axes beyond 90, NaN)."""
    coordinates = shapely.get_coordinates(geometry)
    lng, lat = np.abs(coordinates[:, 0]), np.abs(coordinates[:, 1])
    # Written so that NaN is out of range.
    return not bool(np.all(lng <= 180) and np.all(lat <= 90))


def exchanged(geometry: shapely.Geometry) -> bool:
    """Whether latitude stands before longitude: all coordinates lie in China the other way round, none as it is."""
    coordinates = shapely.get_coordinates(geometry)
    if not len(coordinates):
        return False
    (first_min, second_min), (first_max, second_max) = coordinates.min(axis=0), coordinates.max(axis=0)
    # the two ranges share no number, so what fits one way round does not fit the other
    return bool(
        _LAT_OF_CHINA[0] <= first_min <= first_max <= _LAT_OF_CHINA[1]
        and _LNG_OF_CHINA[0] <= second_min <= second_max <= _LNG_OF_CHINA[1]
    )


def outside_china(geometry: shapely.Geometry) -> bool:
    """Whether a part lies beyond China's box: metres that pass for degrees, or a map in another system than it says."""
    if shapely.is_empty(geometry):
        return False
    west, south, east, north = shapely.bounds(geometry)
    # Written so that NaN is outside.
    return not bool(
        _LNG_OF_CHINA[0] <= west <= east <= _LNG_OF_CHINA[1] and _LAT_OF_CHINA[0] <= south <= north <= _LAT_OF_CHINA[1]
    )


def repair(geometry: shapely.Geometry) -> tuple[shapely.Geometry, str | None]:
    """A valid Polygon or MultiPolygon of the same ground, and what was wrong (None: nothing).

    Raises:
        ValueError: nothing with an area is left, or it was no polygon at all.
    """
    geometry = shapely.force_2d(geometry)
    if shapely.get_type_id(geometry) not in (3, 6) or shapely.is_empty(geometry):
        raise ValueError("not a polygon with an area")
    if shapely.is_valid(geometry):
        if geometry.area == 0:
            raise ValueError("the polygon has no area")
        return geometry, None
    problem = str(shapely.is_valid_reason(geometry))
    parts = shapely.get_parts(shapely.make_valid(geometry))
    # make_valid may leave lines and points beside the polygons, one level deeper.
    flat = shapely.get_parts(parts)
    polygons = flat[(shapely.get_type_id(flat) == 3) & (shapely.area(flat) > 0)]
    if not len(polygons):
        raise ValueError(f"can't be repaired: {problem}")
    whole = polygons[0] if len(polygons) == 1 else shapely.union_all(polygons)
    return whole, problem


def overlaps(polygons: Sequence[shapely.Geometry] | Geometries) -> list[Overlap]:
    """All pairs that share more than a square metre, the largest first. Takes valid polygons."""
    array: Geometries = np.array(polygons, dtype=object)
    if len(array) < 2:
        return []
    shapely.prepare(array)
    first, second = shapely.STRtree(array).query(array, predicate="intersects")
    once = first < second
    first, second = first[once], second[once]
    # Neighbours that only touch are nearly all pairs: sorting them out is cheaper than intersecting them.
    real = ~shapely.touches(array[first], array[second])
    first, second = first[real], second[real]
    shared = square_metres(shapely.intersection(array[first], array[second]))
    found = [
        Overlap(int(a), int(b), round(float(size), 1))
        for a, b, size in zip(first, second, shared, strict=True)
        if size > SQUARE_METRES_MIN
    ]
    return sorted(found, key=lambda overlap: -overlap.square_metres)


def holes(polygons: Sequence[shapely.Geometry] | Geometries) -> list[Hole]:
    """All gaps of more than a square metre that the polygons enclose, the largest first."""
    array: Geometries = np.array(polygons, dtype=object)
    if not len(array):
        return []
    whole = shapely.union_all(array)
    rings = [ring for part in shapely.get_parts(whole) for ring in _interiors(part)]
    if not rings:
        return []
    gaps: Geometries = shapely.polygons(np.array(rings, dtype=object))
    sizes: NDArray[np.float64] = square_metres(gaps)
    # A polygon's own cut-out counts as well, though it may be meant: a report from there would be unroutable.
    tree = shapely.STRtree(array)
    found = []
    for gap, size in zip(gaps, sizes, strict=True):
        if size > SQUARE_METRES_MIN:
            inner = shapely.point_on_surface(gap)
            around = tuple(int(number) for number in np.sort(tree.query(gap, predicate="intersects")))
            found.append(Hole(round(inner.x, 7), round(inner.y, 7), round(float(size), 1), around))
    return sorted(found, key=lambda hole: -hole.square_metres)


def _interiors(polygon: shapely.Geometry) -> Iterator[shapely.Geometry]:
    for number in range(shapely.get_num_interior_rings(polygon)):
        yield shapely.get_interior_ring(polygon, number)
