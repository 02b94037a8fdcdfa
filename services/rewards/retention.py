"""How long the tables of rewards keep their rows."""

from datetime import timedelta

from shared.kit.postgres.retention import Sweep, Table, Way

TABLES = (
    Table("merchants", "who gives gifts", Way.BOUNDED, "as long as the suite", "whom vouchers are bound to"),
    Table("offers", "a gift and its stock", Way.BOUNDED, "as long as the suite", "what was promised for how much"),
    Table(
        "redemptions", "a rider's way to one gift", Way.STAYS,
        "as long as the suite; what was refused or cancelled, 30 days",
        "what a merchant is owed and a rider has had: a trigger lets none of that be deleted. What came to nothing has "
        "no value; its rider may ask why for a month",
        Sweep("ended_at", timedelta(days=30), "state IN ('refused', 'cancelled')"), per_report=0.02,
    ),
    Table(
        "takings", "used vouchers of an offer at a price that a merchant took on a day", Way.STAYS,
        "as long as the suite", "a merchant's statement never adds vouchers up one by one",
    ),
    Table(
        "shortages", "a rider whom points refused for want of points, and their balance since", Way.SWEPT, "1 hour",
        "who asks again within a minute is answered without holding a piece",
        Sweep("refused_at", timedelta(hours=1)),
    ),
    Table("voucher_attempts", "wrong codes at a merchant in the running window", Way.BOUNDED, "one row a merchant",
          "a limit on guessing"),
)  # fmt: skip
