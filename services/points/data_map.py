"""Which columns of points are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, STAFF, About, Columns, plain

COLUMNS: Columns = {
    "accounts": {"rider_id": RIDER_ID},
    "holds": {
        **plain("source company kind state rule party"),
        "rider_id": RIDER_ID,
        "reason": About("words", "why points were refused or taken back", "the rider, operators", "stays: an office's"),
        "said": About("words", "what an office has said of it", "the rider", "stays: an office's"),
    },
    "entries": {**plain("movement from_account to_account party"), "rider_id": RIDER_ID},
    "cases": plain("grid_code"),
    "earnings": {**plain("kind grid_code"), "rider_id": RIDER_ID},
    "deeds": {**plain("service action area_code role outcome confirmed_by fingerprint"), "rider_id": RIDER_ID},
    "budgets": {**plain("area refuses_why"), "refuses_by": STAFF},
    "allocations": {**plain("reason"), "made_by": STAFF},
    "suspicions": plain("state"),
    "settlements": plain("act grid_code traceparent"),
    "ledger_rounds": plain("part"),
    "ledger_checkpoints": {"rider_id": RIDER_ID},
    "expiry_rules": {**plain("zone reason"), "set_by": STAFF},
    "lots": {"rider_id": RIDER_ID},
    "hold_deadlines": {"rider_id": RIDER_ID},
    "adjustments": {
        **plain("reason state key input_hash"),
        "rider_id": RIDER_ID,
        "words": About("words", "why points are to be given or taken", "operators", "stays: an office's"),
        "decided_words": About("words", "why it was decided so", "operators", "stays: an office's"),
        "proposed_by": STAFF,
        "proposed_name": STAFF,
        "decided_by": STAFF,
        "decided_name": STAFF,
    },
    "seals": plain("previous root seal"),
    "account_heads": {**plain("hash"), "rider_id": RIDER_ID},
    "seal_groups": plain("hash"),
    "rule_sets": {**plain("reason"), "set_by": STAFF},
    "rule_rows": plain("name sort source area kind level action role outcome per each zh en"),
}
