"""Cells of report files: how exact a place is, and what a spreadsheet would run."""

import csv
import io
from pathlib import Path

import httpx
import pytest

from shared.cli import report_files, reports
from shared.cli.client import Client
from shared.cli.report_files import Reject, Row, parse
from tests.tools.cli.played import HEADER, Suite, row, run, written
from tests.tools.cli.test_reports import BEIJING, LINE, exporting


@pytest.mark.parametrize(("cell", "known_m"), [("650", 650), ("-1", None), ("0", None), ("", None), ("12.5", 12.5)])
def test_a_file_may_say_how_exact_its_places_are(cell: str, known_m: float | None) -> None:
    lines = [HEADER + ",accuracy_m", row(1) + "," + cell]
    [(line, cells)] = report_files.read_rows(io.BytesIO("\n".join(lines).encode()), "utf-8")
    taken = parse(line, cells, None, BEIJING)
    assert isinstance(taken, Row)
    assert taken.body["place"]["accuracy_m"] == known_m
    for wrong in ({"accuracy_m": "near"}, {"accuracy_m": "nan"}, {"lng": "nan"}, {"lat": "inf"}, {"lng": ""}):
        assert isinstance(parse(line, cells | wrong, None, BEIJING), Reject), wrong


def test_no_cell_of_an_export_runs_as_a_formula(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = httpx.MockTransport(exporting([LINE.replace("CODE-1", "=CODE-1")]))
    monkeypatch.setattr(reports, "connect", lambda: Client("http://suite", "t", answer))
    assert run("export", str(tmp_path / "out.csv"), "--company", "sf").exit_code == 0
    with (tmp_path / "out.csv").open(newline="") as source:
        assert [one["external_id"] for one in csv.DictReader(source)] == ["'=sf-1"]


@pytest.mark.parametrize("number", ["+8613800138000", "-1", "+1.5"])
def test_an_id_like_a_number_is_exported_as_the_word_that_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suite: Suite, number: str
) -> None:
    line = LINE.replace('"external_id": "CODE-1"', f'"external_id": "{number}"')
    assert number in line
    monkeypatch.setattr(reports, "connect", lambda: Client("http://suite", "t", httpx.MockTransport(exporting([line]))))
    assert run("export", str(tmp_path / "out.csv"), "--company", "sf").exit_code == 0
    with (tmp_path / "out.csv").open(newline="") as source:
        [exported] = csv.DictReader(source)
    assert exported["external_id"] == f"'{number}"
    # and read again it is the id
    lines = [HEADER, row(1, id=exported["external_id"])]
    [(_, cells)] = report_files.read_rows(io.BytesIO("\n".join(lines).encode()), "utf-8")
    assert cells["id"] == number


def test_a_rejected_cell_is_neutral_and_comes_back_as_it_was(suite: Suite, tmp_path: Path) -> None:
    cells = row(1).split(",")
    cells[0], cells[HEADER.split(",").index("kind")] = "=1+1", ""
    file = written(tmp_path / "a.csv", ",".join(cells))
    run("replay", str(file), "--company", "mt")
    with (tmp_path / "a.rejected.csv").open(encoding="utf-8-sig", newline="") as source:
        [rejected] = csv.DictReader(source)
    assert rejected["id"] == "'=1+1"
    cells[0], cells[HEADER.split(",").index("kind")] = rejected["id"], "part-01001"
    assert run("replay", str(written(tmp_path / "b.csv", ",".join(cells))), "--company", "mt").exit_code == 0
    assert "=1+1" in {report["external_id"] for report in suite.reports.values()}


@pytest.mark.parametrize("column", ["id", "rider"])
@pytest.mark.parametrize("number", ["1.38E+10", "3.30102E+14", "1E+10", "1.38e+10", "1.38E10", "１.38E+10"])
def test_a_number_that_a_spreadsheet_has_shortened_is_refused(column: str, number: str) -> None:
    lines = [HEADER, row(1, **{column: number})]
    [(line, cells)] = report_files.read_rows(io.BytesIO("\n".join(lines).encode()), "utf-8")
    refused = parse(line, cells, None, BEIJING)
    assert isinstance(refused, Reject)
    assert (
        refused.reason.startswith(column) and "format the column as text" in refused.reason and "文本" in refused.reason
    )


@pytest.mark.parametrize("code", ["E10", "1E", "12E+10", "R1E+10", "1.38E+10a"])
def test_codes_like_it_are_taken(code: str) -> None:
    lines = [HEADER, row(1, id=code, rider=code)]
    [(line, cells)] = report_files.read_rows(io.BytesIO("\n".join(lines).encode()), "utf-8")
    assert isinstance(parse(line, cells, None, BEIJING), Row)
