"""Metrics of the points service."""

from prometheus_client import Counter, Gauge, Histogram

from shared.kit.metrics import REGISTRY

MOVEMENTS = Counter(
    "beegrid_points_movements_total",
    "Movements written, by movement (held, posted, …) and source (report, redemption, …).",
    ("movement", "source"),
    registry=REGISTRY,
)
REFUSALS = Counter("beegrid_points_refusals_total", "Points not held, by reason.", ("reason",), registry=REGISTRY)
WARNED = Counter(
    "beegrid_points_expiry_warnings_total", "Warnings that points will expire, 30 and 7 days before.", registry=REGISTRY
)
TIME_TO_POSTED = Histogram(
    "beegrid_points_time_to_posted_seconds",
    "From the closing of a case to the posting of a report's points.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
    registry=REGISTRY,
)
LEDGER_SUM = Gauge(
    "beegrid_points_ledger_sum_points",
    "All accounts, the house's too, added up; anything but 0 means that value appeared or vanished.",
    registry=REGISTRY,
)
LEDGER_UNBALANCED = Gauge(
    "beegrid_points_ledger_unbalanced_accounts",
    "Accounts and holds that their entries don't explain.",
    registry=REGISTRY,
)
LEDGER_CHECKED = Gauge(
    "beegrid_points_ledger_checked_timestamp_seconds",
    "When the ledger's totals and the accounts that had just moved were last checked.",
    registry=REGISTRY,
)
LEDGER_ROUND = Gauge(
    "beegrid_points_ledger_round_timestamp_seconds",
    "When the last round through all entries and holds ended.",
    registry=REGISTRY,
)
LEDGER_SEALED = Gauge(
    "beegrid_points_ledger_sealed_timestamp_seconds",
    "When the ledger was last sealed; nothing is shown before the first seal.",
    registry=REGISTRY,
)
SETTLEMENT_AGE = Gauge(
    "beegrid_points_settlement_oldest_age_seconds",
    "Age of the oldest verdict on a crowded case that is still being carried out; 0 where none is.",
    registry=REGISTRY,
)
LEDGER = (LEDGER_SUM, LEDGER_UNBALANCED, LEDGER_CHECKED, LEDGER_SEALED)
