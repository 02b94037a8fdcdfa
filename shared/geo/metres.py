"""Metres and square metres near a latitude: a flat plane of its own for every place."""

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Geometries = NDArray[np.object_]


def metres_per_degree(lat: ArrayLike) -> tuple[Array, Array]:
    """Metres of one degree of longitude and of latitude at latitudes in degrees, on the WGS-84 ellipsoid."""
    phi = np.radians(np.asarray(lat, np.float64))
    east = 111412.84 * np.cos(phi) - 93.5 * np.cos(3 * phi) + 0.118 * np.cos(5 * phi)
    north = 111132.92 - 559.82 * np.cos(2 * phi) + 1.175 * np.cos(4 * phi)
    return east, north


def in_metres(geometries: Geometries) -> tuple[Geometries, Array, Array]:
    """Copies of WGS-84 geometries in metres, each scaled at the middle of its own bounds, and the two scales of each.

    Within a few kilometres of a geometry lengths are right to 0.1 %; areas are exact enough to compare (0.1 %).
    """
    bounds = shapely.bounds(geometries)
    east, north = metres_per_degree((bounds[:, 1] + bounds[:, 3]) / 2)
    counts = shapely.get_num_coordinates(geometries)
    coordinates = shapely.get_coordinates(geometries)
    coordinates[:, 0] *= np.repeat(east, counts)
    coordinates[:, 1] *= np.repeat(north, counts)
    return shapely.set_coordinates(geometries.copy(), coordinates), east, north


def square_metres(geometries: Geometries) -> Array:
    """Areas of WGS-84 polygons; 0 for empty ones."""
    east, north = metres_per_degree(np.nan_to_num(shapely.get_y(shapely.centroid(geometries))))
    areas: Array = shapely.area(geometries) * east * north
    return areas
