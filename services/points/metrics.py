"""Metrics of the points service."""

from prometheus_client import Counter

from shared.kit.metrics import REGISTRY

MOVEMENTS = Counter(
    "beegrid_points_movements_total",
    "Movements written, by movement (held, posted, voided, reversed, refused) and source (report, redemption).",
    ("movement", "source"),
    registry=REGISTRY,
)
REFUSALS = Counter("beegrid_points_refusals_total", "Points not held, by reason.", ("reason",), registry=REGISTRY)
