"""Streaks, levels, badges and places, from what was credited. Pure."""

import hmac
from base64 import b32encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import blake2b, sha256
from typing import Literal
from uuid import UUID

Measure = Literal["points", "reports", "streak"]
Period = Literal["day", "week", "month"]
Movement = Literal["held", "posted", "reversed"]
SIGNATURE_CHARS = 32
_DAY = timedelta(days=1)


@dataclass(slots=True)
class Deed:
    """What points have said of one report. `reported_on`: when its points were first held, in the city's zone."""

    source_id: UUID
    rider_id: UUID
    reported_on: date | None = None
    credited_on: date | None = None
    points: int = 0
    company: str = ""
    grid_code: str = ""
    posted: bool = False
    reversed: bool = False

    @property
    def counts(self) -> bool:
        """Whether its points are the rider's."""
        return self.posted and not self.reversed

    def take(self, movement: Movement, on: date, points: int, company: str, grid_code: str) -> None:
        """What was heard of it; in any order and again it comes to the same."""
        if movement == "held":
            self.reported_on = on
        elif movement == "posted":
            self.posted, self.credited_on, self.points = True, on, points
            self.company, self.grid_code = company, grid_code
            self.reported_on = self.reported_on or on
        else:
            self.reversed = True


@dataclass(slots=True)
class Standing:
    """A rider's totals; `streak_on`: the last day of the streak."""

    rider_id: UUID
    points: int
    reports: int
    streak: int
    best_streak: int
    streak_on: date | None

    def of(self, measure: Measure) -> int:
        """One of its numbers; of streaks the best one."""
        if measure == "points":
            return self.points
        return self.reports if measure == "reports" else self.best_streak

    def streak_at(self, today: date) -> int:
        """How long the streak is: 0 once a whole day has gone without a report."""
        return self.streak if self.streak_on is not None and self.streak_on >= today - _DAY else 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold from an instant on; the newest of a code holds."""

    code: str
    version: int
    effective_from: datetime
    kind: Literal["badge", "level"]
    zh: str
    en: str
    measure: Measure
    least: int
    active: bool
    set_by: str


@dataclass(frozen=True, slots=True)
class Award:
    """A rider's badge. `valid`: what it was given for is still theirs."""

    award_id: UUID
    rider_id: UUID
    code: str
    zh: str
    en: str
    awarded_at: datetime
    valid: bool


@dataclass(frozen=True, slots=True)
class Place:
    """One line of a board: equal points have an equal place, and the next one is as far behind as they are many."""

    place: int
    key: str
    points: int


def in_force(rules: Iterable[Rule], at: datetime) -> list[Rule]:
    """Of each code the newest rule that has begun, where it is active; by measure and threshold."""
    newest: dict[str, Rule] = {}
    for rule in rules:
        known = newest.get(rule.code)
        if rule.effective_from <= at and (known is None or known.effective_from < rule.effective_from):
            newest[rule.code] = rule
    return sorted((one for one in newest.values() if one.active), key=lambda one: (one.measure, one.least, one.code))


def level_of(rules: Iterable[Rule], standing: Standing) -> Rule | None:
    """The highest level that is reached."""
    reached = [one for one in rules if one.kind == "level" and standing.of(one.measure) >= one.least]
    return max(reached, key=lambda one: (one.least, one.code), default=None)


def streaks(days: Sequence[date]) -> tuple[int, int, date | None]:
    """(the last streak, the longest, the last day) of ascending days."""
    last = longest = 0
    before: date | None = None
    for day in days:
        last = last + 1 if before is not None and day - before == _DAY else 1
        longest = max(longest, last)
        before = day
    return last, longest, before


def days_of(period: Period, on: date) -> tuple[date, date]:
    """First and last day of the day, week (from Monday) or month that a day lies in."""
    if period == "day":
        return on, on
    if period == "week":
        first = on - timedelta(days=on.weekday())
        return first, first + timedelta(days=6)
    first = on.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - _DAY


def handle(rider_id: UUID) -> str:
    """What stands for a rider where others read it: always the same, and nobody's name."""
    digest = blake2b(rider_id.bytes, digest_size=5, person=b"beegrid-handle").digest()
    return f"小蜂-{b32encode(digest).decode()}"


def signature(key: bytes, award_id: UUID) -> str:
    """What proves that a badge is ours."""
    return hmac.digest(key, b"badge:" + award_id.bytes, sha256).hex()[:SIGNATURE_CHARS]


def is_signed(keys: Sequence[bytes], award_id: UUID, given: str) -> bool:
    """Whether one of the keys has signed that badge."""
    return any(hmac.compare_digest(signature(key, award_id), given) for key in keys)
