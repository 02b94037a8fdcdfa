"""What a replay finds wrong with a file, dry or not, and what it says of it."""

import csv
import io
from pathlib import Path

import pytest

from shared.cli.client import CliError
from tests.tools.cli.played import HEADER, Suite, row, run, written


def test_a_time_without_a_zone_is_the_citys(suite: Suite, tmp_path: Path) -> None:
    suite.zone = "Asia/Urumqi"
    line = row(1).split(",")
    line[HEADER.split(",").index("occurred_at")] = "2026-03-05 08:30"
    assert run("replay", str(written(tmp_path / "a.csv", ",".join(line))), "--company", "mt").exit_code == 0
    [report] = suite.reports.values()
    assert report["occurred_at"] == "2026-03-05T02:30:00Z"


def test_a_dry_run_finds_what_the_run_refuses_and_keeps_nothing(suite: Suite, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", row(1), row(2, rider="nobody"), row(3, lat="95"), row(1, text="else"), row(4))
    dry = run("replay", str(file), "--company", "mt", "--dry-run")
    found = (tmp_path / "a.rejected.csv").read_text("utf-8-sig")
    assert dry.exit_code == 0 and "nothing kept" in dry.output, dry.output
    assert suite.reports == {} and suite.lazy_riders == set()
    wet = run("replay", str(file), "--company", "mt")
    assert wet.exit_code == 0, wet.output
    assert (tmp_path / "a.rejected.csv").read_text("utf-8-sig") == found
    assert len(suite.reports) == 2


def test_a_dry_run_takes_riders_who_would_be_registered_for_known(suite: Suite, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", row(1, rider="newcomer"))
    done = run("replay", str(file), "--company", "mt", "--dry-run", "--register-riders")
    assert done.exit_code == 0 and not (tmp_path / "a.rejected.csv").exists(), done.output
    assert suite.lazy_riders == set() and suite.reports == {}


@pytest.mark.parametrize("suspended", [False, True])
def test_a_dry_run_that_would_register_riders_finds_what_the_run_refuses(
    suite: Suite, tmp_path: Path, suspended: bool
) -> None:
    file = written(tmp_path / "a.csv", row(1))
    assert run("replay", str(file), "--company", "mt").exit_code == 0
    suite.suspended = suspended
    written(file, row(1, rider="newcomer"), row(2, rider="newcomer"))
    words = ("replay", str(file), "--company", "mt", "--register-riders")
    dry = run(*words, "--dry-run")
    found = (tmp_path / "a.rejected.csv").read_text("utf-8-sig")
    assert ("company_suspended" if suspended else "idempotency_conflict") in found
    assert suite.lazy_riders == set() and list(suite.reports) == ["a1"]
    wet = run(*words)
    assert (tmp_path / "a.rejected.csv").read_text("utf-8-sig") == found
    assert wet.exit_code == dry.exit_code == int(suspended)


def test_a_number_that_stands_twice_is_named_with_its_lines(suite: Suite, tmp_path: Path) -> None:
    others = [row(n) for n in range(2, 700)]  # in another batch
    file = written(tmp_path / "a.csv", row(1), *others, row(1), row(1, text="else"))
    assert run("replay", str(file), "--company", "mt").exit_code == 0
    [_, refused] = csv.reader(io.StringIO((tmp_path / "a.rejected.csv").read_text("utf-8-sig")))
    assert refused[0] == "702" and refused[2] == "id: line 2 has the same id and other content"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{HEADER}\n".encode("utf-16"), "UTF-16, which Excel calls Unicode text"),
        (f"{HEADER.replace(',', ';')}\n".encode(), "parted by semicolons"),
        (b"PK\x03\x04\xff\xfe", "this is a workbook"),
        (HEADER.replace("text", "文字").encode("gb18030"), "--encoding gb18030"),
    ],
)
def test_what_a_spreadsheet_saved_instead_is_named(suite: Suite, tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(content)
    done = run("replay", str(file), "--company", "mt")
    assert isinstance(done.exception, CliError) and said in str(done.exception), done.exception


def test_a_tail_of_commas_is_no_row(suite: Suite, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", row(1), "," * 7, ",,,", "")
    assert run("replay", str(file), "--company", "mt").exit_code == 0
    assert len(suite.reports) == 1 and not (tmp_path / "a.rejected.csv").exists()


@pytest.mark.parametrize(
    ("more", "said"), [(",rider", "rider stands more than once"), (",Accuracy_M", "'Accuracy_M' is written accuracy_m")]
)
def test_a_column_that_would_not_be_read_is_named(suite: Suite, tmp_path: Path, more: str, said: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"{HEADER}{more}\n{row(1)},7\n", "utf-8")
    done = run("replay", str(file), "--company", "mt")
    assert done.exit_code == 1 and not suite.reports
    assert isinstance(done.exception, CliError) and said in str(done.exception), done.exception
