"""Which columns of badges are about a person."""

from shared.kit.privacy.data_map import STAFF, About, Columns, plain

RIDER = About("id", "whose row it is", "the service; a handle made of it with a key, everybody", "deleted")
COLUMNS: Columns = {
    "standings": {"rider_id": RIDER},
    "hidden": {"rider_id": RIDER},
    "deeds": {**plain("company grid_code"), "rider_id": RIDER},
    "days": {**plain("company grid_code"), "rider_id": RIDER},
    "rules": {**plain("code kind zh en measure"), "set_by": STAFF},
    "awards": {**plain("code zh en measure"), "rider_id": RIDER},
}
