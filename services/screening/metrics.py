"""Metrics of the screening service."""

from prometheus_client import Counter, Gauge

from shared.kit.metrics import REGISTRY

FINDINGS = Counter(
    "beegrid_screening_findings_total", "Things found that look farmed, by reason.", ("reason",), registry=REGISTRY
)
DECISIONS = Counter(
    "beegrid_screening_decisions_total",
    "Suspicions that somebody has decided on, by outcome (cleared, confirmed).",
    ("outcome",),
    registry=REGISTRY,
)
OPEN = Gauge("beegrid_screening_open_suspicions", "Suspicions that wait for a decision.", registry=REGISTRY)
OLDEST = Gauge(
    "beegrid_screening_oldest_suspicion_age_seconds",
    "For how long the oldest of them has waited; 0 where none does.",
    registry=REGISTRY,
)
