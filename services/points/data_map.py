"""Which columns of points are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, STAFF, About, Columns, plain

COLUMNS: Columns = {
    "accounts": {"rider_id": RIDER_ID},
    "holds": {
        **plain("source company kind state"),
        "rider_id": RIDER_ID,
        "reason": About("words", "why points were refused or taken back", "the rider, operators", "stays: an office's"),
    },
    "entries": {**plain("movement from_account to_account"), "rider_id": RIDER_ID},
    "cases": plain("grid_code"),
    "earnings": {**plain("kind"), "rider_id": RIDER_ID},
    "suspicions": plain("state"),
    "settlements": plain("act grid_code traceparent"),
    "ledger_rounds": plain("part"),
    "ledger_checkpoints": {"rider_id": RIDER_ID},
    "rules": {**plain("reason"), "set_by": STAFF},
}
