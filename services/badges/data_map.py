"""Which columns of badges are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, STAFF, About, Columns, plain

RIDER = About("id", "whose row it is", "the service; a handle made of it with a key, everybody", "deleted")
COLUMNS: Columns = {
    "standings": {"rider_id": RIDER},
    "hidden": {"rider_id": RIDER},
    "deeds": {**plain("company grid_code"), "rider_id": RIDER},
    "days": {**plain("company grid_code"), "rider_id": RIDER},
    "rules": {**plain("code kind zh en measure"), "set_by": STAFF},
    "levels": {
        "rider_id": RIDER_ID,
        "code": About("number", "lets the rider in where a level is asked for", "the service, and rewards", "emptied"),
        **plain("zh en"),
    },
    "awards": {**plain("code zh en measure"), "rider_id": RIDER},
}
