"""Thresholds and words, without a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

from services.screening.domain import (
    TEXTS,
    Finding,
    Limits,
    Pair,
    Reason,
    is_ring,
    limits_at,
    often,
    quick,
    signed,
    words,
)
from shared.kit.ids import new_id

LIMITS = Limits(
    version=1, effective_from=datetime(2020, 1, 1, tzinfo=UTC), raise_at=100, velocity_minutes=10, velocity_reports=6,
    velocity_score=100, day_reports=40, day_score=100, slow_kmh=70, fast_kmh=140, travel_least_m=1500,
    travel_score=100, photo_score=100, similar_bits=3, similar_score=60, pair_days=30, pair_cases=8, pair_percent=80,
    pair_excess=40, pair_score=100, quick_minutes=10, quick_cases=5, quick_score=100, ring_days=30, ring_cases=5,
    ring_percent=75, ring_score=100, set_by="beegrid", reason="test",
)  # fmt: skip


def pair(**counts: int) -> Pair:
    usual = {"cases": 10, "by_them": 10, "quick": 0, "near": 20, "near_by_them": 6, "others": 30, "others_quick": 1}
    return Pair(new_id(), "v", **(usual | counts))


def test_limits_hold_from_their_instant() -> None:
    later = replace(LIMITS, version=2, effective_from=LIMITS.effective_from + timedelta(days=9))
    assert limits_at([LIMITS, later], later.effective_from) is later
    assert limits_at([LIMITS, later], later.effective_from - timedelta(seconds=1)) is LIMITS
    assert limits_at([LIMITS, later], LIMITS.effective_from - timedelta(days=9)) is LIMITS


def test_a_share_is_much_only_beside_what_is_usual() -> None:
    assert often(pair(), LIMITS) == 100
    assert often(pair(near_by_them=13), LIMITS) is None, "the others there have the same verifier"
    assert often(pair(near=7, near_by_them=0), LIMITS) is None, "too few to say"
    assert often(pair(by_them=7), LIMITS) is None
    assert quick(pair(quick=9), LIMITS) == 90
    assert quick(pair(quick=9, others_quick=20), LIMITS) is None, "one who is always quick"
    assert quick(pair(quick=4, by_them=4), LIMITS) is None


def test_a_ring_is_the_rule_of_one_of_the_two() -> None:
    assert is_ring(6, 200, 8, LIMITS) and not is_ring(6, 200, 9, LIMITS) and not is_ring(4, 4, 4, LIMITS)


def test_hashes_are_signed_in_both_halves() -> None:
    assert signed("0" * 15 + "f") == 15 and signed("f" * 16) == -1


def test_each_reason_has_words_in_both_languages() -> None:
    assert set(TEXTS) == set(get_args(Reason))
    for reason in TEXTS:
        zh, en = words(Finding(new_id(), new_id(), reason, 100, 17, 6, 30))
        assert "{" not in zh + en and zh != en
