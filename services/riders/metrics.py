"""Metrics of the riders service."""

from prometheus_client import Counter, Gauge

from shared.kit.metrics import REGISTRY

REGISTRATIONS = Counter(
    "beegrid_riders_registrations_total",
    "Registrations of riders, by outcome: created, changed, unchanged, or the code of the refusal.",
    ("outcome",),
    registry=REGISTRY,
)
COMPANY_CHANGES = Counter(
    "beegrid_riders_company_changes_total",
    "Changes of companies and their keys, by change: created, updated, key_added, key_revoked, resealed.",
    ("change",),
    registry=REGISTRY,
)
KEY_MADE = Gauge(
    "beegrid_riders_company_key_made_timestamp_seconds",
    "When the oldest signing key was made that an active company may still use.",
    ("company",),
    registry=REGISTRY,
)
