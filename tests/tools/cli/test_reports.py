"""Replay and export against a suite that is played by this file."""

import csv
import io
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from shared.cli import report_files, reports
from shared.cli.client import Client, CliError
from shared.cli.report_files import Reject, Row, moment, parse
from tests.tools.cli.played import HEADER, Suite, row, run, written

BEIJING = ZoneInfo("Asia/Shanghai")


def test_every_good_row_arrives_once_and_bad_ones_are_written_beside(suite: Suite, tmp_path: Path) -> None:
    file = written(
        tmp_path / "old.csv",
        row(1),
        row(2, lat="95"),
        row(3, occurred_at="gestern"),
        row(4, rider="nobody"),
        row(5, datum="pz90"),
        row(6, id=""),
        "",
        row(7),
    )
    done = run("replay", str(file), "--company", "mt")
    assert done.exit_code == 0, done.output
    assert sorted(suite.reports) == ["a1", "a7"]
    assert suite.reports["a1"]["occurred_at"] in ("2019-03-05T00:30:00Z", "2019-03-05T00:30:00+00:00")
    with (tmp_path / "old.rejected.csv").open(encoding="utf-8-sig", newline="") as beside:
        refused = list(csv.DictReader(beside))
    assert [(one["line"], one["id"]) for one in refused] == [
        ("3", "a2"),
        ("4", "a3"),
        ("5", "a4"),
        ("6", "a5"),
        ("7", ""),
    ]
    assert all(one["reason"] for one in refused)
    assert "lat" in refused[0]["reason"]
    assert "unknown_rider" in refused[2]["reason"]

    suite.riders.add("nobody")
    written(file, row(1), row(4, rider="nobody"), row(7))
    again = run("replay", str(file), "--company", "mt")
    assert "accepted 1" in again.output
    assert "known before 2" in again.output
    assert not (tmp_path / "old.rejected.csv").exists()


def test_an_unknown_company_is_named_before_anything_is_sent(suite: Suite, tmp_path: Path) -> None:
    done = run("replay", str(written(tmp_path / "a.csv", row(1, lat="95"))), "--company", "nobody")
    assert done.exit_code == 1
    assert isinstance(done.exception, CliError)
    assert "Unknown company" in done.exception.title
    assert "nobody" in done.exception.detail
    assert suite.requests == []
    assert not (tmp_path / "a.rejected.csv").exists()


def test_an_outage_is_waited_for_and_nothing_is_lost(suite: Suite, tmp_path: Path) -> None:
    suite.down = 6
    done = run("replay", str(written(tmp_path / "a.csv", *map(row, range(1_200)))), "--company", "mt")
    assert done.exit_code == 0, done.output
    assert len(suite.reports) == 1_200
    assert max(size for _, size in suite.requests) <= 500


def test_kinds_are_translated(suite: Suite, tmp_path: Path) -> None:
    kinds = tmp_path / "map.csv"
    kinds.write_text("foreign,kind\n井盖,part-01001\n燃气,local-gas-smell\n", encoding="utf-8")
    file = written(tmp_path / "a.csv", row(1, kind="燃气"), row(2, kind="其他"), row(3))
    done = run("replay", str(file), "--company", "mt", "--kinds", str(kinds))
    assert done.exit_code == 0, done.output
    assert suite.reports["a1"]["kind"] == "local-gas-smell"
    assert suite.reports["a3"]["kind"] == "part-01001"  # a code of the catalogue stands for itself
    assert "a2" in (tmp_path / "a.rejected.csv").read_text(encoding="utf-8-sig")


