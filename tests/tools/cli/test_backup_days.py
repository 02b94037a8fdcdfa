"""The days of a backup's inbox are read from its ids."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

from shared.cli.backup.days import DAYS_AHEAD, DAYS_BACK, days_of
from shared.kit.ids import derived_id

TODAY = date(2026, 3, 1)


def line(at: datetime) -> str:
    id_ = UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62)
    return f"{id_}\t2026-03-01 00:00:00+00\n"


def test_days_are_those_of_the_ids(tmp_path: Path) -> None:
    noons = [datetime(2026, 2, day, 12, tzinfo=UTC) for day in (3, 3, 27)]
    far = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=DAYS_AHEAD + 1)]
    file = tmp_path / "inbox.copy"
    file.write_text("".join(map(line, [*noons, *far])) + f"{derived_id('x')}\t2026-03-01 00:00:00+00\n")
    assert days_of(file, TODAY) == {date(2026, 2, 3), date(2026, 2, 27)}
    assert days_of(file, TODAY + timedelta(days=DAYS_BACK)) == {date(2026, 3, 10)}


def test_no_day_is_missed_at_midnight(tmp_path: Path) -> None:
    file = tmp_path / "inbox.copy"
    midnight = datetime(2026, 2, 10, tzinfo=UTC)
    for at, day in ((midnight, date(2026, 2, 10)), (midnight - timedelta(milliseconds=1), date(2026, 2, 9))):
        file.write_text(line(at))
        assert day in days_of(file, TODAY)


def test_an_empty_inbox_has_none(tmp_path: Path) -> None:
    file = tmp_path / "inbox.copy"
    file.touch()
    assert days_of(file, TODAY) == set()
