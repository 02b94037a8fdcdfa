"""How long the tables of rewards keep their rows."""

from datetime import timedelta

from shared.kit.postgres.retention import Sweep, Table, Way

TABLES = (
    Table("merchants", "who gives gifts", Way.BOUNDED, "as long as the suite", "whom vouchers are bound to"),
    Table("offers", "a gift and its stock", Way.BOUNDED, "as long as the suite", "what was promised for how much"),
    Table("stores", "places of merchants", Way.BOUNDED, "as long as the suite", "where a voucher is taken"),
    Table("staff", "who may take vouchers for a merchant", Way.BOUNDED, "as long as the suite",
          "who answers for what a counter took"),
    Table("station_stock", "what a station has of an offer for the whole city", Way.BOUNDED, "as long as the suite",
          "a row an offer and station"),
    Table("slots", "an hour of an offer that can be agreed on", Way.STAYS, "as long as the suite",
          "vouchers say which hour was theirs"),
    Table("offer_days", "how much of a day's quota is given", Way.STAYS, "as long as the suite",
          "a row a day and offer with such a quota: what came back late finds its day"),
    Table(
        "offline_lists", "vouchers that a counter took with it", Way.STAYS,
        "as long as the suite; what nobody ever settled, 30 days after its grace",
        "what a counter was allowed to take: disputes go back to it. Of a list without takings there are none",
        Sweep("closes_at", timedelta(days=30), "settled_at IS NULL"),
    ),
    Table("offline_takings", "what a counter took without network", Way.STAYS, "as long as the suite",
          "who bears a voucher that was used twice"),
    Table("complaints", "what a rider says of a voucher", Way.STAYS, "as long as the suite",
          "why points were given back"),
    Table("statements", "a merchant's month", Way.STAYS, "as long as the suite", "what was paid for"),
    Table("company_months", "what a company was given of its riders' month", Way.STAYS, "as long as the suite",
          "a row a company and month that it asked for: what was said stays as it was"),
    Table("statement_lines", "what a month says, offer by offer", Way.FOLLOWS, "with its statement",
          "what was paid for"),
    Table(
        "redemptions", "a rider's way to one gift", Way.STAYS,
        "as long as the suite; what was refused or cancelled, 30 days",
        "what a merchant is owed and a rider has had: a trigger lets none of that be deleted. What came to nothing has "
        "no value; its rider may ask why for a month",
        Sweep("ended_at", timedelta(days=30), "state IN ('refused', 'cancelled')"), per_report=0.02,
    ),
    Table("postings", "what the ledger has moved for a used voucher", Way.STAYS, "as long as the suite",
          "a month is closed when the ledger has paid for it; a row a used voucher that cost points", per_report=0.02),
    Table(
        "takings", "used vouchers of an offer at a price that a merchant took on a day", Way.STAYS,
        "as long as the suite", "a merchant's statement never adds vouchers up one by one",
    ),
    Table("rider_levels", "a rider's rank", Way.BOUNDED, "as the rider", "offers of a least level"),
    Table(
        "shortages", "a rider whom points refused for want of points, and their balance since", Way.SWEPT, "1 hour",
        "who asks again within a minute is answered without holding a piece",
        Sweep("refused_at", timedelta(hours=1)),
    ),
    Table("voucher_attempts", "wrong codes at a merchant in the running window", Way.BOUNDED, "one row a merchant",
          "a limit on guessing"),
)  # fmt: skip
