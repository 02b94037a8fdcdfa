"""Which columns of screening are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, STAFF, About, Columns, plain

PLACE = About("place", "whether two reports can be one rider's journey", "the service, for a day", "deleted")
GONE = About("id", "whose row it is", "the service", "deleted")
COLUMNS: Columns = {
    "sightings": {**plain("grid_code"), "rider_id": GONE, "lng": PLACE, "lat": PLACE},
    "vehicles": {**plain("kind"), "rider_id": GONE},
    "photos": {
        **plain("grid_code"),
        "rider_id": GONE,
        "sha256": About("photo", "a picture that comes again", "the service", "deleted"),
    },
    "meetings": {"rider_id": GONE},
    "verdicts": {**plain("grid_code"), "rider_id": GONE, "verified_by": STAFF},
    "suspicions": {
        **plain("state"),
        "rider_id": RIDER_ID,
        "decided_by": STAFF,
        "note": About("words", "why an operator cleared or confirmed it", "operators of the city", "emptied"),
    },
    "findings": {
        **plain("reason"),
        "other_person": STAFF,
    },
    "limits": {**plain("reason"), "set_by": STAFF},
}
