"""Files as cities have them: GBK Shapefiles, projected coordinates, zips, broken polygons."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely

from shared.cli.area_files import Columns, FileArea, check, chunks, read_areas
from shared.cli.map_projections import AreaFileError
from shared.synthetic.city import city, feature_collection, grids

COLUMNS = Columns("code", "name")
CHINESE = Columns("代码", "名称")


def shapefile(
    folder: Path, *, crs: str | None, encoding: str = "UTF-8", keep_cpg: bool = True, corner: tuple[float, float]
) -> Path:
    """One square of a hundredth of a degree, or a kilometre, with Chinese field names."""
    side = 0.01 if corner[0] < 180 else 1_000
    square = shapely.box(corner[0], corner[1], corner[0] + side, corner[1] + side)
    path = folder / "网格.shp"
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array([square], dtype=object)),
        field_data=[np.array([330114001001001.0]), np.array(["头格社区第一网格"], dtype=object)],
        fields=np.array(["代码", "名称"]),
        geometry_type="Polygon",
        crs=crs,
        encoding=encoding,
    )
    if not keep_cpg:
        path.with_suffix(".cpg").unlink()
    return path


def geojson(folder: Path, *features: dict[str, Any]) -> Path:
    path = folder / "areas.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False), "utf-8")
    return path


def feature(code: str, wkt: str, **properties: Any) -> dict[str, Any]:
    geometry = json.loads(shapely.to_geojson(shapely.from_wkt(wkt)))
    return {"type": "Feature", "properties": {"code": code, "name": code, **properties}, "geometry": geometry}


def test_the_demo_city_comes_through_whole(tmp_path: Path) -> None:
    path = tmp_path / "city.geojson"
    path.write_text(json.dumps(feature_collection(city())), "utf-8")
    found = read_areas(path, Columns("code", "name", "parent_code", "level"))
    assert (len(found.areas), found.invalid, found.repaired) == (len(city()), [], [])
    assert all(area.fictional for area in found.areas)
    assert check(found.areas, "grid") == ([], [])
    sent = [row for chunk in chunks(found.areas, "grid") for row in chunk]
    assert [row["properties"]["code"] for row in sent] == [area.code for area in city()]
    assert max(len(chunk) for chunk in chunks(found.areas, "grid")) <= 500


@pytest.mark.parametrize(("encoding", "keep_cpg"), [("UTF-8", True), ("GBK", True), ("GBK", False), ("UTF-8", False)])
@pytest.mark.parametrize("zipped", [None, "", "2026/网格/"])
def test_shapefiles_in_gbk_with_or_without_a_word_about_it(
    tmp_path: Path, encoding: str, keep_cpg: bool, zipped: str | None
) -> None:
    path = shapefile(tmp_path, crs="EPSG:4490", encoding=encoding, keep_cpg=keep_cpg, corner=(120.5, 30.3))
    if zipped is not None:
        parts = list(tmp_path.glob("网格.*"))
        path = tmp_path / "areas.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for part in parts:
                archive.write(part, zipped + part.name)
                archive.write(part, f"__MACOSX/{zipped}._{part.name}")
    found = read_areas(path, CHINESE)
    assert [(area.code, area.name) for area in found.areas] == [("330114001001001", "头格社区第一网格")]
    assert not found.reprojected
    assert found.areas[0].polygon.bounds == pytest.approx((120.5, 30.3, 120.51, 30.31), abs=1e-9)


def test_gauss_krueger_metres_are_reprojected(tmp_path: Path) -> None:
    # CGCS2000, zone 40: 500 km east is the meridian of 120 degrees.
    path = shapefile(tmp_path, crs="EPSG:4528", encoding="GBK", keep_cpg=False, corner=(40_500_000, 3_350_000))
    found = read_areas(path, CHINESE)
    assert found.reprojected and not any("datum" in warning for warning in found.warnings)
    west, south, east, north = found.areas[0].polygon.bounds
    assert (west, south) == pytest.approx((120.0, 30.27), abs=0.01)
    assert (east - west, north - south) == pytest.approx((0.0104, 0.0090), abs=1e-4)
    assert found.areas[0].name == "头格社区第一网格"


def test_an_old_datum_is_warned_about_and_metres_without_a_word_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    old = read_areas(shapefile(tmp_path / "a", crs="EPSG:2383", corner=(500_000, 3_350_000)), CHINESE)
    assert "older datum" in old.warnings[0]
    metres = shapefile(tmp_path, crs=None, corner=(40_500_000, 3_350_000))
    silent = read_areas(metres, CHINESE)
    assert silent.areas == [] and "--crs EPSG:4528" in silent.invalid[0][1]
    named = read_areas(metres, CHINESE, crs="EPSG:4528")
    assert named.reprojected and named.invalid == []
    west, south, _, _ = named.areas[0].polygon.bounds
    assert (west, south) == pytest.approx((120.0, 30.27), abs=0.01)


def test_invalid_ones_are_named_and_repairable_ones_repaired(tmp_path: Path) -> None:
    found = read_areas(
        geojson(
            tmp_path,
            feature("A", "POLYGON((120 30, 120.02 30.02, 120.02 30, 120 30.02, 120 30))"),
            feature("B", "POLYGON((120 30, 120.01 30, 120.02 30, 120 30))"),
            feature("C", "LINESTRING(120 30, 121 30)"),
            feature("D", "POLYGON((120.1 30, 120.2 30, 120.2 30.1, 120.1 30))"),
            feature("D", "POLYGON((120.3 30, 120.4 30, 120.4 30.1, 120.3 30))"),
            feature("", "POLYGON((120.5 30, 120.6 30, 120.6 30.1, 120.5 30))"),
        ),
        COLUMNS,
    )
    assert [area.code for area in found.areas] == ["A"]
    [(code, change)] = found.repaired
    assert code == "A"
    # a bow tie drawn in one stroke has no area of its own; what is left are its two triangles
    assert re.search(r"Self-intersection.*: 0\.0 → 2,1\d\d,\d{3}\.\d m², 5 → 8 corners, 1 → 2 parts", change), change
    assert sorted(code for code, _ in found.invalid) == ["B", "C", "D", "row 6"]


def test_overlaps_and_holes_are_named_by_code(tmp_path: Path) -> None:
    ring = (
        "POLYGON((120 30, 120.03 30, 120.03 30.03, 120 30.03, 120 30),"
        " (120.01 30.01, 120.02 30.01, 120.02 30.02, 120.01 30.01))"
    )
    found = read_areas(
        geojson(tmp_path, feature("A", ring), feature("B", "POLYGON((120.02 30, 120.05 30, 120.05 30.01, 120.02 30))")),
        COLUMNS,
    )
    overlaps, holes = check(found.areas, "grid")
    assert [(first, second) for first, second, _ in overlaps] == [("A", "B")]
    assert [codes for _, codes in holes] == [["A"]]


def test_wrong_names_are_shown_with_the_right_ones(tmp_path: Path) -> None:
    path = geojson(tmp_path, feature("A", "POLYGON((120 30, 120.1 30, 120.1 30.1, 120 30))"))
    with pytest.raises(AreaFileError, match="no field 网格编码; the file has code, name"):
        read_areas(path, Columns("网格编码", "name"))
    with pytest.raises(AreaFileError, match="no layer x"):
        read_areas(path, COLUMNS, layer="x")
    with pytest.raises(AreaFileError, match="no such file"):
        read_areas(tmp_path / "none.shp", COLUMNS)
    (tmp_path / "bad.geojson").write_text("{")
    with pytest.raises(AreaFileError, match="no map that can be read"):
        read_areas(tmp_path / "bad.geojson", COLUMNS)


def test_large_polygons_make_smaller_chunks() -> None:
    rows = grids()[:3]
    dense = [shapely.segmentize(area.polygon, 1e-7) for area in rows]
    areas = [FileArea(a.code, a.name, None, None, True, p) for a, p in zip(rows, dense, strict=True)]
    assert len(list(chunks(areas, "grid"))) == 3


def test_a_ring_that_is_not_closed_is_closed_and_reported(tmp_path: Path) -> None:
    good = feature("A", "POLYGON((120 30, 120.01 30, 120.01 30.01, 120 30))")
    unclosed, nan = feature("B", "POLYGON((121 30, 121.01 30, 121.01 30.01, 121 30))"), feature("C", "POINT(1 1)")
    unclosed["geometry"]["coordinates"][0].pop()
    nan["geometry"] = {"type": "Polygon", "coordinates": [[[120, 30], [float("nan"), 30], [120, 31], [120, 30]]]}
    swapped = feature("D", "POLYGON((30 120, 30.01 120, 30.01 120.01, 30 120))")
    long_name = feature("E", "POLYGON((122 30, 122.01 30, 122.01 30.01, 122 30))", name="长" * 201)
    found = read_areas(geojson(tmp_path, good, unclosed, nan, swapped, long_name), COLUMNS)
    assert [area.code for area in found.areas] == ["A", "B"]
    assert found.areas[1].polygon is not None and found.areas[1].polygon.area > 0
    assert found.repaired == [("B", "a ring did not end where it begins: closed")]
    reasons = dict(found.invalid)
    assert reasons.keys() == {"C", "D", "E"}
    assert "exchanged" in reasons["D"] and "200 characters" in reasons["E"]


def test_a_shapefile_without_its_companions_is_refused(tmp_path: Path) -> None:
    made = shapefile(tmp_path, crs="EPSG:4490", corner=(120.5, 30.3))
    alone = tmp_path / "alone.zip"
    with zipfile.ZipFile(alone, "w") as archive:
        archive.write(made, made.name)
    with pytest.raises(AreaFileError, match=r"no \.shx and no \.dbf"):
        read_areas(alone, CHINESE)
    made.with_suffix(".dbf").unlink()
    with pytest.raises(AreaFileError, match=r"has no \.dbf"):
        read_areas(made, CHINESE)


def test_a_zip_with_maps_in_several_folders_is_refused_with_their_names(tmp_path: Path) -> None:
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for folder in ("2025", "2026"):
            archive.writestr(f"{folder}/areas.geojson", '{"type": "FeatureCollection", "features": []}')
    with pytest.raises(AreaFileError, match=r"several folders: 2025/areas.geojson, 2026/areas.geojson"):
        read_areas(path, COLUMNS)