def test_riders_are_registered_and_waited_for(suite: Suite, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", row(1, rider="new-1"), row(2, rider="new-2"), row(3))
    done = run("replay", str(file), "--company", "mt", "--register-riders")
    assert done.exit_code == 0, done.output
    assert len(suite.reports) == 3
    assert suite.lazy_riders == {"new-1", "new-2", "r1"}


def test_it_stops_with_words_when_nothing_moves(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.stuck = True
    with pytest.raises(CliError, match="Nothing moves"):
        reports.settle(Client("http://suite", "t", httpx.MockTransport(suite)), "mt", 5, patience_s=0.0)


@pytest.mark.parametrize("change", [lambda text: text.replace("lat,", ""), lambda _: ""])
def test_a_file_without_its_columns_sends_nothing(suite: Suite, tmp_path: Path, change: Callable[[str], str]) -> None:
    file = written(tmp_path / "a.csv", row(1))
    file.write_text(change(file.read_text()))
    done = run("replay", str(file), "--company", "mt")
    assert isinstance(done.exception, CliError)
    assert "no column" in done.exception.detail
    assert suite.reports == {}


def test_a_file_of_excel_in_chinese(suite: Suite, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", row(1), encoding="gb18030")
    wrong = run("replay", str(file), "--company", "mt")
    assert isinstance(wrong.exception, CliError)
    assert "gb18030" in wrong.exception.detail
    assert run("replay", str(file), "--company", "mt", "--encoding", "gb18030").exit_code == 0
    assert suite.reports["a1"]["text"] == "井盖松动"


def test_a_quoted_text_may_have_line_breaks_and_commas(suite: Suite, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", row(1, text='"第一行, 逗号\n第二行"'), row(2))
    assert run("replay", str(file), "--company", "mt").exit_code == 0
    assert suite.reports["a1"]["text"] == "第一行, 逗号\n第二行"
    assert len(suite.reports) == 2


def test_a_row_is_named_by_the_line_where_it_begins(suite: Suite, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", row(1), "", row(2, lat="95", text='"一\n二\n三"'), row(3, lat="96"))
    assert run("replay", str(file), "--company", "mt").exit_code == 0
    with (tmp_path / "a.rejected.csv").open(encoding="utf-8-sig", newline="") as beside:
        assert [(one["line"], one["id"]) for one in csv.DictReader(beside)] == [("4", "a2"), ("7", "a3")]


def test_a_quotation_mark_that_is_never_closed_costs_its_own_row_only(suite: Suite, tmp_path: Path) -> None:
    open_quote = row(5, text='"12 inch pipe broken')
    later = row(30, text='"a second one')
    rows = [*map(row, range(5)), open_quote, *map(row, range(6, 300)), later, row(301, text='"closed, at last"'), later]
    file = written(tmp_path / "a.csv", *rows)
    done = run("replay", str(file), "--company", "mt")
    assert done.exit_code == 0, done.output
    assert sorted(suite.reports, key=lambda number: int(number[1:])) == [
        f"a{n}" for n in range(302) if n not in (5, 300)
    ]
    with (tmp_path / "a.rejected.csv").open(encoding="utf-8-sig", newline="") as beside:
        refused = [(one["line"], one["id"]) for one in csv.DictReader(beside) if "never closed" in one["reason"]]
    assert refused == [("7", "a5"), ("302", "a30"), ("304", "a30")]


def test_a_file_without_rows_says_so(suite: Suite, tmp_path: Path) -> None:
    done = run("replay", str(written(tmp_path / "a.csv")), "--company", "mt")
    assert done.exit_code == 0
    assert "no rows" in done.output


def test_a_file_of_which_nothing_was_taken_fails(suite: Suite, tmp_path: Path) -> None:
    done = run("replay", str(written(tmp_path / "a.csv", row(1, lat="95"))), "--company", "mt")
    assert done.exit_code == 1
    assert "Every row was refused" in done.output and "a.rejected.csv" in done.output


def test_memory_does_not_grow_with_the_file(suite: Suite, tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        file = written(tmp_path / f"{rows}.csv", *(row(n % 100) for n in range(rows)))
        client = Client("http://suite", "t", httpx.MockTransport(suite))
        tracemalloc.start()
        reports.send(client, file, "mt", None, None, None, "utf-8")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(500)
    # all rows kept would be some 15 MB more; what the interpreter happens to hold is not the file
    assert peak(10_000) < peak(2_000) + 4_000_000


def test_the_rate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = [100.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(reports.time, "sleep", sleep)
    monkeypatch.setattr(reports.clock, "monotonic_s", lambda: now[0])
    pace = reports.Pace(100)
    for _ in range(10):
        pace.wait(50)
    assert sum(slept) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2021-03-05 08:30:15", "2021-03-05T00:30:15"),
        ("2021-03-05T08:30:15+02:00", "2021-03-05T06:30:15"),
        ("2021-03-05T08:30:15Z", "2021-03-05T08:30:15"),
        ("2021/3/5 8:30", "2021-03-05T00:30:00"),
        ("2021/03/05", "2021-03-04T16:00:00"),
        ("2021年3月5日 08:30", "2021-03-05T00:30:00"),
        ("1988-07-01 12:00", "1988-07-01T03:00:00"),  # summer time
        ("1899-12-31 08:05:43", "1899-12-31T00:00:00"),  # before zones: 8 h 5 min 43 s
        ("0001-01-01", None),
        ("05.03.2021", None),
        ("", None),
    ],
)
def test_moments(text: str, utc: str | None) -> None:
    found = moment(text, BEIJING)
    assert (found is None) == (utc is None)
    if found is not None:
        assert found.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%S") == utc


def test_a_row_without_a_table_of_kinds_keeps_its_kind() -> None:
    cells = dict(zip(HEADER.split(","), row(1).split(","), strict=True))
    taken = parse(2, cells, None, BEIJING)
    assert isinstance(taken, Row)
    assert taken.body["kind"] == "part-01001"
    assert isinstance(parse(2, cells | {"kind": ""}, None, BEIJING), Reject)


def test_a_text_that_was_cut_at_a_comma_is_refused_and_empty_cells_are_not() -> None:
    lines = [HEADER, row(1) + ",the rest of it", row(2) + ",,"]
    read = report_files.read_rows(io.BytesIO("\n".join(lines).encode()), "utf-8")
    cut, kept = (parse(line, cells, None, BEIJING) for line, cells in read)
    assert isinstance(cut, Reject)
    assert "more cells than columns" in cut.reason
    assert isinstance(kept, Row)


def exporting(lines: list[str], *, cut: bool = False) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/companies":
            return httpx.Response(200, json={"items": [{"code": "mt"}, {"code": "sf"}], "cursor": None})
        if request.url.path.startswith("/v1/companies/"):
            known = request.url.path.rsplit("/", 1)[1] in ("mt", "sf")
            return httpx.Response(200 if known else 404, json={"title": "x", "detail": "x"})

        def body() -> Any:
            for line in lines:
                yield (line.replace("CODE", request.url.params["company"]) + "\n").encode()
            if cut:
                raise httpx.ReadError("cut")

        return httpx.Response(200, content=body())

    return answer


LINE = json.dumps({
    "external_id": "CODE-1", "report_id": "r", "grid_code": "", "ambiguous": False, "case_id": None,
    "state": "unroutable", "points": 0,
})  # fmt: skip


def test_export_writes_all_companies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = httpx.MockTransport(exporting([LINE, LINE]))
    monkeypatch.setattr(reports, "connect", lambda: Client("http://suite", "t", answer))
    file = tmp_path / "out.csv"
    done = run("export", str(file))
    assert done.exit_code == 0, done.output
    with file.open(newline="") as source:
        found = list(csv.DictReader(source))
    assert [one["external_id"] for one in found] == ["mt-1", "mt-1", "sf-1", "sf-1"]
    assert (found[0]["grid_code"], found[0]["ambiguous"], found[0]["case_id"]) == ("", "false", "")
    assert run("export", str(file), "--company", "sf").exit_code == 0
    assert file.read_text().count("sf-1") == 2


def test_an_unknown_companys_export_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = httpx.MockTransport(exporting([]))
    monkeypatch.setattr(reports, "connect", lambda: Client("http://suite", "t", answer))
    done = run("export", str(tmp_path / "out.csv"), "--company", "nobody")
    assert done.exit_code == 1 and isinstance(done.exception, CliError)
    assert "Unknown company" in done.exception.title
    assert not (tmp_path / "out.csv").exists()


def test_a_broken_export_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = httpx.MockTransport(exporting([LINE], cut=True))
    monkeypatch.setattr(reports, "connect", lambda: Client("http://suite", "t", answer))
    file = tmp_path / "out.csv"
    file.write_text("old")
    assert isinstance(run("export", str(file), "--company", "mt").exception, CliError)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.csv"]
