"""Rules in memory: which one is the nearest, what it gives, and which caps bound a rider. Pure.

The nearest area's rule wins (grid, community, street, district, city, then everywhere); in one area the rule that says
more. What happened is judged by the set, and by the rules in it, that were in force when it happened.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from services.points.domain import DayUse, Source
from services.points.earning.rows import CO, FIRST, RuleRow

EVERYWHERE = ""
FOUND_MAX = 50_000
"""Answers that one set remembers."""
DEED = "deed/"
"""Before an action where uses are counted: no kind of report begins so."""
Nouns = Literal["points", "reports", "times"]


@dataclass(slots=True)
class Asked:
    """What is judged. `line`: the codes of the areas that cover the place, the largest first; `what`: kind or action.

    `ordinal`, `points`, `co_percent` are a report's: its rider's place among the reporters, and what its kind gives.
    """

    source: Source
    line: tuple[str, ...]
    what: str
    at: datetime
    on: date
    grid: str = ""
    level: str = ""
    role: str = ""
    outcome: str = ""
    quantity: int = 1
    ordinal: int = 1
    points: int = 0
    co_percent: int = 0
    repeated: bool = False

    @property
    def counted(self) -> str:
        """Under what its uses are counted."""
        return self.what if self.source == "report" else DEED + self.what


@dataclass(slots=True)
class Judged:
    """What a report or deed earns, or why nothing. `rule` as in `RuleSet.ref`."""

    amount: int
    refusal: str | None
    rule: str | None


@dataclass(frozen=True, slots=True)
class _Slot:
    """One measure of caps: rules of nearer areas for the same measure replace those of farther ones."""

    source: str
    what: str
    per: str
    each: str
    by_points: bool


@dataclass(frozen=True)
class RuleSet:
    """All rules from an instant until the next set's. Immutable; `by_name` explains what was decided by it."""

    version: int
    effective_from: datetime
    rows: tuple[RuleRow, ...]
    set_by: str = ""
    reason: str = ""
    by_name: dict[str, RuleRow] = field(init=False, repr=False, compare=False)
    _awards: dict[tuple[str, str, str], list[RuleRow]] = field(init=False, repr=False, compare=False)
    _campaigns: dict[tuple[str, str, str], list[RuleRow]] = field(init=False, repr=False, compare=False)
    _caps: dict[_Slot, dict[str, list[RuleRow]]] = field(init=False, repr=False, compare=False)
    weekly: bool = field(init=False, repr=False, compare=False)
    """Whether a cap counts by week."""
    _timeless: bool = field(init=False, repr=False, compare=False)
    """Whether none of its rules begins or ends by itself: then what was found once holds for all of its kind."""
    _found: dict[object, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        caps: dict[_Slot, dict[str, list[RuleRow]]] = {}
        for row in (one for one in self.rows if one.sort == "cap"):
            slot = _Slot(row.source, row.what, row.per, row.each, row.points_max is not None)
            caps.setdefault(slot, {}).setdefault(row.area, []).append(row)
        put = object.__setattr__
        put(self, "by_name", {row.name: row for row in self.rows})
        put(self, "_awards", _index(row for row in self.rows if row.sort == "award"))
        put(self, "_campaigns", _index(row for row in self.rows if row.sort == "campaign"))
        put(self, "_caps", caps)
        put(self, "weekly", any(slot.per == "week" for slot in caps))
        put(self, "_timeless", all(row.begins_at is None and row.ends_at is None for row in self.rows))
        put(self, "_found", {})

    def ref(self, row: RuleRow | None, campaign: RuleRow | None = None) -> str | None:
        """How holds name what has decided: `version/rule+campaign`."""
        if row is None:
            return None
        return f"{self.version}/{row.name}+{campaign.name}" if campaign is not None else f"{self.version}/{row.name}"

    def judge(self, asked: Asked) -> Judged:
        """What one report or deed earns, before caps and budgets."""
        row = self._once(_award_of, asked, asked.level, asked.role, asked.outcome)
        if row is None:
            return Judged(0, "no_points" if asked.source == "report" else "unknown_action", None)
        points = row.points if row.points is not None else asked.points
        if asked.source == "deed":
            return self._multiplied(points * asked.quantity, row, asked)
        if asked.repeated:
            return Judged(0, "already_reported", self.ref(row))
        if asked.ordinal > 1:
            if row.co_max is not None and asked.ordinal - 1 > row.co_max:
                return Judged(0, "co_reporters_max", self.ref(row))
            # a rule for co-reporters says what they get; any other one, which part of the first reporter's
            if row.role != CO or row.points is None:
                points = points * (row.co_percent if row.co_percent is not None else asked.co_percent) // 100
        return self._multiplied(points, row, asked)

    def caps_on(self, asked: Asked) -> Sequence[RuleRow]:
        """The caps that bound a report or deed, the nearest of each measure."""
        found: Sequence[RuleRow] = self._once(_caps_of, asked)
        return found

    def _once(self, find: Callable[["RuleSet", Asked], Any], asked: Asked, *more: str) -> Any:
        """What is found, remembered where time doesn't matter: places and kinds come again and again."""
        if not self._timeless:
            return find(self, asked)
        key = (find, asked.source, asked.line, asked.what, *more)
        try:
            return self._found[key]
        except KeyError:
            if len(self._found) >= FOUND_MAX:
                self._found.clear()
            found = self._found[key] = find(self, asked)
            return found

    def caps_nearest(self, asked: Asked) -> Iterator[RuleRow]:
        """As `caps_on`, looked for."""
        for slot, by_area in self._caps.items():
            if slot.source not in ("", asked.source) or slot.what not in ("", asked.what):
                continue
            for area in (*reversed(asked.line), EVERYWHERE) if len(by_area) > 1 or EVERYWHERE not in by_area else ("",):
                if row := next((one for one in by_area.get(area, ()) if one.holds(asked.at)), None):
                    yield row
                    break

    def _multiplied(self, points: int, row: RuleRow, asked: Asked) -> Judged:
        campaign = _nearest(self._campaigns, asked) if self._campaigns and points else None
        if campaign is not None and campaign.percent is not None:
            points = points * campaign.percent // 100
        return Judged(points, None if points else "no_points", self.ref(row, campaign))


@dataclass(frozen=True)
class RuleBook:
    """All sets there were and will be; `sets` ascend by the instant from which they are in force."""

    sets: tuple[RuleSet, ...]

    def at(self, instant: datetime) -> RuleSet:
        """The set in force; the first one also covers all before."""
        if len(self.sets) == 1:
            return self.sets[0]
        place = bisect_right(self.sets, instant, key=lambda one: one.effective_from)
        return self.sets[max(0, place - 1)]

    def version(self, number: int) -> RuleSet | None:
        """A set by its version."""
        return next((one for one in self.sets if one.version == number), None)

    @property
    def weekly(self) -> bool:
        """Whether any set has a cap by week."""
        return any(one.weekly for one in self.sets)


def _award_of(rules: RuleSet, asked: Asked) -> RuleRow | None:
    return _nearest(rules._awards, asked)


def _caps_of(rules: RuleSet, asked: Asked) -> Sequence[RuleRow]:
    return tuple(rules.caps_nearest(asked))


def _index(rows: Iterable[RuleRow]) -> dict[tuple[str, str, str], list[RuleRow]]:
    """(source, area, what) → rules, those that say more first."""
    found: dict[tuple[str, str, str], list[RuleRow]] = {}
    for row in sorted(rows, key=lambda one: -sum(map(bool, (one.level, one.role, one.outcome)))):
        for source in (row.source,) if row.source else ("report", "deed"):
            found.setdefault((source, row.area, row.what), []).append(row)
    return found


def _nearest(index: dict[tuple[str, str, str], list[RuleRow]], asked: Asked) -> RuleRow | None:
    for area in (*reversed(asked.line), EVERYWHERE):
        for what in (asked.what, ""):
            for row in index.get((asked.source, area, what), ()):
                if (
                    row.level in ("", asked.level)
                    and row.role in ("", asked.role)
                    and row.outcome in ("", asked.outcome)
                    and row.holds(asked.at)
                ):
                    return row
    return None


def reporter(ordinal: int) -> str:
    """As what a rider stands in a case: first, or co."""
    return FIRST if ordinal == 1 else CO


# --- caps -------------------------------------------------------------------------------------------------------------


def days_of(on: date, weekly: bool) -> Sequence[date]:
    """The days whose uses the caps of a day ask for: that one, or its week from Monday to Sunday."""
    if not weekly:
        return (on,)
    monday = on - timedelta(days=on.weekday())
    return tuple(monday + timedelta(days=n) for n in range(7))


def over_cap(rules: RuleSet, asked: Asked, amount: int, uses: dict[date, DayUse]) -> RuleRow | None:
    """The first cap that an amount would exceed. `uses`: the rider's, of the days that `days_of` names."""
    for row in rules.caps_on(asked):
        points, count = _used(row, asked, uses)
        if row.points_max is not None and points + amount > row.points_max:
            return row
        if row.count_max is not None and count >= row.count_max:
            return row
    return None


def cap_code(row: RuleRow) -> str:
    """The reason of a refusal: `points_per_day_max`, `kind_reports_per_day_max`, `grid_times_per_week_max` …"""
    noun: Nouns = "points" if row.points_max is not None else "reports" if row.source == "report" else "times"
    each = f"{row.each}_" if row.each else "kind_" if row.what else ""
    return f"{each}{noun}_per_{row.per}_max"


def _used(row: RuleRow, asked: Asked, uses: dict[date, DayUse]) -> tuple[int, int]:
    """(points, count) that a cap has counted so far."""
    points = count = 0
    for day in days_of(asked.on, row.per == "week"):
        if (use := uses.get(day)) is None:
            continue
        for (counted, grid), (more, n) in use.made.items():
            if (
                (row.source in ("", "deed" if counted.startswith(DEED) else "report"))
                and (not (row.what or row.each == "kind") or counted == asked.counted)
                and (row.each != "grid" or grid == asked.grid)
            ):
                points += more
                count += n
    return points, count
