"""A map whose .cpg is wrong, and files that aren't what they seem: a word, never garbled names or a traceback."""

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely

from shared.cli.area_files import Columns, read_areas
from shared.cli.map_projections import AreaFileError

COLUMNS = Columns("code", "name")
SIMPLE, TRADITIONAL = ["网格一", "清波街道", "湖滨"], ["網格一", "清波街道", "湖濱"]
SQUARE = shapely.box(120.5, 30.3, 120.51, 30.31)


def shapefile(folder: Path, encoding: str, names: list[str], cpg: str | None) -> Path:
    path = folder / "map.shp"
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array([SQUARE] * len(names), dtype=object)),
        field_data=[np.array([f"G{n}" for n in range(len(names))], dtype=object), np.array(names, dtype=object)],
        fields=np.array(["code", "name"]),
        geometry_type="Polygon",
        crs="EPSG:4490",
        encoding=encoding,
    )
    path.with_suffix(".cpg").unlink()
    if cpg is not None:
        path.with_suffix(".cpg").write_text(cpg)
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    table[29] = 0
    path.with_suffix(".dbf").write_bytes(table)
    return path


@pytest.mark.parametrize(
    ("written", "names", "cpg", "asked", "likelier"),
    [
        ("UTF-8", ["网格", "清波街道", "湖滨"], "GBK", None, "utf-8"),
        ("GBK", SIMPLE, "BIG5", None, "gb18030"),
        ("GBK", SIMPLE, None, "big5", "gb18030"),
        ("BIG5", TRADITIONAL, "GBK", None, "big5"),
        ("BIG5", TRADITIONAL, None, None, "big5"),
        ("BIG5", TRADITIONAL, None, "gb18030", "big5"),
        ("UTF-8", ["网格", "清波街道", "湖滨"], None, "gbk", "utf-8"),
    ],
)
def test_a_wrong_word_about_the_encoding_is_doubted(
    tmp_path: Path, written: str, names: list[str], cpg: str | None, asked: str | None, likelier: str
) -> None:
    path = shapefile(tmp_path, written, names, cpg)
    found = read_areas(path, COLUMNS, encoding=asked)
    assert [area.name for area in found.areas] != names
    [doubt] = found.warnings
    assert doubt.endswith(f"--encoding {likelier}"), doubt
    right = read_areas(path, COLUMNS, encoding=likelier)
    assert ([area.name for area in right.areas], right.warnings) == (names, [])


@pytest.mark.parametrize(("cpg", "asked"), [("GBK", None), ("BIG5", None), (None, "gb18030"), (None, "big5")])
def test_what_does_not_fit_is_refused_and_never_dropped(tmp_path: Path, cpg: str | None, asked: str | None) -> None:
    path = shapefile(tmp_path, "UTF-8", ["网格一", "清波街道", "㙟山", "湖滨"], cpg)
    with pytest.raises(AreaFileError, match=r"texts are not .* --encoding, e\.g\. utf-8"):
        read_areas(path, COLUMNS, encoding=asked)
    assert read_areas(path, COLUMNS, encoding="utf-8").areas[2].name == "㙟山"


@pytest.mark.parametrize(
    ("written", "names", "cpg"), [("GBK", SIMPLE, "GBK"), ("BIG5", TRADITIONAL, "BIG5"), ("UTF-8", SIMPLE, "UTF-8")]
)
def test_a_right_word_is_not_doubted(tmp_path: Path, written: str, names: list[str], cpg: str) -> None:
    found = read_areas(shapefile(tmp_path, written, names, cpg), COLUMNS)
    assert ([area.name for area in found.areas], found.warnings) == (names, [])


@pytest.mark.parametrize("word", ["hex", "rot13", "base64", "UTF-16", "idna", "undefined", "utf-7", "unicode_escape"])
def test_codecs_that_are_of_no_table_are_unknown_words(tmp_path: Path, word: str) -> None:
    path = shapefile(tmp_path, "UTF-8", SIMPLE, word)
    found = read_areas(path, COLUMNS)
    assert [area.name for area in found.areas] == SIMPLE
    assert "no known encoding" in found.warnings[0]
    for asked in (word, ""):
        with pytest.raises(AreaFileError, match="no encoding of a table's texts"):
            read_areas(path, COLUMNS, encoding=asked)
