"""Which columns of tracking are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, About, Columns, plain

PLACE = About("place", "where the thing is", "the service", "rounded to 10 m")
ROUNDED = About("place", "where the thing is, to 10 m", "everybody", "stays: the thing's")
COLUMNS: Columns = {
    "reports": {
        **plain("company kind level"),
        "rider_id": RIDER_ID,
        "external_id": About("number", "the company finds its report again", "the rider, the company", "replaced"),
        "lng": PLACE,
        "lat": PLACE,
    },
    "routings": plain("company outcome reason grid_code grid_name department"),
    "cases": {**plain("state kind level grid_code street department"), "lng": ROUNDED, "lat": ROUNDED},
    "case_steps": {
        **plain("step state actor_role grid_code"),
        "rider_id": RIDER_ID,
        "actor_name": About("name", "staff answers by name; a rider is never named", "reporters", "staff's stays"),
        "note": About("words", "what was done or asked", "its reporters; a rider's: that rider", "a rider's: (erased)"),
    },
    "case_reports": plain("company"),
    "case_crowds": plain("company"),
    "movements": {
        **plain("company movement"),
        "reason": About("words", "why points were refused or taken back", "the rider", "stays: an office's"),
    },
}
