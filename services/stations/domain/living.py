"""What is so at a station now: from its hours, special days, periods of its area, and what was found. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from services.stations.domain.hours import LOOK_DAYS, SpecialDay, at, is_within, times, week_of
from shared.events.public_station_changed import StationState

PeriodKind = Literal["holiday", "weather", "other"]
SpellState = Literal["full", "closed", "fault"]
Found = Literal["open", "full", "closed", "fault"]
TAKES_VISITS: frozenset[StationState] = frozenset({"open", "full"})
SHUT_BY_RULE: frozenset[StationState] = frozenset({"off_hours", "day_off", "weather"})


@dataclass(frozen=True, slots=True)
class Period:
    """A time of areas (none: the whole city): a holiday, a storm. `closes` False: stations should be open in it, and
    what is found meanwhile is counted under it. `ends_at` None: not known yet."""

    id: UUID
    kind: PeriodKind
    closes: bool
    areas: tuple[str, ...]
    reason: str
    begins_at: datetime
    ends_at: datetime | None

    def holds(self, now: datetime) -> bool:
        """Whether it is now."""
        return self.begins_at <= now and (self.ends_at is None or now < self.ends_at)


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which a station was full, or closed although its hours say open, or a part of it out of order.

    `part`: which facility, of a fault. `sightings`, `denials`: riders who found it so, or didn't. `until_at`: when it
    ends by itself. `confirmed_role`: of whom at work has confirmed it, "" where only riders say so.
    """

    id: UUID
    station_id: UUID
    state: SpellState
    part: str
    reason: str
    period_id: UUID | None
    began_at: datetime
    until_at: datetime | None
    ended_at: datetime | None
    sightings: int
    denials: int
    confirmed_at: datetime | None
    confirmed_role: str
    confirmed_by: str

    def holds(self, believed: int) -> bool:
        """Whether it decides what others read. `believed`: so many riders are taken at their word."""
        return self.ended_at is None and (self.confirmed_at is not None or self.sightings >= believed)


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a station is open by itself."""

    hours: str
    open_on_holidays: bool
    retired: bool


@dataclass(frozen=True, slots=True)
class Status:
    """What others read. `until`: when it will be otherwise, as far as is known; `next_at`: when to look again."""

    state: StationState
    reason: str
    until: datetime | None
    faults: tuple[str, ...]
    next_at: datetime


def status(
    table: Timetable,
    special: Mapping[date, SpecialDay],
    periods: Collection[Period],
    spells: Sequence[Spell],
    now: datetime,
    zone: ZoneInfo,
    believed: int,
) -> Status:
    """What is so now. `periods`: of the station's areas alone."""
    today = now.astimezone(zone).date()
    spans = times(week_of(table.hours), special, now, zone)
    there = [one for one in spells if one.holds(believed)]
    faults = tuple(sorted({one.part for one in there if one.state == "fault"}))
    state, reason, until = _state(table, special.get(today), periods, there, spans, now)
    # each midnight closes a day's sum
    looks = [at(today + timedelta(days=1), 0, zone)]
    looks += [edge for span in spans for edge in span]
    looks += [edge for one in periods for edge in (one.begins_at, one.ends_at) if edge is not None]
    looks += [one.until_at for one in spells if one.ended_at is None and one.until_at is not None]
    return Status(state, reason, until, faults, min(edge for edge in looks if edge > now))


def _state(
    table: Timetable,
    today: SpecialDay | None,
    periods: Collection[Period],
    there: Sequence[Spell],
    spans: Sequence[tuple[datetime, datetime]],
    now: datetime,
) -> tuple[StationState, str, datetime | None]:
    if table.retired:
        return "retired", "", None
    for one in sorted(periods, key=lambda one: (one.kind != "weather", one.begins_at)):
        # who has said what holds on this very day is taken at their word
        kept_open = one.kind == "holiday" and (table.open_on_holidays or today is not None)
        if one.closes and one.holds(now) and not kept_open:
            return ("weather" if one.kind == "weather" else "day_off"), one.reason, one.ends_at
    if (shut := _first(there, "closed")) is not None:
        return "closed", shut.reason, shut.until_at
    if not is_within(spans, now):
        opens = min((begins for begins, _ in spans if begins > now), default=None)
        if today is not None and not today.hours:
            return "day_off", today.reason, opens
        return "off_hours", "", opens
    closes = next(ends for begins, ends in spans if begins <= now < ends)
    if (full := _first(there, "full")) is not None:
        return "full", full.reason, full.until_at
    # beyond what is looked at there is no end: it would move on every day, and each midnight were a change
    return "open", "", closes if closes - now < timedelta(days=LOOK_DAYS - 1) else None


def _first(there: Sequence[Spell], state: SpellState) -> Spell | None:
    return min((one for one in there if one.state == state), key=lambda one: one.began_at, default=None)
