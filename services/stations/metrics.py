"""Metrics of the stations service."""

from prometheus_client import Counter, Gauge, Histogram

from shared.kit.metrics import REGISTRY

VISITS = Counter("beegrid_stations_visits_total", "Visits counted, by way: code, near.", ("way",), registry=REGISTRY)
SIGHTINGS = Counter(
    "beegrid_stations_sightings_total",
    "What riders found, by what: open, full, closed, fault.",
    ("found",),
    registry=REGISTRY,
)
STATES = Counter(
    "beegrid_stations_states_total", "States of stations published, by state.", ("state",), registry=REGISTRY
)
NEAREST = Histogram(
    "beegrid_stations_nearest_seconds",
    "Time to find the nearest stations in memory.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05),
    registry=REGISTRY,
)
FEEDBACK_OVERDUE = Gauge(
    "beegrid_stations_feedback_overdue", "Riders' words that wait for an answer beyond their time.", registry=REGISTRY
)
BEHIND = Gauge(
    "beegrid_stations_behind_seconds",
    "How late the work by the clock is: looking at stations, and making old visits into numbers.",
    registry=REGISTRY,
)
