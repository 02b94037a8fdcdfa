"""Metrics of the activities service."""

from prometheus_client import Counter, Gauge

from shared.kit.metrics import REGISTRY

PUBLISHED = Counter(
    "beegrid_activities_published_total", "Activities published, by template.", ("template",), registry=REGISTRY
)
SIGNUPS = Counter(
    "beegrid_activities_signups_total",
    "Steps of sign-ups: wished, waiting, confirmed, moved_up, cancelled.",
    ("step",),
    registry=REGISTRY,
)
REFUSALS = Counter("beegrid_activities_refusals_total", "Sign-ups refused, by reason.", ("reason",), registry=REGISTRY)
DRAWS = Counter("beegrid_activities_draws_total", "Draws held.", registry=REGISTRY)
CHECK_INS = Counter(
    "beegrid_activities_check_ins_total", "Check-ins, by way: staff, site, undone.", ("way",), registry=REGISTRY
)
OVERDUE = Gauge(
    "beegrid_activities_draw_overdue_seconds",
    "How long the draw is overdue that is overdue most; 0: none is.",
    registry=REGISTRY,
)
