"""The index answers exactly what asking every polygon would, and is symmetrical at borders."""

from functools import cache

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.geo.index import PolygonIndex
from shared.geo.interior import MARGIN_M
from shared.geo.metres import metres_per_degree, square_metres
from shared.synthetic.city import grids, random_places

LNG, LAT = 120.5, 30.3
EAST, NORTH = (float(scale) for scale in metres_per_degree(LAT))


def square(x_m: float, y_m: float, width_m: float, height_m: float) -> shapely.Polygon:
    """A box by metres from a place in Qiantang."""
    west, south = LNG + x_m / EAST, LAT + y_m / NORTH
    return shapely.box(west, south, west + width_m / EAST, south + height_m / NORTH)


def at(x_m: float, y_m: float) -> tuple[float, float]:
    return LNG + x_m / EAST, LAT + y_m / NORTH


def brute_force(polygons: list[shapely.Geometry], lng: float, lat: float, radius_m: float) -> tuple[int, ...]:
    """All polygons one by one: the containing first, else the nearest, then by number."""
    distances = []
    for polygon in polygons:
        east, north = metres_per_degree((polygon.bounds[1] + polygon.bounds[3]) / 2)
        inside = polygon.intersects(shapely.Point(lng, lat))
        flat = shapely.transform(polygon, lambda xy, east=east, north=north: xy * [east, north])
        distances.append(0.0 if inside else flat.distance(shapely.Point(lng * east, lat * north)))
    near = [n for n, distance in enumerate(distances) if distance <= radius_m]
    if not near:
        return ()
    first = min(near, key=lambda n: (distances[n], n))
    return (first, *(n for n in near if n != first))


@cache
def of_the_city() -> PolygonIndex:
    return PolygonIndex([area.polygon for area in grids()])


def ask(index: PolygonIndex, point: tuple[float, float], radius_m: float) -> tuple[int, ...]:
    return index.candidates([point[0]], [point[1]], [radius_m])[0]


boxes = st.tuples(st.integers(0, 900), st.integers(0, 900), st.integers(20, 400), st.integers(20, 400))
spots = st.tuples(st.integers(-100, 1400), st.integers(-100, 1400), st.sampled_from([0.0, 5.0, 20.0, 65.5, 200.0]))


@given(st.lists(boxes, min_size=1, max_size=12), st.lists(spots, min_size=1, max_size=12))
def test_overlapping_boxes_equal_brute_force(
    cells: list[tuple[int, int, int, int]], points: list[tuple[int, int, float]]
) -> None:
    polygons = [square(*cell) for cell in cells]
    places = [(*at(x, y), radius) for x, y, radius in points]
    found = PolygonIndex(polygons).candidates(*zip(*places, strict=True))
    assert found == [brute_force(polygons, *place) for place in places]


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 10_000))
def test_the_demo_city_equals_brute_force(seed: int) -> None:
    polygons = [area.polygon for area in grids()]
    radii = np.random.default_rng(seed).choice([0.0, 10.0, MARGIN_M, 50.0, 200.0], 12)
    places = [(place.lng, place.lat, radius) for place, radius in zip(random_places(12, seed), radii, strict=True)]
    found = of_the_city().candidates(*zip(*places, strict=True))
    assert found == [brute_force(polygons, *place) for place in places]


def test_most_places_of_the_city_are_known_before_they_are_asked_for() -> None:
    """By the raster, which says nothing of the others: these are asked of the tree."""
    index, places = of_the_city(), random_places(2_000, 3)
    x, y = np.array([place.lng for place in places]), np.array([place.lat for place in places])
    alone = index._interior.alone(x, y, np.full(len(x), 5.0))
    assert np.mean(alone >= 0) > 0.6
    assert index._exact(x, y, np.full(len(x), 5.0)) == index.candidates(x, y, np.full(len(x), 5.0))
    vague = np.full(len(x), MARGIN_M + 0.1)
    assert np.all(index._interior.alone(x, y, vague) == -1), "a wider circle may reach over a border"


def test_the_raster_knows_nothing_outside_and_of_nothing() -> None:
    far, zero = np.array([0.0, 179.0]), np.zeros(2)
    assert of_the_city()._interior.alone(far, far, zero).tolist() == [-1, -1]
    assert PolygonIndex([])._interior.alone(far, far, zero).tolist() == [-1, -1]
    assert PolygonIndex([shapely.Point(1, 1)])._interior.alone(far, far, zero).tolist() == [-1, -1]


@given(st.floats(0.5, 199.0), st.floats(0.0, 199.0))
def test_ambiguity_is_symmetrical(distance_m: float, radius_m: float) -> None:
    index = PolygonIndex([square(-500, 0, 500, 800), square(0, 0, 500, 800)])
    west, east = (ask(index, at(x, 400), radius_m) for x in (-distance_m, distance_m))
    if abs(distance_m - radius_m) > 0.2:  # scales of neighbours differ in the fifth digit
        expected = ((0, 1), (1, 0)) if radius_m > distance_m else ((0,), (1,))
        assert (west, east) == expected


def test_a_corner_names_all_neighbours() -> None:
    index = PolygonIndex([square(x, y, 300, 300) for x in (0, 300) for y in (0, 300)])
    assert ask(index, at(290, 290), 20) == (0, 1, 2, 3)
    assert ask(index, at(310, 310), 20) == (3, 0, 1, 2)
    # To the far corner it is 14.1 m: a box of 14 m would reach it, the circle doesn't.
    assert ask(index, at(290, 290), 14) == (0, 1, 2)
    assert ask(index, at(290, 290), 9) == (0,)


def test_a_point_on_the_border_lies_in_both() -> None:
    index = PolygonIndex([shapely.box(120.5, 30.3, 120.51, 30.31), shapely.box(120.51, 30.3, 120.52, 30.31)])
    assert ask(index, (120.51, 30.305), 0) == (0, 1)


def test_where_real_data_overlap_the_first_wins_and_the_rest_are_named() -> None:
    index = PolygonIndex([square(0, 0, 300, 300), square(200, 0, 300, 300), square(250, 0, 300, 300)])
    assert ask(index, at(280, 100), 0) == (0, 1, 2)
    assert ask(index, at(400, 100), 0) == (1, 2)


def test_outside_all_the_nearest_within_the_circle_comes_first() -> None:
    index = PolygonIndex([square(0, 0, 300, 300), square(330, 0, 300, 300)])
    assert ask(index, at(320, 100), 25) == (1, 0)
    assert ask(index, at(320, 100), 15) == (1,)
    assert ask(index, at(320, 100), 5) == ()


def test_nothing_asked_and_nothing_indexed() -> None:
    assert PolygonIndex([square(0, 0, 300, 300)]).candidates([], [], []) == []
    assert PolygonIndex([]).candidates([120.0], [30.0], [10.0]) == [()]


def test_areas_are_square_metres() -> None:
    assert square_metres(np.array([square(0, 0, 300, 200)], dtype=object)) == pytest.approx([60_000], rel=1e-3)
