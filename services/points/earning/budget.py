"""Budgets as a process knows them: which one pays for what happened where and when. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class Period:
    """One budget's place and time: from its first day until before `ends_on`, in the city's days."""

    id: int
    area: str
    begins_on: date
    ends_on: date


@dataclass(frozen=True)
class Directory:
    """All budgets there are, without what is left of them: that the database knows."""

    periods: tuple[Period, ...]
    _by_area: dict[str, list[Period]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_area: dict[str, list[Period]] = {}
        for one in self.periods:
            by_area.setdefault(one.area, []).append(one)
        object.__setattr__(self, "_by_area", by_area)

    def of(self, line: Sequence[str], on: date) -> int | None:
        """The budget of the nearest area that has one for a day; None: nobody has said how much may be spent."""
        if not self._by_area:
            return None
        for area in reversed(line):
            for one in self._by_area.get(area, ()):
                if one.begins_on <= on < one.ends_on:
                    return one.id
        return None

    def covering(self, line: Sequence[str], begins_on: date, ends_on: date) -> int | None:
        """The budget of the nearest of these areas that has one for all of these days."""
        for area in reversed(line):
            for one in self._by_area.get(area, ()):
                if one.begins_on <= begins_on and ends_on <= one.ends_on:
                    return one.id
        return None
