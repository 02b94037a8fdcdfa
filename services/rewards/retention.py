"""How long the tables of rewards keep their rows."""

from shared.kit.retention import Table, Way

TABLES = (
    Table("merchants", "who gives gifts", Way.BOUNDED, "as long as the suite", "whom vouchers are bound to"),
    Table("offers", "a gift and its stock", Way.BOUNDED, "as long as the suite", "what was promised for how much"),
    Table(
        "redemptions", "a rider's way to one gift", Way.STAYS, "as long as the suite",
        "what a merchant is owed and a rider has had; the service's role may not delete it", per_report=0.02,
    ),
    Table("voucher_attempts", "wrong codes at a merchant in the running window", Way.BOUNDED, "one row a merchant",
          "a limit on guessing"),
)  # fmt: skip
