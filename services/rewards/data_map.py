"""Which columns of rewards are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, STAFF, About, Columns, plain

COLUMNS: Columns = {
    "merchants": {
        **plain("name address closed_reason kind service area_code review review_reason"),
        "applied_by": About("id", "who asked to take part", "the city's operators", "stays as the record"),
        "reviewed_by": STAFF,
    },
    "stores": {
        **plain("name address area_code"),
        "lng": None,
        "lat": None,
    },
    "staff": {
        "person": About("id", "who may take vouchers", "the merchant and operators", "not a rider's: stays"),
        "name": STAFF,
        "changed_by": STAFF,
    },
    "offers": {
        **plain("name description closed_reason thanks companies areas photos"),
        "donated_by": About("name", "the donor is thanked", "everybody", "not a rider's: stays"),
    },
    "redemptions": {
        **plain("offer_name state reason code_hash fulfilment"),
        "rider_id": RIDER_ID,
        "undone_by": STAFF,
        "taken_by": STAFF,
        "code_sealed": About("id", "shows the rider the voucher again", "the rider", "deleted"),
    },
    "complaints": {
        **plain("state answer"),
        "rider_id": RIDER_ID,
        "words": About("words", "what was wrong with a voucher", "the rider and operators", "emptied"),
        "answered_by": STAFF,
    },
    "offline_lists": {**plain("redemption_ids digest"), "made_by": STAFF},
    "offline_takings": plain("outcome borne_by"),
    "statements": {
        **plain("digest state dispute answer payment"),
        "closed_by": STAFF,
        "disputed_by": STAFF,
        "answered_by": STAFF,
        "paid_by": STAFF,
    },
    "company_months": plain("company"),
    "statement_lines": plain("offer_name"),
    "rider_levels": {"rider_id": About("id", "whose row it is", "the service", "deleted")},
    "shortages": {"rider_id": About("id", "whose row it is", "the service", "deleted")},
}
