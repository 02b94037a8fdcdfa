"""One rule as the file, the table and the memory have it, and what may not stand in it. Pure.

An award says what a report or deed earns, a cap how much a rider may earn, a campaign by how much awards are multiplied
while it lasts. Empty texts: any.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Sort = Literal["award", "cap", "campaign"]
FIRST, CO = "first", "co"
"""The roles of a case's reporters."""
NAME = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
NAME_MAX = 40
POINTS_MAX = 1_000_000
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule of a set. Points are whole; `points` None: the kind's own of the catalogue, and so with `co_percent`.

    `co_max`: how many reporters after the first earn. Percent of a campaign: 200 is twice.
    """

    name: str
    line: int
    sort: Sort
    source: str = ""
    area: str = ""
    kind: str = ""
    level: str = ""
    action: str = ""
    role: str = ""
    outcome: str = ""
    points: int | None = None
    co_percent: int | None = None
    co_max: int | None = None
    per: str = ""
    each: str = ""
    points_max: int | None = None
    count_max: int | None = None
    percent: int | None = None
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    zh: str = ""
    en: str = ""

    @property
    def what(self) -> str:
        """The kind of a report or the action of a deed that it is for; empty: any."""
        return self.kind or self.action

    def holds(self, at: datetime) -> bool:
        """Whether it is in force at an instant."""
        return (self.begins_at is None or self.begins_at <= at) and (self.ends_at is None or at < self.ends_at)

    @property
    def scope(self) -> tuple[object, ...]:
        """What it is for: of two rules with one scope only one may be in force at a time."""
        measure = (self.per, self.each, self.points_max is None) if self.sort == "cap" else ()
        return (self.sort, self.source, self.area, self.what, self.level, self.role, self.outcome, *measure)


@dataclass(frozen=True, slots=True)
class RuleFault:
    """What is wrong with one rule: its line in the file, the column at fault, and why."""

    line: int
    column: str
    problem: str


def faults_of(
    rows: Sequence[RuleRow], is_kind: Callable[[str], bool], is_area: Callable[[str], bool]
) -> list[RuleFault]:
    """Everything that is wrong with a set, by line. `is_kind`, `is_area`: what the city has."""
    found: list[RuleFault] = []
    names: dict[str, int] = {}
    scopes: dict[tuple[object, ...], list[RuleRow]] = {}
    for row in rows:
        found += [RuleFault(row.line, column, why) for column, why in _alone(row, is_kind, is_area)]
        if (before := names.setdefault(row.name, row.line)) != row.line:
            found.append(RuleFault(row.line, "rule", f"line {before} has the same name"))
        same = scopes.setdefault(row.scope, [])
        if clash := next((one for one in same if _overlap(one, row)), None):
            why = f"line {clash.line} is for the same, and in force at the same time"
            found.append(RuleFault(row.line, "area" if row.area else "rule", why))
        same.append(row)
    return sorted(found, key=lambda fault: fault.line)


def _overlap(one: RuleRow, other: RuleRow) -> bool:
    begins = max(one.begins_at or EARLIEST, other.begins_at or EARLIEST)
    return begins < min(one.ends_at or LATEST, other.ends_at or LATEST)


_OF_SORT: dict[str, frozenset[str]] = {
    "award": frozenset({"level", "role", "outcome", "points", "co_percent", "co_max"}),
    "cap": frozenset({"per", "each", "points_max", "count_max"}),
    "campaign": frozenset({"level", "role", "outcome", "percent"}),
}
_SOME = frozenset[str]().union(*_OF_SORT.values())


def _alone(row: RuleRow, is_kind: Callable[[str], bool], is_area: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """(column, why) of what is wrong with a rule, whatever the others say."""
    for column in sorted(_SOME - _OF_SORT[row.sort]):
        if getattr(row, column) not in ("", None):
            yield column, f"has no place in a rule of the sort {row.sort}"
    if row.kind and not is_kind(row.kind):
        yield "kind", "the catalogue has no such kind"
    if row.area and not is_area(row.area):
        yield "area", "no area of the city has this code"
    if row.kind and row.action:
        yield "action", "a rule is for a kind of report or for an action, not for both"
    if (row.kind or row.level) and row.source != "report":
        yield "source", "kinds and levels are of reports"
    if (row.action or row.outcome) and row.source != "deed":
        yield "source", "actions and outcomes are of deeds"
    if row.source == "report" and row.role not in ("", FIRST, CO):
        yield "role", f"the reporters of a case are {FIRST} and {CO}"
    if row.begins_at is not None and row.ends_at is not None and row.ends_at <= row.begins_at:
        yield "until", "ends before it begins"
    yield from {"award": _award, "cap": _cap, "campaign": _campaign}[row.sort](row)


def _award(row: RuleRow) -> Iterator[tuple[str, str]]:
    if not row.source:
        yield "source", "an award is for reports or for deeds"
    if row.source == "deed":
        yield from _deed_award(row)
    elif row.source == "report" and row.role != FIRST and row.co_max is None:
        yield "co_max", "how many reporters after the first earn?"


def _deed_award(row: RuleRow) -> Iterator[tuple[str, str]]:
    if not row.action:
        yield "action", "which deed?"
    if row.points is None:
        yield "points", "how many?"
    for column in ("co_percent", "co_max"):
        if getattr(row, column) is not None:
            yield column, "deeds have no reporters"


def _cap(row: RuleRow) -> Iterator[tuple[str, str]]:
    if not row.per:
        yield "per", "day or week?"
    if (row.points_max is None) == (row.count_max is None):
        yield "points_max", "a cap has points_max or count_max"
    if row.each == "kind" and row.what:
        yield "each", "a cap for one kind or action counts no other ones"


def _campaign(row: RuleRow) -> Iterator[tuple[str, str]]:
    if row.percent is None:
        yield "percent", "by how much? 200 is twice"
    if row.ends_at is None:
        yield "until", "a campaign ends"
