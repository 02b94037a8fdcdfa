"""Broken polygons are repaired or refused; overlaps and holes are found with their size."""

import numpy as np
import pytest
import shapely

from shared.geo import checks
from shared.geo.metres import metres_per_degree
from shared.synthetic.city import grids

EAST, NORTH = (float(scale) for scale in metres_per_degree(30.3))


def box(x_m: float, y_m: float, width_m: float, height_m: float) -> shapely.Polygon:
    west, south = 120.5 + x_m / EAST, 30.3 + y_m / NORTH
    return shapely.box(west, south, west + width_m / EAST, south + height_m / NORTH)


def test_a_bow_tie_is_repaired_and_reported() -> None:
    repaired, problem = checks.repair(shapely.from_wkt("POLYGON((0 0, 2 2, 2 0, 0 2, 0 0))"))
    assert problem is not None and "Self-intersection" in problem
    assert repaired.is_valid and repaired.geom_type == "MultiPolygon"
    assert repaired.area == pytest.approx(2)


def test_what_is_left_besides_polygons_is_dropped() -> None:
    # A spike: make_valid gives a polygon and a line.
    repaired, problem = checks.repair(shapely.from_wkt("POLYGON((0 0, 1 0, 1 1, 1 3, 1 1, 0 1, 0 0))"))
    assert problem is not None
    assert repaired.geom_type == "Polygon"
    assert repaired.area == pytest.approx(1)


@pytest.mark.parametrize(
    "wkt",
    ["POINT(1 1)", "LINESTRING(0 0, 1 1)", "POLYGON EMPTY", "POLYGON((0 0, 1 1, 2 2, 0 0))", "MULTIPOINT(0 0, 1 1)"],
)
def test_nothing_with_an_area_is_refused(wkt: str) -> None:
    with pytest.raises(ValueError):
        checks.repair(shapely.from_wkt(wkt))


def test_valid_polygons_stay_as_they_are_but_flat() -> None:
    polygon, problem = checks.repair(shapely.from_wkt("POLYGON Z((0 0 5, 1 0 5, 1 1 5, 0 0 5))"))
    assert problem is None
    assert not polygon.has_z


@pytest.mark.parametrize("corner", [(500_000.0, 3_300_000.0), (30.3, 120.5), (181.0, 0.0), (float("nan"), 30.0)])
def test_coordinates_that_are_no_degrees(corner: tuple[float, float]) -> None:
    assert checks.out_of_range(shapely.LineString([(120.0, 30.0), corner]))
    assert not checks.out_of_range(box(0, 0, 100, 100))


def test_overlaps_are_named_with_their_size() -> None:
    found = checks.overlaps([box(0, 0, 100, 100), box(90, 0, 100, 100), box(190, 0, 100, 100), box(20, 20, 10, 10)])
    assert [(f.first, f.second) for f in found] == [(0, 1), (0, 3)]
    assert [f.square_metres for f in found] == pytest.approx([1000, 100], rel=1e-2)


def test_a_sliver_of_drawing_noise_is_no_overlap() -> None:
    assert checks.overlaps([box(0, 0, 100, 100), box(99.999, 0, 100, 100)]) == []


def test_holes_are_named_with_their_neighbours() -> None:
    around = [box(0, 0, 300, 100), box(0, 100, 100, 100), box(200, 100, 100, 100), box(0, 200, 300, 100)]
    (hole,) = checks.holes([*around, box(1000, 1000, 50, 50)])
    assert hole.square_metres == pytest.approx(10_000, rel=1e-2)
    assert hole.neighbours == (0, 1, 2, 3)
    assert box(100, 100, 100, 100).contains(shapely.Point(hole.lng, hole.lat))


def test_a_hole_filled_by_another_polygon_is_none() -> None:
    ring = box(0, 0, 300, 300).difference(box(100, 100, 100, 100))
    assert len(checks.holes([ring])) == 1
    assert checks.holes([ring, box(100, 100, 100, 100)]) == []


def test_the_demo_city_has_neither() -> None:
    polygons = np.array([area.polygon for area in grids()], dtype=object)
    assert checks.overlaps(polygons) == []
    assert checks.holes(polygons) == []
