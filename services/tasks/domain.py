"""The words and rules of tasks, without a database: times, hours, places, what a claim may become. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Literal
from uuid import UUID

Kind = Literal["volunteer-task", "errand"]
State = Literal["open", "cancelled", "over"]
TeamKind = Literal["helpers", "lookouts", "grid_workers", "other"]
ClaimState = Literal[
    "waiting", "claimed", "started", "finished", "approved", "rejected", "handed_back", "no_show", "called_off",
    "unserved",
]  # fmt: skip
PLACED: frozenset[ClaimState] = frozenset({"claimed", "started", "finished", "approved", "rejected"})
"""States of a claim that has a place."""
LIVE: frozenset[ClaimState] = frozenset({"waiting", "claimed", "started"})
"""States in which a rider has still something to do, or to wait for."""
DAY_MINUTES = 24 * 60
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of every day in minutes from midnight, [since, until)."""

    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it is now. `taken`: places that riders have; `claims`: all that ever were.

    claims = taken + waiting + handed_back + no_shows + called_off, always: a constraint. `waiting` counts those too
    whom nobody's place was left for.
    """

    id: UUID
    version: int
    series_id: UUID | None
    team_id: UUID | None
    kind: Kind
    area_code: str
    title: str
    needs: str
    address: str
    lng: float | None
    lat: float | None
    skills: tuple[str, ...]
    capacity: int
    points: int
    points_given: int
    starts_at: datetime
    ends_at: datetime
    hand_back_until: datetime
    state: State
    paused: bool
    was_paused: bool
    claims: int
    taken: int
    waiting: int
    handed_back: int
    no_shows: int
    called_off: int
    approved: int
    published_by: str
    reason: str
    changed_at: datetime
    left_topic: bool

    def free_at(self, now: datetime) -> int:
        """Places that can be had at once: none while others wait for them."""
        return 0 if self.waiting and self.line_open_at(now) else self.capacity - self.taken

    def line_open_at(self, now: datetime) -> bool:
        """Whether there is a waiting list: places that come back later than one may hand back go to who asks."""
        return now < self.hand_back_until


@dataclass(frozen=True, slots=True)
class Moves:
    """What a task's figures change by."""

    claims: int = 0
    taken: int = 0
    waiting: int = 0
    handed_back: int = 0
    no_shows: int = 0
    called_off: int = 0
    approved: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """One rider's part in a task. `no`: their number in the task's line, which nobody else ever has."""

    id: UUID
    version: int
    task_id: UUID
    rider_id: UUID
    team_id: UUID | None
    no: int
    state: ClaimState
    promoted: bool
    claimed_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    photo_id: UUID | None
    note: str
    review_due_at: datetime | None
    reviewed_by: str | None
    reviewed_at: datetime | None
    overturned_by: str | None
    decided_at: datetime | None
    reason: str
    appeal: str
    appealed_at: datetime | None
    appeal_decided_by: str | None
    appeal_decided_at: datetime | None
    contact_sealed: str | None

    @property
    def appeal_open(self) -> bool:
        """Whether somebody has to decide on it."""
        return self.appealed_at is not None and self.appeal_decided_at is None

    @property
    def has_judged(self) -> frozenset[str]:
        """Who has decided on the work, and so decides on no appeal of it."""
        return frozenset(one for one in (self.reviewed_by, self.overturned_by) if one)


def hours_of(stated: str) -> tuple[Hours, ...]:
    """`11:00-13:00,17:00-19:30` as hours; "" is none. Raises ValueError for what can't be read or runs backwards."""
    found = []
    for one in (part.strip() for part in stated.split(",") if part.strip()):
        if (read := _HOURS.fullmatch(one)) is None:
            raise ValueError(f"{one!r}: hours are written 11:00-13:00")
        since, until = int(read[1]) * 60 + int(read[2]), int(read[3]) * 60 + int(read[4])
        if not since < until <= DAY_MINUTES:
            raise ValueError(f"{one!r}: hours end after they begin, on the same day")
        found.append(Hours(since, until))
    return tuple(found)


def in_peak(starts_at: datetime, ends_at: datetime, peaks: Sequence[Hours], zone: tzinfo) -> Hours | None:
    """The first peak hours that [starts_at, ends_at) reaches into, by the city's clock; None: it keeps clear of all."""
    first, last = starts_at.astimezone(zone), ends_at.astimezone(zone)
    for day in range((last.date() - first.date()).days + 1):
        midnight = datetime.combine(first.date() + timedelta(days=day), time(), zone)
        for peak in peaks:
            since, until = midnight + timedelta(minutes=peak.since), midnight + timedelta(minutes=peak.until)
            if first < until and since < last:
                return peak
    return None


def occurrences(weekday: int, minute: int, since: date, until: date, zone: tzinfo) -> Iterator[datetime]:
    """Starts of a weekly task on days of [since, until), by the city's clock. `weekday`: 1 is Monday."""
    day = since + timedelta(days=(weekday - since.isoweekday()) % 7)
    while day < until:
        yield datetime.combine(day, time(minute // 60, minute % 60), zone)
        day += timedelta(days=7)


def pauses_until(missed: Sequence[datetime], most: int, within: timedelta, pause: timedelta) -> datetime | None:
    """Until when a rider claims nothing who missed tasks at these times; None: they may.

    The newest `most` of them lie within `within`: then `pause` after the newest.
    """
    newest = sorted(missed, reverse=True)[:most]
    if len(newest) < most or newest[0] - newest[-1] > within:
        return None
    return newest[0] + pause
