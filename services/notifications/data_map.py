"""Which columns of notifications are about a person."""

from shared.kit.privacy.data_map import RIDER_ID, About, Columns, plain

ADDRESS = About("address", "where notifications go", "the rider; operators their own", "deleted")
LIMITED = About(
    "address", "how many codes it was sent: a keyed hash; or a rider's id", "the service",
    "a rider's is deleted; a hash leaves within a day of the last code",
)  # fmt: skip
PARAMS = About("words", "what the message says: staff's notes, masked", "its rider", "deleted")
COLUMNS: Columns = {
    "messages": {**plain("topic template"), "rider_id": RIDER_ID, "params": PARAMS},
    "preferences": {**plain("language"), "rider_id": RIDER_ID},
    "channels": {
        **plain("area kind language topics"),
        "rider_id": RIDER_ID,
        "sealed": ADDRESS,
        "hint": ADDRESS,
    },
    "channel_codes": plain("code_hash"),
    "code_limits": {"subject": LIMITED},
    "case_reporters": {**plain("company"), "rider_id": RIDER_ID},
    "crowds": {**plain("template reached_company"), "params": PARAMS},
    "webhooks": plain("company url sealed sealed_previous"),
    "deliveries": {**plain("lane template state reason"), "rider_id": RIDER_ID, "params": PARAMS},
    "delivery_attempts": plain("outcome detail"),
}
