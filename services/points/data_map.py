"""Which columns of points are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, STAFF, About, Columns, plain

COLUMNS: Columns = {
    "accounts": {"rider_id": RIDER_ID},
    "holds": {
        **plain("source company kind state rule"),
        "rider_id": RIDER_ID,
        "reason": About("words", "why points were refused or taken back", "the rider, operators", "stays: an office's"),
    },
    "entries": {**plain("movement from_account to_account"), "rider_id": RIDER_ID},
    "cases": plain("grid_code"),
    "earnings": {**plain("kind grid_code"), "rider_id": RIDER_ID},
    "deeds": {**plain("service action area_code role outcome confirmed_by"), "rider_id": RIDER_ID},
    "budgets": plain("area refuses_why"),
    "allocations": {**plain("reason"), "made_by": STAFF},
    "settlements": plain("act grid_code traceparent"),
    "ledger_rounds": plain("part"),
    "ledger_checkpoints": {"rider_id": RIDER_ID},
    "rule_sets": {**plain("reason"), "set_by": STAFF},
    "rule_rows": plain("name sort source area kind level action role outcome per each zh en"),
}
