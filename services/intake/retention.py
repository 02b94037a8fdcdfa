"""How long the tables of intake keep their rows."""

from shared.kit.postgres.retention import Table, Way

TABLES = (
    Table(
        "reports", "a number that its sender has used, and a hash of what it said", Way.STAYS, "as long as the suite",
        "a report is accepted once per number of its sender, however late it is sent again; place and words aren't "
        "kept", per_report=1.0,
    ),
    Table(
        "photos", "an uploaded photo; the pixels are in the object store", Way.STAYS,
        "used by a report: as the report; else one day (a setting)",
        "evidence of the case; what no report uses is removed with its pixels by intake's own task", per_report=1.0,
    ),
    Table(
        "waiting_reports", "a streamed report whose rider isn't known, or may not report yet",
        Way.DRAINED, "until that changes, for 10 minutes at most, see BEEGRID_REPORT_WAITS_S",
        "a report must not be lost because it has overtaken its rider, or a change of theirs, on the way",
    ),
    Table("photo_cases", "where a case with photos is now", Way.STAYS, "as the photos", "whose people may see them",
          per_report=0.9),
)  # fmt: skip
