"""Which columns of activities are about a person."""

from shared.kit.privacy.data_map import STAFF, About, Columns, plain

RIDER = About("id", "whose row it is", "the service", "deleted")
COLUMNS: Columns = {
    "templates": {**plain("code title_zh title_en words_zh words_en way teams"), "set_by": STAFF},
    "activities": {
        **plain("template title_zh title_en words_zh words_en area_code address station_id"),
        **plain("organiser way companies areas seed_hash state reason"),
        "published_by": STAFF,
    },
    "seeds": plain("seed"),
    "teams": plain("code zh en"),
    "signups": {
        **plain("team state outcome"),
        "rider_id": About("id", "whose place it is", "the service", "emptied"),
        "company": About("id", "sums for the company", "the company, of five riders or more", "emptied"),
    },
    "check_ins": {**plain("way"), "rider_id": RIDER, "checked_by": STAFF},
    "feedback": {
        "rider_id": RIDER,
        "words": About("words", "how an activity was, masked", "operators of its area", "deleted"),
    },
    "photos": {
        "ref": About("photo", "publicity, with consent", "everybody, while all on it agree", "deleted"),
        "caption": About("words", "what it shows, masked", "everybody, while all on it agree", "deleted"),
        "added_by": STAFF,
    },
}
