"""Small tables of an operator: lines are named, a spreadsheet's tail is none, a key stands once."""

from pathlib import Path

import pytest

from shared.cli.client import CliError
from shared.cli.report_files import ReportFileError, read_rows
from shared.cli.tables import read_table

COLUMNS = ("kind", "area", "name")


def table(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    file = folder / "t.csv"
    file.write_bytes("\r\n".join(lines).encode(encoding))
    return file


def test_rows_come_with_their_lines_and_the_tail_is_left_out(tmp_path: Path) -> None:
    file = table(tmp_path, "\ufeffkind,area,name,note,,", "a,1, x ,n,,", ",,,,,", "b,2,y,,,", ",,,,,", ",")
    assert read_table(file, COLUMNS, "utf-8-sig") == [
        (2, {"kind": "a", "area": "1", "name": "x"}),
        (4, {"kind": "b", "area": "2", "name": "y"}),
    ]


def test_the_second_line_of_a_key_is_named(tmp_path: Path) -> None:
    file = table(tmp_path, "kind,area,name", "a,1,x", "b,1,x", "a,1,y")
    with pytest.raises(CliError, match=r"t\.csv:4: a, 1 stands in line 2 already"):
        read_table(file, COLUMNS, "utf-8", key=("kind", "area"))


def test_a_key_in_full_width_is_the_same_key(tmp_path: Path) -> None:
    file = table(tmp_path, "kind,area,name", "a,12,x", "a,１２,y")
    with pytest.raises(CliError, match=r"t\.csv:3: a, 12 stands in line 2 already"):
        read_table(file, COLUMNS, "utf-8", key=("kind", "area"))


@pytest.mark.parametrize(
    ("lines", "encoding", "told"),
    [
        (("kind;area;name", "a;1;x"), "utf-8", r"t\.csv:1: cells are parted by semicolons"),
        (("kind\tarea\tname",), "utf-8", "parted by tabs"),
        (("kind,area",), "utf-8", r"no column name; needed: kind, area, name"),
        (("kind,area,name",), "utf-16", "UTF-16"),
        (("kind,area,名称",), "gb18030", "--encoding gb18030"),
    ],
)
def test_what_is_wrong_is_said_with_a_way_out(tmp_path: Path, lines: tuple[str, ...], encoding: str, told: str) -> None:
    with pytest.raises(CliError, match=told):
        read_table(table(tmp_path, *lines, encoding=encoding), COLUMNS, "utf-8-sig")


def test_an_encoding_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no encoding is called gb9999"):
        read_table(table(tmp_path, "kind,area,name"), COLUMNS, "gb9999")


@pytest.mark.parametrize("codec", ["undefined", "idna", "punycode"])
def test_what_a_codec_of_no_text_refuses_is_said(tmp_path: Path, codec: str) -> None:
    file = table(tmp_path, "kind,area,name", "甲." * 40 + ",1,-é")
    with pytest.raises(CliError, match=f"not {codec}"):
        read_table(file, COLUMNS, codec)
    with file.open("rb") as raw, pytest.raises(ReportFileError, match=f"not {codec}"):
        list(read_rows(raw, codec))
