"""Small tables of an operator: lines are named, a spreadsheet's tail is none, a key stands once."""

from pathlib import Path

import pytest

from shared.cli.client import CliError
from shared.cli.map_changes import read_mapping
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
    ("lines", "encoding", "said"),
    [
        (("kind;area;name", "a;1;x"), "utf-8", r"t\.csv:1: cells are parted by semicolons"),
        (("kind\tarea\tname",), "utf-8", "parted by tabs"),
        (("kind,area",), "utf-8", r"no column name; needed: kind, area, name"),
        (("kind,area,name",), "utf-16", "UTF-16"),
        (("kind,area,名称",), "gb18030", "--encoding gb18030"),
    ],
)
def test_what_is_wrong_is_said_with_a_way_out(tmp_path: Path, lines: tuple[str, ...], encoding: str, said: str) -> None:
    with pytest.raises(CliError, match=said):
        read_table(table(tmp_path, *lines, encoding=encoding), COLUMNS, "utf-8-sig")


def test_an_encoding_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no encoding is called gb9999"):
        read_table(table(tmp_path, "kind,area,name"), COLUMNS, "gb9999")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("kind,area,name", "a,1,上城区住建局,排水处"), r"t\.csv:2: more cells than columns"),
        (("kind,area,name,", "a,1,x,", "b,1,上城区住建局,排水处"), r"t\.csv:3: more cells than columns"),
        (("kind,area,name", "a,1,x", 'b,1,"y', "c,1,z", "d,1,z"), r"t\.csv:3: .*quotation mark that is never closed"),
        (("kind,area,name", 'b,1,"y', 'c,1,z"', "d,1,z"), r"t\.csv:2: .*quotation mark that is never closed"),
        (("kind,area,name", 'b,1,"y"z'), r"t\.csv:2: not CSV"),
        (("kind,area,name,area", "a,1,x,2"), r"t\.csv:1: the column area stands more than once"),
        (("kind,area,name,Note", "a,1,x,2"), r"t\.csv:1: the column 'Note' is written note"),
        (("kind,area,name, note", "a,1,x,2"), r"t\.csv:1: the column ' note' is written note"),
    ],
)
def test_no_cell_and_no_row_is_lost_without_a_word(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(CliError, match=said):
        read_table(table(tmp_path, *lines), COLUMNS, "utf-8", optional=("note",))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("old_code,new_code,Share", "a,b,0.3"), "'Share' is written share"),
        (
            ("old_code,new_code,part", "a,b,0.3"),
            "no column is called 'part'; there may be: old_code, new_code, share, note, 备注",
        ),
        (("old_code,new_code,share", "a,b,0,5"), r"t\.csv:2: more cells than columns"),
        (("old_code,new_code", "a,b,0.5"), r"t\.csv:2: more cells than columns"),
        (("old_code,new_code,share,share", "a,b,0.5,0.7"), "share stands more than once"),
    ],
)
def test_a_share_that_would_not_be_read_is_named(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(CliError, match=said):
        read_mapping(table(tmp_path, *lines))


def test_a_code_that_a_spreadsheet_has_shortened_is_named_with_its_line(tmp_path: Path) -> None:
    file = table(tmp_path, "kind,area,name", "a,1,x", "b,3.30102E+14,y")
    with pytest.raises(CliError, match=r"t\.csv:3: area 3\.30102E\+14: .*format the column as text"):
        read_table(file, COLUMNS, "utf-8")


@pytest.mark.parametrize("codec", ["undefined", "idna", "punycode"])
def test_what_a_codec_of_no_text_refuses_is_said(tmp_path: Path, codec: str) -> None:
    file = table(tmp_path, "kind,area,name", "甲." * 40 + ",1,-é")
    with pytest.raises(CliError, match=f"not {codec}"):
        read_table(file, COLUMNS, codec)
    with file.open("rb") as raw, pytest.raises(ReportFileError, match=f"not {codec}"):
        list(read_rows(raw, codec))
