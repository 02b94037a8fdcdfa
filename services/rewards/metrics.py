"""Metrics of the rewards service."""

from prometheus_client import Counter

from shared.kit.metrics import REGISTRY

REDEMPTIONS = Counter(
    "beegrid_rewards_redemptions_total",
    "Steps of redemptions, by state: requested, issued, used, expired, refused, cancelled.",
    ("state",),
    registry=REGISTRY,
)
REFUSALS = Counter(
    "beegrid_rewards_refusals_total",
    "Redeem requests that got no stock, by reason.",
    ("reason",),
    registry=REGISTRY,
)
VERIFICATIONS = Counter(
    "beegrid_rewards_verifications_total", "Codes shown at counters, by outcome.", ("outcome",), registry=REGISTRY
)
