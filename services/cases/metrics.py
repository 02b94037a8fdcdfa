"""Metrics of the cases service."""

from prometheus_client import Counter, Gauge

from shared.kit.metrics import REGISTRY

STEPS = Counter(
    "beegrid_cases_steps_total",
    "Steps that cases took, by row of the transition table.",
    ("step",),
    registry=REGISTRY,
)
REFUSALS = Counter(
    "beegrid_cases_refusals_total",
    "Steps that people ordered and could not take, by the code of the refusal.",
    ("code",),
    registry=REGISTRY,
)
CLOSED = Counter(
    "beegrid_cases_closed_total",
    "Cases closed, by level and whether in time (yes, no).",
    ("level", "in_time"),
    registry=REGISTRY,
)
DEADLINES = Gauge(
    "beegrid_cases_deadlines",
    "Live cases whose time limit is nearly over (soon: less than a quarter is left) or over (overdue), by level, "
    "of the 8,000 most urgent ones.",
    ("level", "state"),
    registry=REGISTRY,
)
