"""Who gets what of tracking."""

from uuid import UUID

from services.tracking import usecases
from shared.events.report_routed import REPORT_ROUTED, ReportRouted
from shared.kit.ids import new_id
from tests.doors.rights.lines import CITY, PUBLIC, Line, Rights, to
from tests.doors.rights.world import GRID, World
from tests.support import event_of


async def journey(world: World) -> UUID:
    report_id = new_id()
    await world.pool.execute(
        "INSERT INTO reports VALUES ($1, 'feima', 'F', $2, 'part-01001', 'hazard', 120.3, 30.3, now(), now())",
        report_id, world.rider,
    )  # fmt: skip
    body = ReportRouted.model_validate({**world.facts(report_id), "outcome": "routed", "grid_code": GRID})
    async with world.service.work() as work:
        await usecases.follow_routings(work, [event_of(REPORT_ROUTED, body)])
    return report_id


RIGHTS = Rights(
    routes={
        "GET /": PUBLIC,
        "GET /city": PUBLIC,
        "GET /docs": PUBLIC,
        "GET /docs/": PUBLIC,
        "GET /docs/{name}": PUBLIC,
        "GET /problems/{code}": PUBLIC,
        "GET /r/{token}": PUBLIC,
        "GET /v1/tracking/export": Line(
            to("city", "operator") | to("self", "company"), query={"company": "feima"}
        ),
        "GET /v1/tracking/hops": CITY,
        "GET /v1/tracking/progress": Line(
            to("city", "operator") | to("self", "company"), query={"company": "feima"}
        ),
        "GET /v1/tracking/reports/{report_id}": Line(
            to("area", "operator") | to("self", "rider", "company"), needs="journey"
        ),
    },
    objects={"journey": journey},
)  # fmt: skip
