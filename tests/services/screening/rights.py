"""Who gets what of screening."""

from uuid import UUID

from shared.kit.ids import new_id
from tests.doors.rights.lines import CITY, Line, Rights, to
from tests.doors.rights.world import World


async def suspicion(world: World) -> UUID:
    report_id = new_id()
    await world.pool.execute(
        "INSERT INTO suspicions (report_id, rider_id, state, score, version, changed_at) "
        "VALUES ($1, $2, 'raised', 100, 1, now())",
        report_id, world.rider,
    )  # fmt: skip
    return report_id


RIGHTS = Rights(
    routes={
        "GET /v1/screening/suspicions": CITY,
        "GET /v1/screening/riders/{rider_id}": CITY,
        "POST /v1/screening/suspicions:decide": Line(
            to("city", "operator"), needs="suspicion",
            body={"reports": ["{object}"], "decision": "cleared", "note": "a test"},
        ),
        "GET /v1/screening/limits": CITY,
        "PUT /v1/screening/limits": CITY,
    },
    objects={"suspicion": suspicion},
)  # fmt: skip
