"""A map lies in China, or its coordinates aren't what it says: none comes in at the equator or in a town's metres."""

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely

from shared.cli.area_files import Columns, read_areas
from shared.cli.map_projections import AreaFileError
from shared.geo.checks import outside_china
from shared.synthetic.city import city

COLUMNS = Columns("code", "name")
DEGREES = shapely.box(120.1, 30.2, 120.11, 30.21)


def shapefile(folder: Path, drawn: shapely.Geometry, crs: str | None) -> Path:
    path = folder / "map.shp"
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array([drawn], dtype=object)),
        field_data=[np.array(["A"], dtype=object), np.array(["格"], dtype=object)],
        fields=np.array(["code", "name"]),
        geometry_type="Polygon",
        crs="EPSG:4490" if crs is None else crs,
    )
    if crs is None:
        path.with_suffix(".prj").unlink()
    return path


@pytest.mark.parametrize("crs", ["EPSG:4549", "EPSG:32650", "EPSG:3857", "EPSG:2437"])
def test_degrees_under_a_system_of_metres_are_refused(tmp_path: Path, crs: str) -> None:
    found = read_areas(shapefile(tmp_path, DEGREES, crs), COLUMNS)
    [(code, why)] = found.invalid
    assert (found.areas, code) == ([], "A")
    assert "outside China" in why and ".prj" in why and "doesn't fit the coordinates" in why and crs in why


def test_degrees_that_have_no_way_through_are_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(AreaFileError, match=r"look like degrees: the \.prj.* says EPSG:4528, doesn't fit"):
        read_areas(shapefile(tmp_path, DEGREES, "EPSG:4528"), COLUMNS)


@pytest.mark.parametrize(
    "drawn", [shapely.box(10, 20, 40, 50), shapely.box(0, 0, 0.01, 0.01), shapely.box(-120.1, 30.2, -120.0, 30.3)]
)
def test_what_may_be_degrees_but_not_of_china_is_refused(tmp_path: Path, drawn: shapely.Geometry) -> None:
    for crs, said in ((None, "states no coordinate system"), ("EPSG:4490", "EPSG:4490, doesn't fit")):
        found = read_areas(shapefile(tmp_path, drawn, crs), COLUMNS)
        [(_, why)] = found.invalid
        assert found.areas == [] and "outside China" in why and said in why, why


def test_metres_under_a_system_of_degrees_do_not_lack_a_system(tmp_path: Path) -> None:
    found = read_areas(shapefile(tmp_path, shapely.box(500_000, 3_300_000, 501_000, 3_301_000), "EPSG:4490"), COLUMNS)
    [(_, why)] = found.invalid
    assert "EPSG:4490, doesn't fit" in why and "states no" not in why


def test_what_reprojects_to_nearly_nothing_is_refused(tmp_path: Path) -> None:
    found = read_areas(
        shapefile(tmp_path, shapely.box(500_000, 3_350_000, 500_000.01, 3_350_000.01), "EPSG:4549"), COLUMNS
    )
    assert found.areas == [] and "less than a square metre" in found.invalid[0][1]


def test_the_demo_city_and_the_corners_of_the_country_are_inside() -> None:
    assert not any(outside_china(area.polygon) for area in city() if area.polygon is not None)
    for lng, lat in ((73.6, 39.5), (135.0, 48.3), (123.3, 53.5), (112.3, 3.9)):
        assert not outside_china(shapely.box(lng, lat, lng + 0.01, lat + 0.01))
