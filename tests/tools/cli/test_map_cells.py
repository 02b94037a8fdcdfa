"""Files and cells that had ended in a traceback, or in a code that nobody gave."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely

from shared.cli.area_files import Columns, check_tree, read_areas
from shared.cli.map_projections import AreaFileError

COLUMNS = Columns("code", "name")
SQUARE = shapely.box(120.5, 30.3, 120.51, 30.31)


def geojson(folder: Path, *properties: dict[str, Any]) -> Path:
    geometry = json.loads(shapely.to_geojson(SQUARE))
    features = [{"type": "Feature", "properties": {"name": "格", **one}, "geometry": geometry} for one in properties]
    path = folder / "map.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    return path


def test_a_level_in_other_words_is_a_line_in_the_list(tmp_path: Path) -> None:
    path = geojson(
        tmp_path,
        {"code": "A", "level": " Grid ", "up": "S1"},
        {"code": "B", "level": "网格", "up": "S1"},
        {"code": "S1", "level": "street", "up": None},
    )
    found = read_areas(path, Columns("code", "name", "up", "level"))
    assert [(area.code, area.level) for area in found.areas] == [("A", "grid"), ("S1", "street")]
    assert found.invalid == [("row 2", "level '网格' is none of city, district, street, community, grid")]
    assert check_tree(found.areas, "grid") == []


def test_a_table_without_a_map_is_named(tmp_path: Path) -> None:
    path = tmp_path / "areas.csv"
    path.write_text("code,name\nA,b\n", "utf-8")
    with pytest.raises(AreaFileError, match="a table without a map"):
        read_areas(path, COLUMNS)


@pytest.mark.parametrize("kind", ["shp", "geojson"])
def test_a_zip_with_a_password_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "map.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for ending in ("shp", "shx", "dbf", "cpg") if kind == "shp" else (kind,):
            archive.writestr(f"map.{ending}", b"x")
    packed = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = packed.find(mark)
        while place >= 0:
            packed[place + at] |= 1
            place = packed.find(mark, place + 1)
    path.write_bytes(packed)
    with pytest.raises(AreaFileError, match="has a password"):
        read_areas(path, COLUMNS)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_missing_code_is_none_in_every_kind_of_number(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "map.gpkg"
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array([SQUARE, SQUARE], dtype=object)),
        field_data=[np.array([330102, np.nan], dtype=kind), np.array(["格", "格"], dtype=object)],
        fields=np.array(["code", "name"]),
        geometry_type="Polygon",
        crs="EPSG:4490",
    )
    found = read_areas(path, COLUMNS)
    assert [area.code for area in found.areas] == ["330102"]
    [(row, why)] = found.invalid
    assert row == "row 2" and "empty" in why


def test_a_short_number_that_lost_digits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array([SQUARE], dtype=object)),
        field_data=[np.array([330102001], dtype=np.float32), np.array(["格"], dtype=object)],
        fields=np.array(["code", "name"]),
        geometry_type="Polygon",
        crs="EPSG:4490",
    )
    found = read_areas(path, COLUMNS)
    assert found.areas == [] and "store codes as text" in found.invalid[0][1]


@pytest.mark.parametrize("said", [True, False])
def test_yes_or_no_is_no_code(tmp_path: Path, said: bool) -> None:
    found = read_areas(geojson(tmp_path, {"code": said}), COLUMNS)
    assert found.areas == [] and "is no code" in found.invalid[0][1]
