"""What desktops write beside a map, and what numbers lose on the way: right, or a message that says what to do."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely

from shared.cli.area_files import Columns, check_tree, read_areas
from shared.cli.map_encodings import stated_encoding
from shared.cli.map_projections import AreaFileError

COLUMNS = Columns("code", "name")
SQUARE = shapely.box(120.5, 30.3, 120.51, 30.31)


def shapefile(folder: Path, codes: Any, name: str = "頭格社區", encoding: str = "UTF-8", cpg: str | None = "") -> Path:
    """Squares beside each other; `cpg`: its words, None for none, "" as the library writes it."""
    squares = [shapely.transform(SQUARE, lambda xy, n=n: xy + np.array([0.01 * n, 0])) for n in range(len(codes))]
    path = folder / "map.shp"
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array(squares, dtype=object)),
        field_data=[np.asarray(codes), np.array([name] * len(codes), dtype=object)],
        fields=np.array(["code", "name"]),
        geometry_type="Polygon",
        crs="EPSG:4490",
        encoding=encoding,
    )
    beside = path.with_suffix(".cpg")
    if cpg is None:
        beside.unlink()
    elif cpg:
        beside.write_text(cpg, "utf-8")
    return path


def geojson(folder: Path, codes: list[Any], **more: list[Any]) -> Path:
    features = [
        {
            "type": "Feature",
            "properties": {"code": code, "name": "格", **{name: cells[n] for name, cells in more.items()}},
            "geometry": json.loads(
                shapely.to_geojson(shapely.transform(SQUARE, lambda xy, n=n: xy + np.array([0.01 * n, 0])))
            ),
        }
        for n, code in enumerate(codes)
    ]
    path = folder / "map.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    return path


@pytest.mark.parametrize("code", [330114001001001, 9007199254740991])
@pytest.mark.parametrize("kind", [np.float64, np.int64])
def test_numbers_that_a_table_holds_exactly_come_back_unchanged(tmp_path: Path, code: int, kind: type) -> None:
    found = read_areas(shapefile(tmp_path, np.array([code], dtype=kind)), COLUMNS)
    assert [area.code for area in found.areas] == [str(code)]


@pytest.mark.parametrize("code", [9007199254740993, 330114001001001000123])
def test_numbers_that_lost_digits_are_refused(tmp_path: Path, code: int) -> None:
    found = read_areas(shapefile(tmp_path, np.array([code], dtype=np.float64)), COLUMNS)
    assert found.areas == [] and "store codes as text" in found.invalid[0][1]


def test_long_numbers_in_geojson_are_whole_or_refused(tmp_path: Path) -> None:
    found = read_areas(geojson(tmp_path, [9007199254740993, 330114001001001]), COLUMNS)
    assert [area.code for area in found.areas] == ["9007199254740993", "330114001001001"]
    # a missing one makes floats of the whole column, and one beyond 64 bits makes some of the file
    for codes in ([9007199254740993, None], [33011400100100100012345, 1]):
        found = read_areas(geojson(tmp_path, codes), COLUMNS)
        assert [area.code for area in found.areas if area.code != "1"] == []
        assert any("store codes as text" in problem for _, problem in found.invalid), found.invalid


def test_a_parent_that_lost_digits_is_refused_too(tmp_path: Path) -> None:
    path = geojson(tmp_path, ["A", "B"], above=[9007199254740993.5e3, 1])
    found = read_areas(path, Columns("code", "name", "above"))
    assert [area.code for area in found.areas] == ["B"] and "row 1" in found.invalid[0][0]


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        ("936", "GB18030"),
        ("cp936", "GB18030"),
        ("ANSI 936", "GB18030"),
        ("OEM 936", "GB18030"),
        ("gb2312\r\n", "GB18030"),
        ("GBK", "GB18030"),
        ("950", "BIG5"),
        ("Big5", "BIG5"),
        ("ANSI 950", "BIG5"),
        ("65001", "UTF-8"),
        ("utf8", "UTF-8"),
        ("UTF8MB4", "UTF-8"),
        ("ISO-8859-1", "GB18030"),  # what programs write that know nothing
        ("1252", "UTF-8"),
        ("system", "GB18030"),
        (" \r\n", "GB18030"),
        ("\ufeff", "GB18030"),
        ("ANSI", "GB18030"),
        ("\ufeffUTF-8", "UTF-8"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_words_about_encodings_are_understood(tmp_path: Path, words: str, encoding: str, zipped: bool) -> None:
    path = shapefile(tmp_path, ["A"], encoding=encoding, cpg=words)
    if zipped:
        packed = tmp_path / "map.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            for part in tmp_path.glob("map.[!z]*"):
                archive.write(part, f"2026/{part.name}")
        path = packed
    found = read_areas(path, COLUMNS)
    assert [area.name for area in found.areas] == ["頭格社區"]
    assert any("no known encoding" in warning for warning in found.warnings) == (words == "system")


def test_the_byte_in_the_table_is_believed_where_nothing_else_says(tmp_path: Path) -> None:
    path = shapefile(tmp_path, ["A"], encoding="BIG5", cpg=None)
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    table[29] = 0x78
    path.with_suffix(".dbf").write_bytes(table)
    assert stated_encoding(path, "map").codec == "big5hkscs"
    assert read_areas(path, COLUMNS).areas[0].name == "頭格社區"


def test_a_guess_is_shown_with_a_way_out(tmp_path: Path) -> None:
    path = shapefile(tmp_path, ["A"], encoding="BIG5", cpg=None)
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    table[29] = 0
    path.with_suffix(".dbf").write_bytes(table)
    guessed = read_areas(path, COLUMNS)
    assert guessed.areas[0].name != "頭格社區"
    assert any(guessed.areas[0].name in warning and "--encoding big5" in warning for warning in guessed.warnings)
    assert read_areas(path, COLUMNS, encoding="big5").areas[0].name == "頭格社區"


def test_a_file_that_says_the_wrong_encoding_names_the_way_out(tmp_path: Path) -> None:
    path = shapefile(tmp_path, ["A"], encoding="GB18030", cpg="UTF-8")
    with pytest.raises(AreaFileError, match=r"not utf-8, as the file says.*--encoding, e\.g\. gb18030"):
        read_areas(path, COLUMNS)


LOCAL = 'LOCAL_CS["Hangzhou 2000",LOCAL_DATUM["city",0],UNIT["metre",1],AXIS["East",EAST],AXIS["North",NORTH]]'


def test_a_citys_own_system_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = shapefile(tmp_path, ["A"])
    path.with_suffix(".prj").write_text(LOCAL)
    with pytest.raises(AreaFileError, match=r"'Hangzhou 2000'.*has no known way.*EPSG:4490"):
        read_areas(path, COLUMNS)


@pytest.mark.parametrize(
    ("x", "crs"), [(40_500_000, "EPSG:4528"), (20_500_000, "EPSG:4498"), (500_000, "e.g. EPSG:4528")]
)
def test_metres_without_a_word_name_the_likely_system(tmp_path: Path, x: float, crs: str) -> None:
    path = shapefile(tmp_path, ["A"])
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array([shapely.box(x, 3_350_000, x + 1_000, 3_351_000)], dtype=object)),
        field_data=[np.array(["A"], dtype=object), np.array(["格"], dtype=object)],
        fields=np.array(["code", "name"]),
        geometry_type="Polygon",
        crs=None,
    )
    found = read_areas(path, COLUMNS)
    assert found.areas == [] and crs in found.invalid[0][1]


def test_a_code_that_stands_twice_is_named_with_its_rows(tmp_path: Path) -> None:
    found = read_areas(geojson(tmp_path, ["A", "B", "A", "C", "A"]), COLUMNS)
    assert [area.code for area in found.areas] == ["B", "C"]
    assert found.invalid == [("A", "the code stands more than once: rows 1, 3, 5")]


def test_an_empty_word_about_the_encoding_says_nothing(tmp_path: Path) -> None:
    path = shapefile(tmp_path, ["A"], encoding="GB18030")
    path.with_suffix(".cpg").write_bytes(b"")
    found = read_areas(path, COLUMNS)
    assert [area.name for area in found.areas] == ["頭格社區"]
    assert not any("no known encoding" in warning for warning in found.warnings)


def test_a_level_that_is_a_number_too_long_is_a_line_in_the_list(tmp_path: Path) -> None:
    found = read_areas(geojson(tmp_path, ["A", "B"], level=[2.0**60, None]), Columns("code", "name", level="level"))
    assert [area.code for area in found.areas] == ["B"]
    assert "too long to be exact" in found.invalid[0][1]


def test_parents_in_a_circle_are_named_before_anything_is_sent(tmp_path: Path) -> None:
    path = geojson(tmp_path, ["A1", "A2", "B", "C", "D"], up=["A2", "A1", "B", "A1", None])
    found = read_areas(path, Columns("code", "name", parent="up"))
    assert [code for code, why in check_tree(found.areas, "street") if "circle" in why] == ["A1", "A2", "B"]


@pytest.mark.parametrize("order", [("grid", "street"), ("street", "grid")])
@pytest.mark.parametrize("folder", ["", "2026/"])
def test_each_shapefile_of_a_zip_is_read_as_its_own_files_say(
    tmp_path: Path, order: tuple[str, str], folder: str
) -> None:
    made = {"grid": ("UTF-8", None), "street": ("GBK", "GBK")}
    packed = tmp_path / "maps.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for layer in order:
            (tmp_path / layer).mkdir()
            encoding, cpg = made[layer]
            path = shapefile(tmp_path / layer, ["A"], name="头格社区", encoding=encoding, cpg=cpg)
            for part in path.parent.glob("map.*"):
                archive.write(part, f"{folder}{layer}{part.suffix}")
    for layer in order:
        found = read_areas(packed, COLUMNS, layer=layer)
        assert [area.name for area in found.areas] == ["头格社区"], layer
        assert found.warnings == []


@pytest.mark.parametrize("place", [(43.8, 87.6), (30.3, 120.5), (18.2, 73.4), (53.5, 123.3)])
def test_exchanged_axes_are_named_wherever_in_the_country(tmp_path: Path, place: tuple[float, float]) -> None:
    def drawn(x: float, y: float) -> list[tuple[str, str]]:
        square = json.loads(shapely.to_geojson(shapely.box(x, y, x + 0.01, y + 0.01)))
        path = geojson(tmp_path, ["A"])
        whole = json.loads(path.read_text("utf-8"))
        whole["features"][0]["geometry"] = square
        path.write_text(json.dumps(whole), "utf-8")
        return read_areas(path, COLUMNS).invalid

    assert drawn(*place) == [("A", "longitude and latitude look exchanged: longitude comes first")]
    assert drawn(place[1], place[0]) == []


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (True, True), (False, False), (None, False), (1, True), (0, False), ("true", True), ("TRUE", True),
        ("false", False), ("False", False), ("", False), ("0", False), ("1", True), ("是", True), ("否", False),
        ("T", True), ("F", False), ("no", False),
    ],
)  # fmt: skip
def test_yes_and_no_are_read_as_they_are_meant(tmp_path: Path, said: object, meant: bool) -> None:
    found = read_areas(geojson(tmp_path, ["A"], fictional=[said]), COLUMNS)
    assert [area.fictional for area in found.areas] == [meant]
    # in one column with a word GDAL makes words of all
    found = read_areas(geojson(tmp_path, ["A", "B"], fictional=[said, "yes"]), COLUMNS)
    assert [area.fictional for area in found.areas] == [meant, True]


@pytest.mark.parametrize("said", [2, -1, 0.5, "maybe", "wahr", [], {"a": 1}, 10**30])
def test_what_is_neither_yes_nor_no_is_refused_with_its_row(tmp_path: Path, said: object) -> None:
    found = read_areas(geojson(tmp_path, ["A", "B"], fictional=[None, said]), COLUMNS)
    assert [area.code for area in found.areas] == ["A"]
    assert [where for where, _ in found.invalid] == ["row 2"]
    assert "write true or false" in found.invalid[0][1] or "too long" in found.invalid[0][1]


@pytest.mark.parametrize("number", [2**63, 2**63 + 1])
@pytest.mark.parametrize("where", ["id", "code", "other"])
def test_a_number_that_stops_the_reader_is_named(tmp_path: Path, number: int, where: str) -> None:
    path = geojson(tmp_path, ["A", "B"])
    whole = json.loads(path.read_text("utf-8"))
    feature = whole["features"][1]
    (feature if where == "id" else feature["properties"])[where] = number
    path.write_text(json.dumps(whole), "utf-8")
    with pytest.raises(AreaFileError, match=rf"{number} is a number too long to be exact \(line 1, .*as text"):
        read_areas(path, COLUMNS)
