"""Metrics of the riders service."""

from prometheus_client import Counter

from shared.kit.metrics import REGISTRY

REGISTRATIONS = Counter(
    "beegrid_riders_registrations_total",
    "Registrations of riders, by outcome: created, changed, unchanged, or the code of the refusal.",
    ("outcome",),
    registry=REGISTRY,
)
COMPANY_CHANGES = Counter(
    "beegrid_riders_company_changes_total",
    "Changes of companies and their keys, by change: created, updated, key_added, key_revoked.",
    ("change",),
    registry=REGISTRY,
)
