"""The rules of tasks without a database."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tasks.domain import Hours, hours_of, in_peak, occurrences, pauses_until

ZONE = ZoneInfo("Asia/Shanghai")
DAY = datetime(2026, 3, 6, tzinfo=ZONE)
PEAKS = hours_of("11:00-13:00, 17:00-19:30")


def test_hours_are_read() -> None:
    assert (Hours(660, 780), Hours(1020, 1170)) == PEAKS
    assert hours_of("") == () and hours_of("22:00-24:00") == (Hours(1320, 1440),)


@pytest.mark.parametrize("stated", ["11-13", "13:00-11:00", "11:00-11:00", "23:00-24:30", "11:60-12:00"])
def test_hours_that_make_no_sense_are_refused(stated: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        hours_of(stated)


@pytest.mark.parametrize(
    ("since", "until", "peak"),
    [
        ((9, 0), (11, 0), None),
        ((9, 0), (11, 1), 660),
        ((13, 0), (17, 0), None),
        ((12, 59), (14, 0), 660),
        ((19, 30), (23, 0), None),
        ((15, 0), (21, 0), 1020),
    ],
)
def test_a_task_keeps_clear_of_peak_hours(since: tuple[int, int], until: tuple[int, int], peak: int | None) -> None:
    starts_at, ends_at = (DAY.replace(hour=hour, minute=minute) for hour, minute in (since, until))
    found = in_peak(starts_at, ends_at, PEAKS, ZONE)
    assert (found and found.since) == peak


def test_a_task_over_midnight_meets_the_next_days_peak() -> None:
    assert in_peak(DAY.replace(hour=20), DAY.replace(hour=20) + timedelta(hours=10), PEAKS, ZONE) is None
    assert in_peak(DAY.replace(hour=20), DAY.replace(hour=20) + timedelta(hours=16), PEAKS, ZONE) == PEAKS[0]


@given(
    weekday=st.integers(1, 7),
    minute=st.integers(0, 1439),
    since=st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    cut=st.integers(0, 60),
    more=st.integers(0, 60),
)
def test_occurrences_in_two_pieces_are_those_in_one(
    weekday: int, minute: int, since: date, cut: int, more: int
) -> None:
    middle, end = since + timedelta(days=cut), since + timedelta(days=cut + more)
    whole = [*occurrences(weekday, minute, since, end, ZONE)]
    assert [
        *occurrences(weekday, minute, since, middle, ZONE),
        *occurrences(weekday, minute, middle, end, ZONE),
    ] == whole
    assert all(one.isoweekday() == weekday and (one.hour * 60 + one.minute) == minute for one in whole)
    assert len(whole) in {(cut + more) // 7, (cut + more) // 7 + 1}


@pytest.mark.parametrize(
    ("days_ago", "until_in"), [([], None), ([1, 5], None), ([1, 5, 40], None), ([1, 5, 20], 13), ([30, 40, 50], -16)]
)
def test_who_misses_three_tasks_in_thirty_days_pauses_from_the_last(days_ago: list[int], until_in: int | None) -> None:
    missed = [DAY - timedelta(days=days) for days in days_ago]
    until = pauses_until(missed, 3, timedelta(days=30), timedelta(days=14))
    assert until == (None if until_in is None else DAY + timedelta(days=until_in))
