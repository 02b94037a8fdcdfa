"""When a failed message is tried again, and what may be stored."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.notifications import domain
from services.notifications.domain import Delivery, Outcome
from shared.kit.ids import new_id

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # noon in China
SHANGHAI, URUMQI = ZoneInfo("Asia/Shanghai"), ZoneInfo("Asia/Urumqi")


def delivery(attempts: int, allowed: int = 8) -> Delivery:
    return Delivery(new_id(), new_id(), "webhook", new_id(), "t", {}, "pending", attempts, allowed, NOW, NOW)


def test_eight_attempts_spread_over_most_of_a_day() -> None:
    waits = [domain.wait_s(attempt, 0.5) for attempt in range(1, 8)]
    assert waits == sorted(waits)
    assert waits[0] == 20
    assert 16 * 3600 < sum(waits) < 26 * 3600
    assert domain.wait_s(500, 0.5) == domain.WAIT_S_MAX


def test_jitter_spreads_a_wait_by_a_fifth() -> None:
    assert domain.wait_s(1, 0.0) == pytest.approx(16)
    assert domain.wait_s(1, 1.0) == pytest.approx(24)


@pytest.mark.parametrize(
    ("attempts", "outcome", "state"),
    [
        (1, Outcome(True, "taken"), "sent"),
        (1, Outcome(False, "answered 500"), "failed"),
        (7, Outcome(False, "answered 500"), "failed"),
        (8, Outcome(False, "answered 500"), "dead"),
        (1, Outcome(False, "not allowed", permanent=True), "dead"),
        (1, Outcome(False, "410", gone=True), "dead"),
        (8, Outcome(True, "taken"), "sent"),
    ],
)
def test_what_becomes_of_an_attempt(attempts: int, outcome: Outcome, state: str) -> None:
    settled = domain.settle(delivery(attempts), outcome, NOW, 0.5)
    assert settled.state == state
    assert (settled.reason is None) == (state == "sent")


def test_the_receivers_wish_to_wait_is_granted_within_bounds() -> None:
    later = domain.settle(delivery(1), Outcome(False, "429", retry_after_s=600), NOW, 0.5)
    assert later.next_attempt_at == NOW + timedelta(seconds=600)
    absurd = domain.settle(delivery(1), Outcome(False, "429", retry_after_s=9e9), NOW, 0.5)
    assert absurd.next_attempt_at == NOW + timedelta(seconds=domain.WAIT_S_MAX)


def test_a_failing_webhook_is_left_alone_longer_and_longer() -> None:
    assert [domain.pause_s(n) for n in (1, 2, 3)] == [5, 10, 20]
    assert domain.pause_s(1_000) == domain.PAUSE_S_MAX


def test_quiet_hours_begin_two_hours_later_in_urumqi() -> None:
    quiet, now = (time(22), time(7)), NOW.replace(hour=15)  # 23:00 in Beijing, 21:00 in Urumqi
    assert domain.quiet_until(now, quiet, SHANGHAI) is not None
    assert domain.quiet_until(now, quiet, URUMQI) is None
    ends = domain.quiet_until(now + timedelta(hours=2), quiet, URUMQI)
    assert ends is not None and ends.astimezone(UTC) == (now + timedelta(days=1)).replace(hour=1, minute=0)


@pytest.mark.parametrize(
    ("quiet", "hour_utc", "ends_utc"),
    [
        ((time(22), time(7)), 15, 23),  # 23:00 city time, to 07:00
        ((time(22), time(7)), 22, 23),  # 06:00 city time
        ((time(22), time(7)), 4, None),  # noon
        ((time(11), time(13)), 4, 5),
        ((time(12), time(13)), 4, 5),  # the first minute counts
        ((time(11), time(12)), 4, None),  # the last one doesn't
        (None, 4, None),
    ],
)
def test_quiet_hours_are_city_time_and_cross_midnight(
    quiet: tuple[time, time] | None, hour_utc: int, ends_utc: int | None
) -> None:
    now = NOW.replace(hour=hour_utc)
    ends = domain.quiet_until(now, quiet, SHANGHAI)
    assert (ends is None) == (ends_utc is None)
    if ends is not None:
        assert ends.astimezone(UTC).hour == ends_utc
        assert timedelta(0) < ends - now <= timedelta(days=1)


@pytest.mark.parametrize(
    ("preferred", "locale", "chosen"),
    [(None, None, "zh"), (None, "en", "en"), ("zh", "en", "zh"), ("en", "zh", "en"), (None, "fr", "zh")],
)
def test_the_readers_language(preferred: str | None, locale: str | None, chosen: str) -> None:
    assert domain.choose_language(preferred, locale) == chosen


def test_a_hint_gives_away_little() -> None:
    assert domain.mask("mail", "zhang.san@example.cn") == "z***@example.cn"
    assert domain.mask("dingtalk", "dingtalk://0123456789abcdef") == "dingtalk://***cdef"
