"""How long the tables of cases keep their rows."""

from shared.kit.postgres.retention import Table, Way

TABLES = (
    Table(
        "cases", "a thing that the city handles", Way.STAYS, "as long as the suite",
        "the city's record of what it did; a former case at the same place says that something breaks again",
        per_report=0.9,
    ),
    Table(
        "case_reports", "a report that belongs to a case", Way.STAYS, "as the case", "who reported it",
        per_report=1.0,
    ),
    Table(
        "steps", "a step of a case", Way.STAYS, "as the case",
        "evidence of who did what and when: not even the service may change or delete it", per_report=4.0,
    ),
)  # fmt: skip
