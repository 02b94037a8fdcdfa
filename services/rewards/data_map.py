"""Which columns of rewards are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, STAFF, About, Columns, plain

COLUMNS: Columns = {
    "merchants": plain("name address closed_reason"),
    "offers": {
        **plain("name description closed_reason"),
        "donated_by": About("name", "the donor is thanked", "everybody", "not a rider's: stays"),
    },
    "redemptions": {
        **plain("offer_name state reason code_hash"),
        "rider_id": RIDER_ID,
        "undone_by": STAFF,
        "code_sealed": About("id", "shows the rider the voucher again", "the rider", "deleted"),
    },
    "shortages": {"rider_id": About("id", "whose row it is", "the service", "deleted")},
}
