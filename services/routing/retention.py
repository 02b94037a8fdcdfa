"""How long the tables of routing keep their rows."""

from shared.kit.postgres.retention import Table, Way

TABLES = (
    Table(
        "area_versions", "an import of the city's map", Way.STAYS,
        "once in force: as long as the suite; a draft that took no areas for 30 days (a setting) leaves",
        "explains old routes; what a broken import has left is removed by routing's own task",
    ),
    Table(
        "catalogue_entries", "an entry of the catalogue as it was published last", Way.BOUNDED, "as long as the suite",
        "its version goes on where it comes back",
    ),
    Table("areas", "an area of one version", Way.FOLLOWS, "with its version", "where grids lie"),
    Table("current_map", "which version is in force", Way.BOUNDED, "one row", "what reports are routed by"),
    Table("activations", "that a version came into force", Way.BOUNDED, "as long as the suite", "evidence"),
    Table("responsibilities", "who answers where", Way.BOUNDED, "until it is changed", "names the department"),
    Table(
        "routes", "where a report was routed, and by which map", Way.STAYS, "as long as the suite",
        "explains why a grid got a case", per_report=1.0,
    ),
    Table(
        "unroutable", "a report that waits for a person to name its grid", Way.DRAINED, "until somebody has",
        "UnroutableWaiting is raised when one waits long, ReportsUnroutable before there are many",
    ),
)  # fmt: skip
