"""Metrics of the tracking service."""

from prometheus_client import Counter

from shared.kit.metrics import REGISTRY

PUBLIC_EVENTS = Counter(
    "beegrid_tracking_public_events_total",
    "Case changes passed on to city systems.",
    registry=REGISTRY,
)
OUTBOUND = Counter(
    "beegrid_tracking_outbound_events_total",
    "What companies are to hear of their reports, by how far the report has come; refused: of a record that is none.",
    ("stage",),
    registry=REGISTRY,
)
CASES_RETIRED = Counter(
    "beegrid_tracking_cases_retired_total",
    "Ended cases taken off the public topic.",
    registry=REGISTRY,
)
EXPORTED = Counter("beegrid_tracking_exported_reports_total", "Rows of exports sent.", registry=REGISTRY)
