"""Metrics of routing."""

from prometheus_client import Counter, Gauge, Histogram

from shared.kit.metrics import REGISTRY

ROUTED = Counter(
    "beegrid_routing_reports_total",
    "Reports routed, by outcome: unambiguous, ambiguous, assigned, unroutable.",
    ("outcome",),
    registry=REGISTRY,
)
for _outcome in ("unambiguous", "ambiguous", "assigned", "unroutable"):
    # Shown as 0 from the start: Prometheus sees no increase in a series that begins above 0.
    ROUTED.labels(_outcome)
TIME_TO_ROUTED = Histogram(
    "beegrid_routing_time_to_routed_seconds",
    "From the acceptance of a report to the map's decision on it.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
    registry=REGISTRY,
)
WAITING_AGE = Gauge(
    "beegrid_routing_unroutable_oldest_age_seconds",
    "For how long the oldest report of a level has waited for a person to name its grid; 0 where none does.",
    ("level",),
    registry=REGISTRY,
)
MAP_GRIDS = Gauge("beegrid_routing_map_grids", "Grids of the map in this process.", registry=REGISTRY)
MAP_ASKED = Gauge(
    "beegrid_routing_map_checked_timestamp_seconds",
    "When this process last learnt which map is in force.",
    registry=REGISTRY,
)
MAP_BUILD = Histogram(
    "beegrid_routing_map_build_seconds",
    "Loading a map and building its index, off the event loop.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
