"""Who gets what of badges."""

from tests.doors.rights.lines import ANYBODY, CITY, PUBLIC, RIDER, Line, Rights, to

RIGHTS = Rights(
    routes={
        "GET /v1/badges/me": RIDER,
        "PUT /v1/badges/me/boards": Line(to("any", "rider"), body={"on_boards": True}),
        "GET /v1/badges/boards": ANYBODY,
        "GET /v1/badges/boards/teams": ANYBODY,
        "GET /v1/badges/thresholds": ANYBODY,
        "PUT /v1/badges/thresholds/{code}": CITY,
        "GET /v1/badges/{award_id}.svg": PUBLIC,
        "GET /v1/badges/{award_id}/verify": PUBLIC,
    },
)  # fmt: skip
