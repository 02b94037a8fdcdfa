"""Metrics of the intake service."""

from prometheus_client import Counter, Gauge, Histogram

from shared.kit.metrics import REGISTRY

REPORTS = Counter(
    "beegrid_intake_reports_total",
    "Reports handed in, by channel (http, kafka) and outcome: accepted, repeated, or the code of the refusal.",
    ("channel", "outcome"),
    registry=REGISTRY,
)
WAITING = Gauge(
    "beegrid_intake_reports_waiting",
    "Streamed reports that wait for their rider to be registered, to agree or to be active, by company; shown by the "
    "relay's leader.",
    ("company",),
    registry=REGISTRY,
)
WAITED = Counter(
    "beegrid_intake_reports_waited_total",
    "Streamed reports of riders who aren't known, haven't agreed or aren't active: began to wait, were taken when that "
    "had changed, expired, or were refused at once because too many of their company wait (full).",
    ("outcome",),
    registry=REGISTRY,
)
PHOTOS = Counter(
    "beegrid_intake_photos_total",
    "Photos uploaded, by outcome: stored, repeated, or the code of the refusal.",
    ("outcome",),
    registry=REGISTRY,
)
PHOTO_DURATION = Histogram(
    "beegrid_intake_photo_processing_seconds",
    "Waiting for a worker, decoding, shrinking and encoding of one photo.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
PHOTOS_IN_WORK = Gauge("beegrid_intake_photos_in_work", "Photos being processed or waiting for it.", registry=REGISTRY)
PHOTO_DECODERS_ENDED = Counter(
    "beegrid_intake_photo_decoders_ended_total",
    "Decoding processes that ended with a photo: at a limit of memory or time, or because its sender had gone.",
    registry=REGISTRY,
)
PHOTOS_PURGED = Counter(
    "beegrid_intake_photos_purged_total",
    "Photos taken out of the object store: uploads that no report used in time, and those of erased riders.",
    registry=REGISTRY,
)
PHOTOS_REFUSED = Gauge(
    "beegrid_intake_photos_refused",
    "Photos that the object store has refused to delete, tried again and again; named in the log (photo_purge_waits).",
    registry=REGISTRY,
)
