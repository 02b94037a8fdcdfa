"""The shipped catalogue is complete, rules follow their dates, and faults are named with file and line."""

import csv
import shutil
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from shared.catalog import Catalogue, CatalogueError
from shared.catalog.loader import SHIPPED

AT = datetime(2026, 11, 1, tzinfo=UTC)


def test_every_national_and_local_code_is_there_with_names_and_a_rule() -> None:
    kinds = Catalogue.load().kinds(AT)
    assert len(kinds) == 403 + 6
    assert all(kind.name_zh and kind.name_en and kind.group_en and kind.keywords for kind in kinds)
    assert all(kind.name_en.isascii() for kind in kinds)
    assert len({kind.open311_code for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    ("code", "level", "points", "department"),
    [
        ("local-gas-smell", "emergency", 100, "gas"),
        ("local-security-clue", "emergency", 100, "public_security"),
        ("local-flying-wire-charging", "hazard", 50, "fire_rescue"),
        ("local-food-safety", "hazard", 50, "market_supervision"),
        ("local-lift-trap", "emergency", 100, "fire_rescue"),
        ("local-connection-test", "routine", 0, "urban_management"),
        ("part-01001", "hazard", 50, "water"),
        ("event-09012", "hazard", 50, "fire_rescue"),
        ("event-10002", "emergency", 100, "power"),
        ("event-06010", "routine", 10, "sanitation"),
    ],
)
def test_levels_and_points_of_the_programmes_kinds(code: str, level: str, points: int, department: str) -> None:
    kind = Catalogue.load().kind(code, AT)
    assert kind is not None
    assert (kind.level, kind.points, kind.department_kind) == (level, points, department)


def test_unknown_codes_and_times_before_the_first_rule_have_no_kind() -> None:
    assert Catalogue.load().kind("part-99999", AT) is None
    assert Catalogue.load().kind("part-01001", datetime(1999, 12, 31, 15, 59, 59, tzinfo=UTC)) is None
    assert Catalogue.load().kind("part-01001", datetime(1999, 12, 31, 16, tzinfo=UTC)) is not None


def test_parts_and_events_share_numbers_but_not_codes() -> None:
    part, event = (Catalogue.load().kind(code, AT) for code in ("part-01001", "event-01001"))
    assert part and event
    assert (part.name_zh, event.name_zh) == ("供水井盖", "供水井盖异常")


def _changed(folder: Path, file: str, *rows: str) -> Path:
    text = (SHIPPED / file).read_text(encoding="utf-8")
    (folder / file).write_text(text + "\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_a_later_rule_holds_from_its_day_in_china(tmp_path: Path) -> None:
    folder = _changed(
        tmp_path,
        "rules.csv",
        ",part-01001,2026-07-01,emergency,water,6,emergency,80,25",
        "市政公用设施,,2026-03-01,hazard,municipal,30,emergency,70,50",
    )
    catalogue = Catalogue.load(folder)

    def points(code: str, at: datetime) -> int:
        kind = catalogue.kind(code, at)
        assert kind
        return kind.points

    assert points("part-01001", datetime(2026, 6, 30, 15, 59, tzinfo=UTC)) == 50
    assert points("part-01001", datetime(2026, 6, 30, 16, 0, tzinfo=UTC)) == 80
    # The rule of a category changes only kinds without one of their own.
    assert points("part-01035", datetime(2026, 2, 1, tzinfo=UTC)) == 10
    assert points("part-01035", datetime(2026, 4, 1, tzinfo=UTC)) == 70
    assert points("part-01001", datetime(2026, 4, 1, tzinfo=UTC)) == 50


@pytest.mark.parametrize(
    ("file", "row", "problem"),
    [
        ("rules.csv", ",part-01001,2026-07-01,grave,water,6,emergency,80,25", "level"),
        ("rules.csv", ",part-01001,2000-01-01,hazard,water,6,emergency,80,25", "second rule for part-01001"),
        ("rules.csv", ",part-99999,2026-07-01,hazard,water,6,emergency,80,25", "unknown code part-99999"),
        ("rules.csv", ",part-01001,2026-07-01,hazard,wizards,6,emergency,80,25", "wizards"),
        ("rules.csv", ",part-01001,2026-07-01,hazard,water,6,sundial,80,25", "clock"),
        ("rules.csv", ",,2026-07-01,hazard,water,6,emergency,80,25", "exactly one of category and code"),
        ("rules.csv", ",part-01001,2026-07-01,hazard,water,6", "number of fields"),
        ("local_kinds.csv", "local-gas-smell,本地扩展,又一个,Another,", "local-gas-smell stands twice"),
        ("local_kinds.csv", "gas,本地扩展,又一个,Another,", "must look like local-"),
        ("local_kinds.csv", "local-x,没有的类别,又一个,Another,", "没有的类别"),
        ("gb47678_5_codes.csv", "管理部件,01001,市政公用设施,供水井盖", "part-01001 stands twice"),
        ("gb47678_5_codes.csv", "管理部件,09999,市政公用设施,新部件", "no English name"),
    ],
)
def test_faults_are_named_with_file_and_line(tmp_path: Path, file: str, row: str, problem: str) -> None:
    lines = len((SHIPPED / file).read_text(encoding="utf-8").splitlines())
    with pytest.raises(CatalogueError, match=problem) as refusal:
        Catalogue.load(_changed(tmp_path, file, row))
    assert f"{file}:{lines + 1}:" in str(refusal.value)


def test_a_missing_rule_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with (SHIPPED / "rules.csv").open(encoding="utf-8", newline="") as text:
        rows = [row for row in csv.reader(text) if row[0] != "本地扩展" and row[1] != "local-gas-smell"]
    with (tmp_path / "rules.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows)
    with pytest.raises(CatalogueError, match=r"local_kinds\.csv:2: code local-gas-smell has no rule"):
        Catalogue.load(tmp_path)
    with pytest.raises(CatalogueError, match="no such folder"):
        Catalogue.load(tmp_path / "nowhere")


def test_a_city_may_ship_its_own_files_whole(tmp_path: Path) -> None:
    for file in SHIPPED.glob("*.csv"):
        shutil.copy(file, tmp_path)
    text = (tmp_path / "rules.csv").read_text(encoding="utf-8")
    # Spreadsheet programs write a byte order mark and CRLF.
    (tmp_path / "rules.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert len(Catalogue.load(tmp_path)) == 409


def test_a_rule_begins_at_midnight_of_the_city() -> None:
    beijing = datetime(1999, 12, 31, 16, tzinfo=UTC)
    urumqi = Catalogue.load(zone=ZoneInfo("Asia/Urumqi"))
    assert Catalogue.load().kind("part-01001", beijing) is not None
    assert urumqi.kind("part-01001", beijing) is None
    assert urumqi.kind("part-01001", beijing.replace(hour=18)) is not None
