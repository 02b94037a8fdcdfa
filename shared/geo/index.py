"""Which polygons a place may lie in: exact, in bulk, on an R-tree."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from shared.geo.interior import Interior
from shared.geo.metres import Array, Geometries, in_metres, metres_per_degree

Positions = NDArray[np.intp]
# The tree is asked with a box around the accuracy circle, a little wider than the circle: scales differ by polygon.
_BOX_MARGIN = 1.01
# A prepared polygon answers in logarithmic time, but from scattered memory: with few corners it is the slower one
# (measured: 20,000 grids of 26 corners, 12.4 against 8.8 µs a point on a busy machine).
_CORNERS_PREPARED_MIN = 100


class PolygonIndex:
    """Immutable index over WGS-84 polygons; a polygon's number is its place in the given sequence.

    Give the polygons in the order in which they win: where several contain a point, the first one does. Safe to share
    between threads. Building is blocking work: do it off the event loop.
    """

    def __init__(self, polygons: Sequence[shapely.Geometry] | Geometries) -> None:
        self._degrees: Geometries = np.array(polygons, dtype=object)
        self._metres, self._east, self._north = in_metres(self._degrees)
        large = shapely.get_num_coordinates(self._degrees) > _CORNERS_PREPARED_MIN
        shapely.prepare(self._degrees[large])
        shapely.prepare(self._metres[large])
        self._tree = shapely.STRtree(self._degrees)
        self._interior = Interior(self._degrees, self._tree)
        # Answers of one polygon each, made once; the last is for -1, of which the raster says nothing
        self._single: list[tuple[int, ...]] = [*((number,) for number in range(len(self._degrees))), ()]

    def __len__(self) -> int:
        return len(self._degrees)

    def polygons(self, numbers: Sequence[int]) -> Geometries:
        """Some of the polygons, as given."""
        chosen: Geometries = self._degrees[np.asarray(numbers, np.intp)]
        return chosen

    def candidates(self, lng: ArrayLike, lat: ArrayLike, radius_m: ArrayLike) -> list[tuple[int, ...]]:
        """For every point the polygons within `radius_m` metres of it, the one that it most likely lies in first.

        That is the first polygon that contains the point (its border included); where none does, the nearest one. The
        others follow by number. Empty where no polygon is that near. Three arrays of one length, WGS-84 degrees.
        """
        x, y, radius = (np.asarray(values, np.float64) for values in (lng, lat, radius_m))
        if not len(x) or not len(self):
            return [()] * len(x)
        alone = self._interior.alone(x, y, radius)
        found = [self._single[number] for number in alone.tolist()]
        if len(open_ := np.flatnonzero(alone < 0)):
            exact = self._exact(x[open_], y[open_], radius[open_])
            for place, near in zip(open_.tolist(), exact, strict=True):
                found[place] = near
        return found

    def _exact(self, x: Array, y: Array, radius: Array) -> list[tuple[int, ...]]:
        points, polygons, inside = self._within(x, y, radius)
        order = np.lexsort((polygons, points))
        points, polygons, inside = points[order], polygons[order], inside[order]
        bounds: list[int] = np.searchsorted(points, np.arange(len(x) + 1)).tolist()
        numbers: list[int] = polygons.tolist()
        found: list[tuple[int, ...]] = [tuple(numbers[start:end]) for start, end in pairwise(bounds)]
        # Nearly every point lies in the first or only polygon near it; the rest is put in order one by one.
        starts = np.asarray(bounds[:-1])
        several = np.flatnonzero(np.diff(bounds) > 1)
        for place in several[~inside[starts[several]]].tolist():
            start, end = bounds[place], bounds[place + 1]
            hits = np.flatnonzero(inside[start:end])
            near = polygons[start:end]
            best = int(hits[0]) if len(hits) else int(np.argmin(self._distances(near, x[place], y[place])))
            found[place] = (found[place][best], *found[place][:best], *found[place][best + 1 :])
        return found

    def nearest(self, lng: ArrayLike, lat: ArrayLike) -> list[int | None]:
        """For every point the polygon that is nearest in degrees, None where there are no polygons."""
        points = shapely.points(np.asarray(lng, np.float64), np.asarray(lat, np.float64))
        if not len(self):
            return [None] * len(points)
        found: list[int | None] = self._tree.nearest(points).tolist()
        return found

    def _within(self, x: Array, y: Array, radius: Array) -> tuple[Positions, Positions, NDArray[np.bool_]]:
        """Pairs (point, polygon) not farther apart than the point's radius, and whether the polygon contains it."""
        east, north = metres_per_degree(y)
        width, height = radius * _BOX_MARGIN / east, radius * _BOX_MARGIN / north
        boxes = shapely.box(x - width, y - height, x + width, y + height)
        points, polygons = self._tree.query(boxes)
        inside = shapely.intersects_xy(self._degrees[polygons], x[points], y[points])
        outside = np.flatnonzero(~inside)
        outer_points, outer_polygons = points[outside], polygons[outside]
        near = shapely.dwithin(
            self._metres[outer_polygons],
            shapely.points(x[outer_points] * self._east[outer_polygons], y[outer_points] * self._north[outer_polygons]),
            radius[outer_points],
        )
        keep = inside.copy()
        keep[outside] = near
        return points[keep], polygons[keep], inside[keep]

    def _distances(self, polygons: Positions, x: float, y: float) -> Array:
        """Metres from one point to some polygons."""
        points = shapely.points(x * self._east[polygons], y * self._north[polygons])
        distances: Array = shapely.distance(self._metres[polygons], points)
        return distances
