"""Who gets what of routing."""

from uuid import UUID

import shapely

from services.routing.domain import Area, AreaMap, Level
from services.routing.usecases.current_map import CurrentMap
from shared.events.report_received import ReportReceived
from shared.geo.index import PolygonIndex
from shared.kit.ids import new_id
from shared.kit.service import Service
from tests.doors.rights.lines import ANYBODY, CITY, PUBLIC, Line, Rights, to
from tests.doors.rights.world import AREAS, GRID, World


async def responsibility(world: World) -> str:
    await world.pool.execute(
        "INSERT INTO responsibilities VALUES ('gas', $1, 'D', '', now(), 'x') ON CONFLICT DO NOTHING", GRID
    )
    return GRID


async def waiting(world: World) -> UUID:
    report_id = new_id()
    await world.pool.execute("DELETE FROM unroutable")
    body = ReportReceived.model_validate({**world.facts(report_id), "external_id": report_id.hex})
    await world.pool.execute(
        """INSERT INTO routes (report_id, version, outcome, reason, alternatives, routed_at)
           VALUES ($1, 1, 'unroutable', 'outside_every_grid', '{}', now())""",
        report_id,
    )
    await world.pool.execute(
        "INSERT INTO unroutable (report_id, reason, waiting_since, near, report) VALUES ($1, 'outside', now(), $2, $3)",
        report_id, GRID, body.model_dump(mode="json"),
    )  # fmt: skip
    return report_id


def prepare(service: Service) -> None:
    """A map of three grids, side by side, that is in no database."""
    current = service.provided.get(CurrentMap)

    async def unasked() -> None:
        return None

    async def put_in_force() -> None:
        grids = [Area(one.code, Level(one.level), one.code, one.path[-1] if one.path else None) for one in AREAS]
        squares = PolygonIndex([shapely.box(120 + n, 30, 121 + n, 31) for n in range(3)])
        current.value = AreaMap.of(new_id(), 0, grids, squares, {})
        current.refresh = unasked  # type: ignore[method-assign]  # routes that change the map ask for it

    service.tasks.kept.pop("follow-map")
    service.on_start(put_in_force)


RIGHTS = Rights(
    routes={
        "GET /v1/areas": ANYBODY,
        "GET /v1/areas/export.geojson": ANYBODY,
        "GET /v1/areas/{code}": ANYBODY,
        "GET /v1/areas/versions": CITY,
        "GET /v1/catalogue/areas": PUBLIC,
        "GET /v1/catalogue/codes": PUBLIC,
        "GET /v1/catalogue/departments": PUBLIC,
        "GET /v1/catalogue/kinds": PUBLIC,
        "GET /v1/catalogue/{what}.csv": PUBLIC,
        "POST /v1/areas/versions": CITY,
        "DELETE /v1/areas/versions/{version_id}": CITY,
        "POST /v1/areas/versions/{version_id}/activate": CITY,
        "POST /v1/areas/versions/{version_id}/features": CITY,
        "GET /v1/routing/locate": ANYBODY,
        "GET /v1/routing/responsibilities": Line(to("area", "operator"), needs="responsibility", shows=True),
        "PUT /v1/routing/responsibilities": Line(
            to("area", "operator"),
            body={"put": [{"department_kind": "water", "area_code": GRID, "department": "D1"}]},
        ),
        "GET /v1/routing/unroutable": Line(to("area", "dispatcher", "operator"), needs="waiting", shows=True),
        "POST /v1/routing/unroutable/{report_id}/assign": Line(
            to("area", "dispatcher", "operator"), needs="waiting", body={"grid_code": GRID}
        ),
    },
    objects={"responsibility": responsibility, "waiting": waiting},
    prepare=prepare,
)  # fmt: skip
