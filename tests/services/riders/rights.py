"""Who gets what of riders."""

from uuid import UUID

from services.riders import usecases
from services.riders.domain import Registered, Registration, RiderFacts
from shared.kit.ids import new_id
from tests.doors.rights.lines import CITY, COMPANY, Line, Rights, to
from tests.doors.rights.world import World


async def rider(world: World) -> UUID:
    """A new rider, whose token is the next one of the world's."""
    await world.pool.execute(
        "INSERT INTO companies (company_id, code, name, active, version, created_at, changed_at)"
        " VALUES ($1, 'feima', '飞马', true, 1, now(), now())"
        " ON CONFLICT DO NOTHING", new_id(),
    )  # fmt: skip
    facts = RiderFacts("王小哥", "courier", None, None, "zh", True)
    async with world.service.work() as work:
        world.number = new_id().hex
        one = Registration("feima", world.number, facts)
        (outcome,) = await usecases.register(work, [one])
    assert isinstance(outcome, Registered)
    world.rider = outcome.rider_id
    return world.rider


RIGHTS = Rights(
    routes={
        "GET /v1/companies": CITY,
        "POST /v1/companies": CITY,
        "GET /v1/companies/{code}": CITY,
        "GET /v1/companies/{code}/riders": CITY,
        "PUT /v1/companies/{code}": CITY,
        "POST /v1/companies/{code}/keys": CITY,
        "DELETE /v1/companies/{code}/keys/{key_id}": CITY,
        "GET /v1/outlets": COMPANY,
        "POST /v1/outlets:batch": COMPANY,
        "PUT /v1/riders/{external_id:path}": COMPANY,
        "GET /v1/riders": Line(to("city", "operator"), query={"company": "feima", "external_id": "x"}),
        "GET /v1/riders/{rider:path}": Line(to("city", "operator") | to("self", "rider", "company"), needs="rider"),
        "DELETE /v1/riders/{rider_id}": Line(to("city", "operator") | to("self", "rider"), needs="rider"),
        "POST /v1/riders:batch": COMPANY,
        "POST /v1/riders:replay": CITY,
    },
    objects={"rider": rider},
)  # fmt: skip
