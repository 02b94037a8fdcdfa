"""How long the tables of tracking keep their rows."""

from shared.kit.postgres.retention import Table, Way

TABLES = (
    Table(
        "reports", "a report", Way.STAYS, "as long as the suite", "its reporter may read every step at any time",
        per_report=1.0,
    ),
    Table("routings", "where a report was routed", Way.STAYS, "as the report", "a step", per_report=1.0),
    Table("cases", "a case as it is now", Way.STAYS, "as long as the suite", "the city's public pages", per_report=0.9),
    Table("ended_cases", "a case that has ended and is still on the public topic", Way.DRAINED,
          "30 days, see BEEGRID_PUBLIC_ENDED_DAYS", "a city system that comes later needs what is open"),
    Table("case_steps", "a step of a case", Way.STAYS, "as the case", "what a reporter reads", per_report=4.0),
    Table("case_reports", "that a report belongs to a case", Way.STAYS, "as the report", "whose steps to show",
          per_report=1.0),
    Table("case_crowds", "how many of a company's reports came late to a crowded case", Way.STAYS, "as the case",
          "a crowd's end is counted without its reports"),
    Table("outbound_due", "that something of a report has changed", Way.DRAINED, "until its company was notified",
          "companies hear what becomes of their reports"),
    Table("outbound_crowds", "that something of a crowded case has changed", Way.DRAINED,
          "until the companies of all its reports were notified", "100,000 reports are gone through in pages"),
    Table("movements", "points for a report", Way.STAYS, "as the report", "a step", per_report=2.0),
)  # fmt: skip
