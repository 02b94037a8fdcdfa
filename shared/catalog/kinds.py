"""What one kind of report carries."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["emergency", "hazard", "routine"]
Clock = Literal["emergency", "working_hours", "working_days", "calendar_days"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of report with the rule in force at one instant.

    `points` are whole points of the first reporter; co-reporters get `co_reporter_percent` of them. `limit_hours` runs
    in `clock`: emergency and calendar_days always (a day is 24), working_hours and working_days in working time (8).
    """

    code: str
    name_zh: str
    name_en: str
    group: str
    group_en: str
    level: Level
    points: int
    co_reporter_percent: int
    department_kind: str
    limit_hours: int
    clock: Clock
    keywords: tuple[str, ...]
    open311_code: str
