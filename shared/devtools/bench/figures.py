"""From what was measured to what bench.json says: ratios first, for only those mean anything on another machine."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.devtools.bench.sides import by_part
from shared.devtools.bench.yardstick import Yardstick

AGED_ENOUGH = 5_000_000
"""A ground of fewer reports says nothing of growth to so many."""


@dataclass(frozen=True)
class Turn:
    """One side's run: events a second through all hops, CPU µs an event by process."""

    per_second: float
    spent: Mapping[str, float]

    @property
    def cpu_us(self) -> float:
        """Of an event, over all processes and servers."""
        return sum(self.spent.values())


@dataclass(frozen=True)
class Round:
    """The two sides one after the other, and pgbench beside them; `tried`: the suite with other settings."""

    floor: Turn
    suite: Turn
    yard: Yardstick
    tried: Turn | None = None

    @property
    def share(self) -> float:
        """The suite's throughput as a share of the floor's."""
        return self.suite.per_second / self.floor.per_second

    @property
    def cpu_ratio(self) -> float:
        """How many times the floor's CPU an event costs in the suite."""
        return self.suite.cpu_us / self.floor.cpu_us


def five_hops(rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians over the rounds; costs by part are those of the round with the median cost ratio.

    `floor_share` and `floor_cpu_ratio` are medians of each round's own, so that what the machine did beside it meets
    both sides of a pair. Raises StatisticsError without rounds.
    """
    middle = sorted(rounds, key=lambda one: one.cpu_ratio)[len(rounds) // 2]
    per_second = statistics.median(one.suite.per_second for one in rounds)
    return {
        "floor_share": round(statistics.median(one.share for one in rounds), 3),
        "floor_cpu_ratio": round(statistics.median(one.cpu_ratio for one in rounds), 3),
        "ratio": round(statistics.median(one.suite.per_second / one.yard.y_tps for one in rounds), 3),
        "per_second": round(per_second),
        "cpu_us_per_event": _rounded(middle.suite.spent),
        "cpu_us_by_part": {
            "suite": _rounded(by_part(middle.suite.spent)),
            "floor": _rounded(by_part(middle.floor.spent)),
        },
        "floor": floor([one.floor for one in rounds]),
    }


def tried(rounds: Sequence[Round], settings: Mapping[str, str]) -> dict[str, Any] | None:
    """What settings change, as medians of each round's ratio to the suite as it is delivered; None: nothing tried."""
    pairs = [(one.tried, one.suite) for one in rounds if one.tried is not None]
    if not pairs:
        return None
    parts = [(by_part(new.spent), by_part(old.spent)) for new, old in pairs]
    return {
        "settings": dict(settings),
        "throughput": round(statistics.median(new.per_second / old.per_second for new, old in pairs), 3),
        "cpu": round(statistics.median(new.cpu_us / old.cpu_us for new, old in pairs), 3),
        "cpu_by_part": {
            part: round(statistics.median(new[part] / old[part] for new, old in parts), 3) for part in parts[0][0]
        },
    }


def floor(turns: Sequence[Turn]) -> dict[str, Any]:
    """The floor alone: events a second, and CPU µs of an event, medians over its turns."""
    return {
        "per_second": round(statistics.median(one.per_second for one in turns)),
        "cpu_us": round(statistics.median(one.cpu_us for one in turns), 1),
    }


def growth(aged: Mapping[str, Any] | None) -> dict[str, Any]:
    """From bench-aged.json, or None where it didn't run: `cpu_ratio_5m` only of a ground with so many reports."""
    if aged is None:
        return {"cpu_ratio_5m": None, "reports": None}
    reports, ratio = aged["ground"]["reports"], round(1 + aged["dearer"], 3)
    return {"cpu_ratio_5m": ratio if reports >= AGED_ENOUGH else None, "reports": reports, "cpu_ratio": ratio}


def _rounded(spent: Mapping[str, float]) -> dict[str, float]:
    return {name: round(us, 1) for name, us in spent.items()}
