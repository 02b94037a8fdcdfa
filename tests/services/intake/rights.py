"""Who gets what of intake."""

from uuid import UUID

from services.intake.usecases.photos import Photos
from shared.kit.ids import new_id
from tests.doors.rights.lines import CITY, COMPANY, OFFICES, SENDER, Line, Rights, to
from tests.doors.rights.world import GRID, World


async def report(world: World) -> UUID:
    report_id = new_id()
    await world.pool.execute(
        """INSERT INTO reports (report_id, source, external_id, company, rider_id, kind, content_hash, received_at)
           VALUES ($1, 'feima', $2, 'feima', $3, 'part-01001', '', now())""",
        report_id, report_id.hex, world.rider,
    )  # fmt: skip
    return report_id


async def photo(world: World) -> UUID:
    report_id, photo_id, case_id = await report(world), new_id(), new_id()
    await world.pool.execute(
        """INSERT INTO photos (photo_id, owner, sha256, phash, width, height, state, uploaded_at, report_id, case_id)
           VALUES ($1, 'company:feima', $2, '', 1, 1, 'stored', now(), $3, $4)""",
        photo_id, photo_id.hex, report_id, case_id,
    )  # fmt: skip
    await world.pool.execute("INSERT INTO photo_cases (case_id, version, grids) VALUES ($1, 1, $2)", case_id, [GRID])
    await world.service.provided.get(Photos).objects.put(photo_id, b"jpeg", b"jpeg")
    return photo_id


RIGHTS = Rights(
    routes={
        "POST /v1/photos": SENDER,
        "GET /v1/photos/{photo_id}": Line(to("area", *OFFICES) | to("self", "rider", "company"), needs="photo"),
        "POST /v1/reports": SENDER,
        "GET /v1/reports/{report_id}": Line(to("city", "operator") | to("self", "rider", "company"), needs="report"),
        "POST /v1/reports:batch": COMPANY,
        "GET /v1/reports:waiting": COMPANY,
        "POST /v1/reports:replay": CITY,
    },
    objects={"photo": photo, "report": report},
)  # fmt: skip
