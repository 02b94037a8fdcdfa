"""What a set of rules would have paid for what has happened, and to whom. Pure: it is fed with what was judged then.

Rules and caps are applied, in the order in which things were heard; budgets are not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from services.points.domain import DayUse, Source
from services.points.earning import rules
from services.points.earning.rules import Asked, RuleSet, reporter
from shared.catalog import Catalogue

Line = Callable[[str], tuple[str, ...]]
KEPT = timedelta(days=8)
"""For how long a day's uses are asked for: a week's caps."""


@dataclass(frozen=True, slots=True)
class Past:
    """A report or deed that was judged: what it was, and what it has earned. `paid`: points, 0 where it was refused."""

    id: UUID
    rider_id: UUID
    source: Source
    kind: str
    paid: int
    repeated: bool
    happened_at: datetime
    place: str
    ordinal: int
    quantity: int
    role: str
    outcome: str


@dataclass(slots=True)
class Sums:
    """Of one area and kind."""

    n: int = 0
    was: int = 0
    would: int = 0
    riders: set[UUID] = field(default_factory=set)


@dataclass(slots=True)
class DryRun:
    """Adds up what was paid and what `judge` would have paid. `counts_from`: what is earlier only fills the caps."""

    judge: RuleSet
    catalogue: Catalogue
    zone: ZoneInfo
    line: Line
    area_of: Callable[[str], str]
    """Under which area a place is added up."""
    counts_from: datetime
    sums: dict[tuple[str, str], Sums] = field(default_factory=dict)
    riders: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    """Rider → (was, would)."""
    _uses: dict[tuple[UUID, date], DayUse] = field(default_factory=dict)
    _newest: date = date.min

    def take(self, past: Past) -> None:
        """Judge one more."""
        would = self._would(past)
        if past.happened_at < self.counts_from:
            return
        key = (self.area_of(past.place), past.kind)
        sums = self.sums.setdefault(key, Sums())
        sums.n += 1
        sums.was += past.paid
        sums.would += would
        sums.riders.add(past.rider_id)
        was, so_far = self.riders.get(past.rider_id, (0, 0))
        self.riders[past.rider_id] = (was + past.paid, so_far + would)

    def _would(self, past: Past) -> int:
        asked = self._asked(past)
        if asked is None:
            return 0
        found = self.judge.judge(asked)
        if found.refusal is not None:
            return 0
        days = rules.days_of(asked.on, self.judge.weekly)
        uses = {day: use for day in days if (use := self._uses.get((past.rider_id, day))) is not None}
        if rules.over_cap(self.judge, asked, found.amount, uses) is not None:
            return 0
        self._forget(asked.on)
        self._uses.setdefault((past.rider_id, asked.on), DayUse()).add(asked.counted, asked.grid, found.amount)
        return found.amount

    def _asked(self, past: Past) -> Asked | None:
        asked = Asked(
            source=past.source, line=self.line(past.place), what=past.kind, at=past.happened_at,
            on=past.happened_at.astimezone(self.zone).date(), grid=past.place, role=past.role, outcome=past.outcome,
            quantity=past.quantity, ordinal=past.ordinal, repeated=past.repeated,
        )  # fmt: skip
        if past.source == "report":
            kind = self.catalogue.kind(past.kind, past.happened_at)
            if kind is None:
                return None
            asked.level, asked.points, asked.co_percent = kind.level, kind.points, kind.co_reporter_percent
            asked.role = reporter(past.ordinal)
        return asked

    def _forget(self, on: date) -> None:
        """Let go of days that no cap asks for any more."""
        if on > self._newest:
            self._newest = on
            oldest = on - KEPT
            self._uses = {key: use for key, use in self._uses.items() if key[1] >= oldest}
