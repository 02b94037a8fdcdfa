"""Who gets what of points."""

from uuid import UUID

from shared.kit.ids import new_id
from tests.doors.rights.lines import CITY, OPERATOR, RIDER, Line, Rights, to
from tests.doors.rights.world import GRID, World


async def hold(world: World) -> UUID:
    hold_id = new_id()
    await world.pool.execute(
        """WITH its_case AS (INSERT INTO cases (case_id, grid_code, grid_version) VALUES ($1, $3, 1))
           INSERT INTO holds (id, source, rider_id, case_id, amount, state, made_at, ended_at)
           VALUES ($1, 'report', $2, $1, 0, 'refused', now(), now())""",
        hold_id, world.rider, GRID,
    )  # fmt: skip
    return hold_id


RIGHTS = Rights(
    routes={
        "GET /v1/points/me": RIDER,
        "GET /v1/points/me/entries": RIDER,
        "GET /v1/points/riders/{rider_id}": CITY,
        "GET /v1/points/riders/{rider_id}/entries": CITY,
        "POST /v1/points/holds/{hold_id}/reverse": Line(to("area", "operator"), needs="hold", body={"reason": "test"}),
        "GET /v1/points/rules": OPERATOR,
        "PUT /v1/points/rules": CITY,
    },
    objects={"hold": hold},
)  # fmt: skip
