"""Which columns of cases are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, STAFF, About, Columns, plain

WORKERS = "those who work on the case, in their areas"
PLACE = About("place", "where the thing is", "those who work on the case, its reporters", "rounded to 10 m")
COLUMNS: Columns = {
    "cases": {
        **plain("state kind level grid_code alternatives department claimed_by_role"),
        "lng": PLACE,
        "lat": PLACE,
        "claimed_by_id": STAFF,
        "claimed_by_name": STAFF,
        "handled_by": STAFF,
    },
    "case_reports": {
        **plain("company"),
        "rider_id": RIDER_ID,
        "text": About("words", "what the rider saw", WORKERS, "emptied"),
        "photos": About("photo", "what the thing looks like", WORKERS, "emptied"),
    },
    "steps": {
        **plain("step state actor_role"),
        "actor_id": About("id", "who answers for the step", "the service", "a rider's stays, and leads to nobody"),
        "actor_name": About("name", "staff answers by name; a rider is never named", WORKERS, "staff's stays"),
        "note": About("words", "what was done or asked", f"{WORKERS}; its reporters", "a rider's: (erased)"),
    },
}
