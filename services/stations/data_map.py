"""Which columns of stations are about a person."""

from shared.kit.privacy.data_map import STAFF, About, Columns, plain

_GONE = About("id", "one rider counts once a day", "the service", "deleted at once; without it within two days")

COLUMNS: Columns = {
    "stations": {
        **plain("code name kind sponsor area_code address managing_unit hours services photos retired_reason state"),
        **plain("state_reason faults"),
        "lng": None,  # of a house
        "lat": None,
        "responsible": STAFF,
        "phone": About("number", "offices reach who answers for it", "operators, keepers", "not a rider's: stays"),
        "duty_phone": About("number", "it hangs on the door", "everybody", "not a rider's: stays"),
    },
    "keepers": {"person": About("id", "who may say what is so", "operators", "not a rider's: stays"), "name": STAFF,
                "changed_by": STAFF},
    "special_days": plain("hours reason"),
    "periods": {**plain("kind areas reason"), "set_by": STAFF},
    "spells": {**plain("state part reason confirmed_role"), "confirmed_by": STAFF},
    "sightings": {**plain("found part"), "rider_id": _GONE},
    "visits": {**plain("way"), "rider_id": _GONE},
    "service_lists": {**plain("items"), "published_by": STAFF},
    "feedback": {
        **plain("state answer"),
        "rider_id": About("id", "whose words they are", "the service", "emptied"),
        "words": About("words", "what a rider says of a station", "its managing unit", "emptied"),
        "answered_by": STAFF,
    },
    "donations": {
        **plain("goods unit thanks withdrawn_reason"),
        "donor": About("name", "the donor is thanked", "everybody, where they want to be named",
                       "not a rider's: stays"),
        "recorded_by": STAFF,
    },
}  # fmt: skip
