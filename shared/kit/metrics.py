"""Every metric the kit exports, in one list. A service adds its own in its metrics.py.

All live in one registry per process (one service per process, so no multiprocess mode is needed). Units last in names.
"""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_AGES = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_SIZES = (1, 5, 20, 50, 100, 200, 500, 1000, 5000)

# HTTP, RED: `route` is the template (/v1/reports/{report_id}), never the path
HTTP_REQUESTS = Counter(
    "beegrid_http_requests_total", "Answered requests.", ("method", "route", "status"), registry=REGISTRY
)
HTTP_DURATION = Histogram(
    "beegrid_http_request_duration_seconds",
    "From the first byte in to the last byte out.",
    ("method", "route"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
HTTP_IN_FLIGHT = Gauge("beegrid_http_requests_in_flight", "Requests being answered now.", registry=REGISTRY)
HTTP_BODY_BYTES = Gauge("beegrid_http_body_bytes", "Request bodies being held now.", registry=REGISTRY)
HTTP_BODIES_REFUSED = Counter(
    "beegrid_http_bodies_refused_total", "Requests refused with 503 for want of room for bodies.", registry=REGISTRY
)
RATE_LIMITED = Counter("beegrid_http_rate_limited_total", "Requests refused with 429.", ("limiter",), registry=REGISTRY)

# Kafka in, per topic
OUTCOMES = ("handled", "duplicate", "rejected", "dead", "parked")
"""Each is shown as 0 from the start: Prometheus sees no increase in a series that begins above 0."""
CONSUMED = Counter(
    "beegrid_consumer_records_total",
    "Records settled, by outcome: handled, duplicate, rejected, dead, parked.",
    ("topic", "outcome"),
    registry=REGISTRY,
)
BATCH_SIZE = Histogram(
    "beegrid_consumer_batch_records", "Records in one polled batch.", ("topic",), buckets=_SIZES, registry=REGISTRY
)
BATCH_DURATION = Histogram(
    "beegrid_consumer_batch_duration_seconds",
    "Decoding, handling and commit of one polled batch.",
    ("topic",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
EVENT_AGE = Histogram(
    "beegrid_consumer_event_age_seconds",
    "Age of the oldest record of a batch when it was committed, from when the broker got it.",
    ("topic",),
    buckets=_AGES,
    registry=REGISTRY,
)
RETRIES = Counter(
    "beegrid_consumer_retries_total",
    "Batches tried again, by cause: outage, failure, fetch.",
    ("topic", "cause"),
    registry=REGISTRY,
)
LAG = Gauge("beegrid_consumer_lag_records", "Records not yet consumed.", ("topic", "partition"), registry=REGISTRY)
LAG_SECONDS = Gauge(
    "beegrid_consumer_lag_seconds",
    "How long ago the broker may have got the oldest record not yet consumed; 0 when there is none.",
    ("topic",),
    registry=REGISTRY,
)
LAST_PROGRESS = Gauge(
    "beegrid_consumer_last_progress_timestamp_seconds",
    "When the consumer last settled a batch or was seen with nothing to do.",
    ("topic",),
    registry=REGISTRY,
)
DEAD_LETTERS_OPEN = Gauge(
    "beegrid_dead_letters_open", "Dead letters not yet replayed or discarded.", ("topic", "status"), registry=REGISTRY
)
DEAD_LETTERS_OVER_BOUND = Gauge(
    "beegrid_dead_letters_over_bound",
    "Of companies' topics with more dead letters than a topic may have: open ones without content (left_out), and "
    "records without a letter of their own (counted).",
    ("topic", "how"),
    registry=REGISTRY,
)
STANDING = Gauge(
    "beegrid_consumer_standing_topics",
    "Topics that this process stands still on because too many of their records failed alike, by what it consumes.",
    ("topic",),
    registry=REGISTRY,
)

# Kafka out
OUTBOX_DEPTH = Gauge("beegrid_outbox_rows", "Events committed and not yet on Kafka.", registry=REGISTRY)
OUTBOX_AGE = Gauge("beegrid_outbox_oldest_age_seconds", "Age of the oldest of them.", registry=REGISTRY)
PUBLISHED = Counter("beegrid_outbox_published_total", "Events acknowledged by Kafka.", ("topic",), registry=REGISTRY)
OUTBOX_UNHEARD = Counter(
    "beegrid_outbox_unheard_total",
    "Events for companies that have no topic of their own to hear them on; they are dropped.",
    registry=REGISTRY,
)
OUTBOX_REFUSED = Counter(
    "beegrid_outbox_refused_total", "Events that Kafka refused, each try.", ("topic", "code"), registry=REGISTRY
)
OUTBOX_STUCK = Gauge(
    "beegrid_outbox_stuck_holds",
    "Keys of a topic, or topics, for which Kafka goes on refusing events; shown by the relay's leader.",
    ("topic", "code"),
    registry=REGISTRY,
)
OUTBOX_HELD = Gauge(
    "beegrid_outbox_held_rows", "Events that are refused or wait behind one; by the relay's leader.", registry=REGISTRY
)
RELAY_LEADER = Gauge("beegrid_relay_leader", "1 where this process relays its schema's outbox.", registry=REGISTRY)
RELAY_ERRORS = Counter(
    "beegrid_relay_errors_total", "Relay rounds that failed, by error class.", ("error",), registry=REGISTRY
)

# What never shrinks by itself
SWEPT = Counter("beegrid_swept_rows_total", "Rows deleted because of their age.", ("table",), registry=REGISTRY)
EMPTIED = Counter(
    "beegrid_emptied_rows_total", "Rows that lost their content because of its age.", ("table",), registry=REGISTRY
)
INBOX_DAYS_AHEAD = Gauge(
    "beegrid_inbox_days_ahead",
    "Days after today that have a partition of the inbox; by the relay's leader.",
    registry=REGISTRY,
)
INBOX_OLDEST_DAY = Gauge(
    "beegrid_inbox_oldest_day_timestamp_seconds",
    "When the day of the inbox's oldest partition began; by the relay's leader.",
    registry=REGISTRY,
)

# Postgres
POOL_CONNECTIONS = Gauge(
    "beegrid_postgres_connections", "Connections of the pool, by state: idle, busy.", ("state",), registry=REGISTRY
)
POOL_CONNECTIONS_MAX = Gauge(
    "beegrid_postgres_connections_max", "Connections that the pool may have.", registry=REGISTRY
)
TRANSACTION_DURATION = Histogram(
    "beegrid_postgres_transaction_duration_seconds",
    "A unit of work from BEGIN to the acknowledged COMMIT.",
    buckets=_SECONDS,
    registry=REGISTRY,
)

# Keys and certificates
JWKS_FAILURES = Counter(
    "beegrid_jwks_failures_total", "Fetches of the token issuer's keys that failed.", registry=REGISTRY
)
JWKS_FAILURES_IN_A_ROW = Gauge(
    "beegrid_jwks_failures_in_a_row",
    "Fetches of the token issuer's keys that failed since the last one that did not.",
    registry=REGISTRY,
)
CERTIFICATE_NOT_AFTER = Gauge(
    "beegrid_certificate_not_after_timestamp_seconds",
    "When the first of the certificates expires that this process trusts now, by the file that they came from.",
    ("file",),
    registry=REGISTRY,
)

# Riders who left
RIDERS_ERASED = Counter("beegrid_riders_erased_total", "Riders that this service has forgotten.", registry=REGISTRY)
ERASURES_KNOWN = Gauge(
    "beegrid_erasures_known", "Riders erased more than an hour ago, as far as this service knows.", registry=REGISTRY
)
ERASURES_DONE = Gauge(
    "beegrid_erasures_done", "Those of them of whom this service has nothing left.", registry=REGISTRY
)
# Of a service that keeps nothing of riders nobody waits for anything
ERASURES_KNOWN.set(math.nan)
ERASURES_DONE.set(math.nan)
