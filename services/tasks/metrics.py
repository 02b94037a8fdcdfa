"""Metrics of the tasks service."""

from prometheus_client import Counter, Gauge

from shared.kit.metrics import REGISTRY

CLAIMS = Counter(
    "beegrid_tasks_claims_total", "Claims that were made, by what they got (claimed, waiting).", ("got",),
    registry=REGISTRY,
)  # fmt: skip
REFUSALS = Counter(
    "beegrid_tasks_claims_refused_total", "Claims that were refused, by why.", ("code",), registry=REGISTRY
)
PROMOTED = Counter("beegrid_tasks_promoted_total", "Riders who got a place that they waited for.", registry=REGISTRY)
NO_SHOWS = Counter("beegrid_tasks_no_shows_total", "Places that nobody came for.", registry=REGISTRY)
REVIEWS = Counter(
    "beegrid_tasks_reviews_total", "Work that was judged, by how (approved, rejected, overturned, appeal_granted, …).",
    ("outcome",), registry=REGISTRY,
)  # fmt: skip
OVERDUE = Gauge("beegrid_tasks_reviews_overdue", "Finished work whose review is overdue.", registry=REGISTRY)
OLDEST_OVERDUE = Gauge(
    "beegrid_tasks_review_overdue_age_seconds",
    "For how long the longest overdue review has been so; 0 where none is.",
    registry=REGISTRY,
)
APPEALS = Gauge("beegrid_tasks_appeals_open", "Appeals that wait for another person's decision.", registry=REGISTRY)
