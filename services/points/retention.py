"""How long the tables of points keep their rows."""

from datetime import timedelta

from shared.kit.postgres.retention import Sweep, Table, Way

TABLES = (
    Table("accounts", "a rider's balances", Way.BOUNDED, "as long as the suite", "the ledger's heads"),
    Table(
        "holds", "points that a report or a redemption has set aside", Way.STAYS, "as long as the suite",
        "a reversal may come years later and must find what it reverses", per_report=1.0,
    ),
    Table(
        "cases", "what was decided of a case's points", Way.STAYS, "as the holds",
        "a report that is heard late, and a second verdict, must meet the first", per_report=0.8,
    ),
    Table(
        "settlements", "a verdict on a crowded case that is being carried out", Way.DRAINED, "until all are settled",
        "a verdict on 100,000 reports is carried out in bounded transactions, and each hold ends once",
    ),
    Table(
        "entries", "a movement between two accounts", Way.STAYS, "as long as the suite",
        "points are value: a balance is the sum of its entries, and nobody may change or delete one", per_report=2.0,
    ),
    Table(
        "earnings", "what a rider was promised on one day for one kind", Way.SWEPT, "60 days",
        "the daily caps ask for the day of the report, and no report is taken that is older",
        Sweep("earned_on", timedelta(days=60)), per_report=1.0,
    ),
    Table(
        "suspicions", "that a report is or was under suspicion", Way.STAYS, "as the holds",
        "a case that closes later must find that points wait, or were taken", per_report=0.02,
    ),
    Table(
        "deeds", "a deed as it was reported first", Way.STAYS, "as the holds",
        "the same deed earns once for ever, and what is reported otherwise later must meet the first",
    ),
    Table("rule_sets", "rules from an instant on", Way.BOUNDED, "as long as the suite", "explains entries", seeded=1),
    Table("rule_rows", "one rule of a set", Way.BOUNDED, "as long as the suite", "explains entries", seeded=3),
    Table("budgets", "an area's points for a time", Way.BOUNDED, "as long as the suite", "says what was promised"),
    Table("allocations", "points put into a budget", Way.BOUNDED, "as long as the suite", "who gave how much, and why"),
    Table("ledger_rounds", "how far the ledger's check has come", Way.BOUNDED, "one row", "a new leader goes on there",
          seeded=1),
    Table("expiry_rules", "until when points are valid", Way.BOUNDED, "as long as the suite", "explains lots",
          seeded=1),
    Table(
        "lots", "what a rider earned on one day", Way.STAYS, "as long as the suite",
        "what is left of one follows from what was earned after it; none where points never expire", per_report=0.8,
    ),
    Table(
        "hold_deadlines", "when a hold ends by the clock", Way.DRAINED, "until its hour, a week after a voucher's end",
        "what nobody ended is given back",
    ),
    Table(
        "adjustments", "what an operator gave or took by hand, or proposed to", Way.STAYS, "as long as the suite",
        "two people answer for it; its key and the hash of its input hold for ever", per_report=0.0,
    ),
    Table("seals", "one root over all accounts, a day's", Way.STAYS, "as long as the suite",
          "what was published can be compared for ever", per_report=0.0),
    Table(
        "account_heads", "the chain of an account as of a seal, where it moved since the one before", Way.STAYS,
        "as long as the suite", "old seals can be verified, and statements begin there", per_report=0.8,
    ),
    Table("seal_groups", "some hundred accounts of a seal", Way.STAYS, "as long as the suite",
          "old seals can be verified", per_report=0.0),
    Table(
        "ledger_checkpoints", "what an account's entries came to", Way.BOUNDED, "as the account",
        "recent movements are checked without reading all former ones",
    ),
)  # fmt: skip
