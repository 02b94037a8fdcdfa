"""Streaks, levels, badges and places, from what was credited. Pure."""

import hmac
from base64 import b32encode
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Literal
from uuid import UUID

Measure = Literal["points", "reports", "streak"]
Period = Literal["day", "week", "month"]
Movement = Literal["held", "posted", "reversed"]
SIGNATURE_CHARS = 32
KEPT_DAYS = 400
"""Days for which deeds and what was credited on a day are kept."""
HANDLE_BYTES = 5
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Credit:
    """What one deed adds to its rider's totals, and on which days."""

    reported_on: date
    credited_on: date
    points: int
    company: str
    grid_code: str


@dataclass(slots=True)
class Deed:
    """What points have said of one report, or of another service's deed. `reported_on`: the first day on which its
    points were held, in the city's zone; without a hold, that on which they were posted."""

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
    def credit(self) -> Credit | None:
        """What it adds now: None unless its points are the rider's."""
        if not self.posted or self.reversed or self.reported_on is None or self.credited_on is None:
            return None
        return Credit(self.reported_on, self.credited_on, self.points, self.company, self.grid_code)

    def take(self, movement: Movement, on: date, points: int, company: str, grid_code: str) -> None:
        """What was heard of it; in any order and again it comes to the same."""
        if movement == "reversed":
            self.reversed = True
            return
        # a hold is never later than the posting of its points
        self.reported_on = on if self.reported_on is None else min(self.reported_on, on)
        if movement == "posted":
            self.posted, self.credited_on, self.points = True, on, points
            self.company, self.grid_code = company, grid_code


@dataclass(slots=True)
class Standing:
    """A rider's totals; `reports`: how many reports and other deeds. `streak_on`, `best_on`: the last days of the last
    streak and of the longest."""

    rider_id: UUID
    points: int
    reports: int
    streak: int
    best_streak: int
    streak_on: date | None
    best_on: date | None

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
class Reached:
    """The level that a rider has reached, and its rank; all None, and 0, where there is none."""

    rider_id: UUID
    code: str | None
    rank: int
    zh: str | None
    en: str | None


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


def ranks(rules: Iterable[Rule]) -> dict[str, int]:
    """Each level's place among those in force, from 1 by threshold; 0 of those that everybody has."""
    levels = sorted((one for one in rules if one.kind == "level"), key=lambda one: (one.least, one.code))
    free = sum(one.least == 0 for one in levels)
    return {one.code: max(0, at - free) for at, one in enumerate(levels, 1)}


def reached(rules: Sequence[Rule], standing: Standing) -> Reached:
    """A rider's level by the rules in force."""
    level = level_of(rules, standing)
    if level is None:
        return Reached(standing.rider_id, None, 0, None, None)
    return Reached(standing.rider_id, level.code, ranks(rules)[level.code], level.zh, level.en)


def count_streaks(standing: Standing, days: Collection[date], since: date) -> None:
    """Count a rider's streaks again, also to less: what a streak was made of may have been taken back.

    Args:
        standing: with the streaks that were counted before.
        days: those with something that counts; from `since` on all that there are.
        since: what lies before may have left the tables; the former streaks say of which days it was.
    """
    known = {*days, *_before(since, standing.streak, standing.streak_on)}
    known.update(_before(since, standing.best_streak, standing.best_on))
    length = best = 0
    last = best_on = None
    for day in sorted(known):
        length = length + 1 if last is not None and day - last == _DAY else 1
        last = day
        if length >= best:
            best, best_on = length, day
    standing.streak, standing.streak_on, standing.best_streak, standing.best_on = length, last, best, best_on


def _before(since: date, length: int, last: date | None) -> Iterator[date]:
    """The days of a streak that lie before a day."""
    if last is not None:
        yield from (day for back in range(length) if (day := last - back * _DAY) < since)


def days_of(period: Period, on: date) -> tuple[date, date]:
    """First and last day of the day, week (from Monday) or month that a day lies in."""
    if period == "day":
        return on, on
    if period == "week":
        first = on - timedelta(days=on.weekday())
        return first, first + timedelta(days=6)
    first = on.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - _DAY


def handle(key: bytes, rider_id: UUID) -> str:
    """What stands for a rider where others read it: the same for as long as the key is, and nobody's name. Who knows
    the rider's id, but not the key, can't say whose it is.
    """
    digest = hmac.digest(key, b"handle:" + rider_id.bytes, sha256)[:HANDLE_BYTES]
    return f"小蜂-{b32encode(digest).decode()}"


def signature(key: bytes, award_id: UUID) -> str:
    """What proves that a badge is ours."""
    return hmac.digest(key, b"badge:" + award_id.bytes, sha256).hex()[:SIGNATURE_CHARS]


def is_signed(keys: Sequence[bytes], award_id: UUID, given: str) -> bool:
    """Whether one of the keys has signed that badge."""
    return any(hmac.compare_digest(signature(key, award_id), given) for key in keys)
