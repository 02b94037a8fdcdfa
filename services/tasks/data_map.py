"""Which columns of tasks are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, STAFF, About, Columns, plain

PUBLIC_PLACE = About("place", "where a task is, as its community published it", "everybody", "not a rider's: stays")
TERMS = {**plain("kind area_code title needs address skills"), "lng": PUBLIC_PLACE, "lat": PUBLIC_PLACE,
         "published_by": STAFF}  # fmt: skip
COLUMNS: Columns = {
    "teams": {**plain("area_code name kind"), "made_by": STAFF},
    "team_members": {"rider_id": About("id", "who is in the team", "its leader and the community", "deleted")},
    "series": TERMS,
    "tasks": {**TERMS, **plain("state reason")},
    "claims": {
        **plain("company state"),
        "rider_id": RIDER_ID,
        "contact_sealed": About(
            "number", "whom to call if something happens; sealed", "the community while the task runs",
            "deleted; of everybody when the work is done",
        ),
        "contact_read_by": STAFF,
        "note": About("words", "what the rider says of their work", "the rider and the community", "emptied"),
        "reviewed_by": STAFF,
        "overturned_by": STAFF,
        "reason": About("words", "why the work was judged so", "the rider and the community", "emptied"),
        "appeal": About("words", "why the rider asks for another judgement", "the rider and the community", "emptied"),
        "appeal_decided_by": STAFF,
    },
    "deeds": {**plain("action area_code"), "rider_id": RIDER_ID},
    "alarms": {**plain("area_code words_zh words_en"), "set_by": STAFF, "ended_by": STAFF},
}  # fmt: skip
