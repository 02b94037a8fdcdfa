"""What the service measures beside the kit's own."""

from prometheus_client import Counter, Gauge, Histogram

from shared.kit.metrics import REGISTRY

MESSAGES = Counter(
    "beegrid_notifications_messages_total", "Messages put into inboxes.", ("template",), registry=REGISTRY
)
TIME_TO_NOTIFIED = Histogram(
    "beegrid_notifications_time_to_notified_seconds",
    "From the acceptance of a report to the rider's first message about its points.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
    registry=REGISTRY,
)
ATTEMPTS = Counter(
    "beegrid_notifications_delivery_attempts_total",
    "Attempts to notify somebody outside the app, by outcome: sent, failed, dead, put_off (not made, and not counted).",
    ("lane", "outcome"),
    registry=REGISTRY,
)
ATTEMPT_DURATION = Histogram(
    "beegrid_notifications_delivery_attempt_duration_seconds",
    "From the claim to the receiver's answer.",
    ("lane",),
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
CODES = Counter(
    "beegrid_notifications_address_codes_total",
    "Codes that prove whose an address is, by what became of them: asked, sent, undelivered, verified, wrong, expired, "
    "rider_limit and address_limit (not sent, since there were too many).",
    ("outcome",),
    registry=REGISTRY,
)
CROWD_AGE = Gauge(
    "beegrid_notifications_crowd_oldest_age_seconds",
    "Age of the oldest step of a crowded case whose reporters are still being notified; 0 where none is.",
    registry=REGISTRY,
)
UNSENT = Gauge(
    "beegrid_notifications_deliveries",
    "Deliveries that are not sent, by state: pending, failed (will be tried again), dead (an operator has to look).",
    ("lane", "state"),
    registry=REGISTRY,
)
OLDEST = Gauge(
    "beegrid_notifications_delivery_oldest_age_seconds",
    "Age of the oldest delivery of a state.",
    ("lane", "state"),
    registry=REGISTRY,
)
