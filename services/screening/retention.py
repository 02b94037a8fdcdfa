"""How long the tables of screening keep their rows."""

from datetime import timedelta

from shared.kit.postgres.retention import Sweep, Table, Way

# By when a row was made here, never by what an event says: the sweep doesn't look again where it has been.
TABLES = (
    Table(
        "sightings", "where and when a rider reported", Way.SWEPT, "1 day, see BEEGRID_PLACES_KEPT_HOURS",
        "journeys are compared within a day; nobody's way is kept longer",
        Sweep("heard_at", timedelta(hours=24)), per_report=0.01,
    ),
    Table("vehicles", "what a rider moves with", Way.BOUNDED, "as the rider", "how fast they may be"),
    Table(
        "photos", "digests of a report's photo", Way.SWEPT, "60 days", "a picture that comes again is recognised",
        Sweep("heard_at", timedelta(days=60)), per_report=0.1,
    ),
    Table(
        "meetings", "that a rider was among the first reporters of a case", Way.SWEPT, "60 days",
        "who reports together again and again", Sweep("heard_at", timedelta(days=60)), per_report=0.2,
    ),
    Table(
        "verdicts", "who has verified whose case", Way.SWEPT, "60 days", "who verifies one rider far too often",
        Sweep("heard_at", timedelta(days=60)), per_report=0.2,
    ),
    Table(
        "suspicions", "a report under suspicion", Way.STAYS,
        "what was confirmed and what waits: as long as the suite; the rest, 60 days",
        "the ledger's claw-back refers to it, and its rider may ask why",
        Sweep("changed_at", timedelta(days=60), "state IN ('watched', 'cleared')"), per_report=0.02,
    ),
    Table("findings", "what was found of a report", Way.FOLLOWS, "as the suspicion", "the reasons of a decision",
          per_report=0.02),
    Table("limits", "thresholds from an instant on", Way.BOUNDED, "as long as the suite", "explain what was found",
          seeded=1),
)  # fmt: skip
