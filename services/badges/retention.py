"""How long the tables of badges keep their rows."""

from datetime import timedelta

from services.badges.domain import KEPT_DAYS
from shared.kit.postgres.retention import Sweep, Table, Way

TABLES = (
    Table("standings", "a rider's totals", Way.BOUNDED, "as the rider", "levels, and what badges are awarded for"),
    Table("hidden", "that a rider is on no board", Way.BOUNDED, "as the rider", "their wish"),
    Table(
        "deeds", "what points have said of a report or another deed", Way.SWEPT, f"{KEPT_DAYS} days",
        "streaks, and a report whose points are taken back is taken off its day",
        Sweep("heard_at", timedelta(days=KEPT_DAYS)), per_report=1.0,
    ),
    Table(
        "days", "what a rider was credited on a day in a grid", Way.SWEPT, f"{KEPT_DAYS} days", "boards of past months",
        Sweep("credited_on", timedelta(days=KEPT_DAYS)), per_report=0.5,
    ),
    Table("rules", "thresholds from an instant on", Way.BOUNDED, "as long as the suite", "explain badges and levels",
          seeded=10),
    Table("levels", "a rider's level as it was last published", Way.BOUNDED,
          "as the rider; of who is erased a bare id with a version", "the end of a state can be published again"),
    Table("awards", "a rider's badge", Way.BOUNDED, "as the rider", "it can be shown and verified at any time"),
)  # fmt: skip
