"""A raster of the places for which the answer is known before anybody asks: deep inside one polygon, near no other."""

import numpy as np
import shapely
from numpy.typing import NDArray

from shared.geo.metres import Array, Geometries, metres_per_degree

MARGIN_M = 15.0
"""For circles up to this radius; a phone in the street is rarely vaguer."""
CELLS_MAX = 300_000
"""A cell costs 3 µs to make and 4 bytes to keep: a second and a megabyte for a city of any size."""
CELLS_PER_POLYGON_MAX = 256
_MARGIN = 1.01
"""Boxes are a little wider than the margin: scales differ by polygon, and places are rounded to cells."""
Numbers = NDArray[np.int32]


class Interior:
    """Immutable. Built from polygons in WGS-84 degrees and a tree over them, their numbers those of the tree."""

    def __init__(self, polygons: Geometries, tree: shapely.STRtree) -> None:
        self._west, self._south, self._size = 0.0, 0.0, 0.0
        self._alone: Numbers = np.empty((0, 0), np.int32)
        bounds = shapely.total_bounds(polygons) if len(polygons) else np.full(4, np.nan)
        west, south, east, north = (float(value) for value in bounds)
        extent = (east - west) * (north - south)
        if not extent > 0:  # nothing, or nothing with an area: NaN isn't above 0 either
            return
        size = (extent / min(CELLS_MAX, CELLS_PER_POLYGON_MAX * len(polygons))) ** 0.5
        self._west, self._south, self._size = west, south, size
        columns, rows = int((east - west) / size) + 1, int((north - south) / size) + 1
        self._alone = _alone(polygons, tree, west + np.arange(columns) * size, south + np.arange(rows) * size, size)

    def alone(self, x: Array, y: Array, radius_m: Array) -> Numbers:
        """For every place the only polygon that its circle reaches, which contains the circle; -1 where the raster
        doesn't know. Three arrays of one length, WGS-84 degrees, no NaN in the places."""
        rows, columns = self._alone.shape
        if not rows:
            return np.full(len(x), -1, np.int32)
        column = np.floor((x - self._west) / self._size).astype(np.intp)
        row = np.floor((y - self._south) / self._size).astype(np.intp)
        known = (radius_m <= MARGIN_M) & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        found: Numbers = self._alone[np.where(known, row, 0), np.where(known, column, 0)]
        return np.where(known, found, np.int32(-1))


def _alone(polygons: Geometries, tree: shapely.STRtree, x: Array, y: Array, size: float) -> Numbers:
    """The polygon that covers each cell and its margin, where no other one reaches in; -1 elsewhere."""
    east, north = metres_per_degree(y + size)
    wide, high = _MARGIN * MARGIN_M / np.minimum(east, metres_per_degree(y)[0]), _MARGIN * MARGIN_M / north
    west, south = np.meshgrid(x, y)
    wide, high = wide[:, np.newaxis], high[:, np.newaxis]
    boxes = shapely.box(west - wide, south - high, west + size + wide, south + size + high).ravel()
    cells, numbers = tree.query(boxes, predicate="intersects")
    single = np.bincount(cells, minlength=len(boxes))[cells] == 1
    cells, numbers = cells[single], numbers[single]
    covered = shapely.covers(polygons[numbers], boxes[cells])
    alone: Numbers = np.full(len(boxes), -1, np.int32)
    alone[cells[covered]] = numbers[covered]
    return alone.reshape(len(y), len(x))
