"""Asking where a place belongs, the manual queue, and who answers where."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from services.routing import domain, problems
from services.routing.api.map_in_force import CurrentRouter, invented
from services.routing.usecases import reports, responsibilities
from services.routing.usecases.current_map import CurrentMap
from shared.events.common import AreaCode, Datum
from shared.events.inbound_reports import ACCURACY_M_MAX
from shared.events.outside import PLAIN_FORM, Code, RowId, Words
from shared.events.report_received import ReportReceived
from shared.kit.auth import AnyOf, Caller, Dispatcher, Operator, Person, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.paging import Asked, Page
from shared.kit.http.problems import validation_refusal
from shared.kit.problems import FORBIDDEN, NOT_FOUND
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["routing"])

_Kind = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$"), PLAIN_FORM]


class Located(Answer):
    """Where a place belongs; `lng` and `lat` are WGS-84. `notice` is there where borders are invented."""

    outcome: Literal["routed", "unroutable"]
    reason: str | None
    lng: float
    lat: float
    grid_code: str | None
    grid_name: str | None
    area_path: list[str]
    alternatives: list[str]
    department: str | None
    version_id: UUID | None
    fictional: bool
    notice: str | None


class WaitingOut(Answer):
    """A report that needs a person; `report` is what was received."""

    report_id: UUID
    reason: str
    waiting_since: datetime
    report: ReportReceived


class AssignIn(Body):
    """The grid that a report belongs to."""

    grid_code: AreaCode


class RouteOut(Answer):
    """Where a report went."""

    report_id: UUID
    version: int
    outcome: Literal["routed", "unroutable"]
    grid_code: str | None
    department: str | None
    assigned_by: str | None
    routed_at: datetime

    @staticmethod
    def of(route: domain.StoredRoute) -> "RouteOut":
        """The route as it is shown."""
        return RouteOut(
            report_id=route.report_id,
            version=route.version,
            outcome=route.outcome,
            grid_code=route.grid_code,
            department=route.department,
            assigned_by=route.assigned_by,
            routed_at=route.routed_at,
        )


class ResponsibilityBody(Body):
    """One department answers for a kind of department in an area and everything below it."""

    department_kind: _Kind
    area_code: AreaCode
    department: Annotated[Code, Field(min_length=1, max_length=64, description="code of the department")]
    name: Annotated[Words, Field(max_length=200)] = ""


class ResponsibilityKey(Body):
    """Names one responsibility."""

    department_kind: _Kind
    area_code: AreaCode


class ResponsibilitiesIn(Body):
    """Changes; with `expected_revision` only where nobody else changed anything meanwhile."""

    put: Annotated[list[ResponsibilityBody], Field(max_length=5_000)] = Field([])
    remove: Annotated[list[ResponsibilityKey], Field(max_length=5_000)] = Field([])
    expected_revision: RowId | None = None


class ResponsibilityOut(Answer):
    """One department answers for a kind of department in an area and everything below it."""

    department_kind: str
    area_code: str
    department: str
    name: str


class ResponsibilitiesOut(Page[ResponsibilityOut]):
    """Responsibilities by kind and area, as of a revision."""

    revision: int


class RevisionOut(Answer):
    """The revision after a change."""

    revision: int


@router.get("/v1/routing/locate")
@allow(Person)
async def locate(
    router: CurrentRouter,
    lng: Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False)],
    lat: Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False)],
    datum: Datum = "wgs84",
    accuracy_m: Annotated[float, Query(ge=0, le=ACCURACY_M_MAX, allow_inf_nan=False)] = 0.0,
    kind: Annotated[Code | None, Query(max_length=40, description="of report: names the department, too")] = None,
) -> Located:
    """The grid of a place and the other grids that its accuracy circle reaches."""
    areas = router.areas
    place, route = reports.locate(router, lng, lat, datum, accuracy_m, kind)
    codes = (route.grid.code, *route.alternatives) if route.grid else ()
    fictional = invented(areas, *codes)
    return Located(
        outcome=route.outcome,
        reason=route.reason,
        lng=place.lng,
        lat=place.lat,
        grid_code=route.grid.code if route.grid else None,
        grid_name=route.grid.name if route.grid else None,
        area_path=list(route.area_path),
        alternatives=list(route.alternatives),
        department=route.department,
        version_id=areas.version_id,
        fictional=fictional,
        notice=domain.NOTICE if fictional else None,
    )


@router.get("/v1/routing/unroutable")
@allow(AnyOf(Dispatcher, Operator))
async def list_unroutable(
    caller: Caller,
    conn: Reading,
    asked: Asked,
) -> Page[WaitingOut]:
    """The manual queue near the caller's areas, the longest waiting first."""
    found = await reports.waiting(conn, caller, asked.after(datetime, UUID), asked.rows)
    return asked.page(found, WaitingOut.model_validate, lambda item: (item.waiting_since, item.report_id))


@router.post("/v1/routing/unroutable/{report_id}/assign")
@allow(AnyOf(Dispatcher, Operator), refuses=(NOT_FOUND, problems.UNKNOWN_GRID, problems.ALREADY_ROUTED), writes=True)
async def assign(
    report_id: UUID, body: AssignIn, caller: Caller, service: CurrentService, router: CurrentRouter
) -> RouteOut:
    """Name the grid of a waiting report, in the caller's own areas."""
    async with service.work() as work:
        route = await reports.assign_grid(router, work, caller, report_id, body.grid_code)
    return RouteOut.of(route)


@router.get("/v1/routing/responsibilities")
@allow(Operator)
async def read_responsibilities(
    caller: Caller,
    conn: Reading,
    asked: Asked,
) -> ResponsibilitiesOut:
    """Which department answers where, in the caller's areas."""
    after = asked.after(str, str) or ("", "")
    revision, rows = await responsibilities.read(conn, caller.covers, after, asked.rows)
    cursor = asked.next(rows, lambda row: (row.department_kind, row.area_code))
    shown = [ResponsibilityOut.model_validate(row) for row in rows[: asked.limit]]
    return ResponsibilitiesOut(items=shown, cursor=cursor, revision=revision)


@router.put("/v1/routing/responsibilities")
@allow(Operator, refuses=(problems.REVISION_MOVED_ON,))
async def change_responsibilities(
    body: ResponsibilitiesIn, caller: Caller, service: CurrentService, current: Given[CurrentMap]
) -> RevisionOut:
    """Save and remove responsibilities; reports are routed by them within seconds."""
    _refuse_twice(body.put)
    put = [domain.Responsibility(r.department_kind, r.area_code, r.department, r.name) for r in body.put]
    remove = [(key.department_kind, key.area_code) for key in body.remove]
    named = {*(one.area_code for one in body.put), *(key.area_code for key in body.remove)}
    if foreign := sorted(code for code in named if not caller.covers(code)):
        raise FORBIDDEN("区域不在您的辖区内 / Not your areas: " + ", ".join(foreign[:20]))
    async with service.work() as work:
        revision = await responsibilities.change(work, put, remove, caller.actor, body.expected_revision)
    await current.refresh()
    return RevisionOut(revision=revision)


def _refuse_twice(given: Sequence[ResponsibilityBody]) -> None:
    """Raises the 422 for those that name the same as one before: which of the two holds would stay open."""
    seen: dict[tuple[str, str], int] = {}
    errors = [
        {"loc": ("body", "put", at), "msg": f"names the same kind and area as item {first}", "type": "stands_twice"}
        for at, one in enumerate(given)
        if (first := seen.setdefault((one.department_kind, one.area_code), at)) != at
    ]
    if errors:
        raise validation_refusal(errors)
