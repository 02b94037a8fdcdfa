"""What a report costs, how many come, and what that takes. All rates are reports a second, all costs CPU seconds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SERVERS = ("postgres", "kafka")
# Events of a report's whole life for each event of the measured five hops: a case is opened, claimed, handled,
# verified and closed; points are held and posted; the rider hears of each.
LIFE = {"intake": 1.0, "routing": 1.0, "cases": 5.0, "points": 2.0, "notifications": 5.0}
LIFE_OF_SERVERS = 3.0
"""Postgres and Kafka have a part in all of them; the mean of the services' factors, rounded up."""
HTTP_S = 0.0006
"""CPU of a request at intake, beside the measured hop, which begins behind HTTP."""
BUSY_MOST = 0.6
"""Share of a core that a pod may use at the peak: above it queues grow without bound at the smallest disturbance."""
PARTITION_STEP = 6
REPLICAS = 3
DAYS_KEPT = 365
KAFKA_DAYS = 7


@dataclass(frozen=True)
class Measured:
    """What one report costs: CPU seconds by part, rows and bytes by service, bytes on Kafka (one replica)."""

    cpu_s: Mapping[str, float]
    rows: Mapping[str, float] = field(default_factory=dict)
    bytes_kept: Mapping[str, float] = field(default_factory=dict)
    kafka_bytes: float = 0.0

    @classmethod
    def of(cls, bench: Mapping[str, Any]) -> "Measured":
        """From build/bench.json. Raises KeyError where it isn't one."""
        spent = {name: us / 1e6 for name, us in bench["five_hops"]["cpu_us_per_event"].items()}
        kept = bench.get("storage", {})
        return cls(
            cpu_s={name: spent[name] for name in (*LIFE, *SERVERS) if name in spent},
            rows=kept.get("rows_per_report", {}),
            bytes_kept=kept.get("bytes_per_report", {}),
            kafka_bytes=kept.get("kafka_bytes_per_report", 0),
        )

    def life_s(self, part: str) -> float:
        """CPU of a part for one report and all that follows from it."""
        if part in SERVERS:
            return self.cpu_s[part] * LIFE_OF_SERVERS
        return self.cpu_s[part] * LIFE[part] + (HTTP_S if part == "intake" else 0.0)

    @property
    def services(self) -> list[str]:
        """The hops, in order."""
        return [name for name in LIFE if name in self.cpu_s]

    @property
    def servers(self) -> list[str]:
        """Postgres and Kafka, where measured."""
        return [name for name in SERVERS if name in self.cpu_s]


@dataclass(frozen=True)
class Place:
    """Who uses the suite. `reports_per_rider_day`: assumption, not measurement."""

    name: str
    riders: int
    reports_per_rider_day: float = 0.2
    """Every fifth rider reports once a day: far more than any programme has seen."""
    rush_share: float = 0.15
    """Share of a day's reports in its busiest hour (noon, or the first minutes of a storm)."""
    rush_peak: float = 3.0
    """The busiest minute of that hour compared with its mean."""

    @property
    def per_day(self) -> float:
        """Reports a day."""
        return self.riders * self.reports_per_rider_day

    @property
    def peak(self) -> float:
        """Reports a second in the busiest minute."""
        return self.per_day * self.rush_share / 3600 * self.rush_peak


PLACES = (
    Place("一座城市 / a city", 400_000),
    Place("一个省 / a province", 6_000_000),
    Place("全国 / a country", 84_000_000),
)


@dataclass(frozen=True)
class Plan:
    """What a place takes. Cores of Postgres and Kafka at the peak; bytes kept a year and on Kafka."""

    place: Place
    pods: Mapping[str, int]
    partitions: int
    cores: Mapping[str, float]
    postgres_bytes: float
    kafka_bytes: float
    rows_per_day: float


def plan(measured: Measured, place: Place) -> Plan:
    """Pods for the busiest minute; at least two of each, so that one may go."""
    pods = {name: max(2, math.ceil(place.peak * measured.life_s(name) / BUSY_MOST)) for name in measured.services}
    consuming = max(pods[name] for name in pods if name != "intake")
    return Plan(
        place=place,
        pods=pods,
        partitions=max(PARTITION_STEP, math.ceil(consuming / PARTITION_STEP) * PARTITION_STEP),
        cores={name: place.peak * measured.life_s(name) / BUSY_MOST for name in measured.servers},
        postgres_bytes=place.per_day * DAYS_KEPT * sum(measured.bytes_kept.values()),
        kafka_bytes=place.per_day * KAFKA_DAYS * measured.kafka_bytes * LIFE_OF_SERVERS * REPLICAS,
        rows_per_day=place.per_day * sum(measured.rows.values()),
    )
