"""Asking where a place belongs, the manual queue, and who answers where."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from services.routing import domain, problems
from services.routing.api.map_in_force import CurrentRouting, invented
from services.routing.usecases import reports, responsibilities
from shared.events.common import AnyZone, AreaCode, Datum
from shared.events.inbound_reports import ACCURACY_M_MAX
from shared.events.outside import PLAIN_FORM, Code, RowId, Words
from shared.kit.auth import AnyOf, Caller, Dispatcher, Operator, Person, allow, policy_router
from shared.kit.http.problems import validation_refusal
from shared.kit.problems import FORBIDDEN, NOT_FOUND

router: APIRouter = policy_router(tags=["routing"])

_Kind = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$"), PLAIN_FORM]


class Located(BaseModel):
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


class WaitingOut(BaseModel):
    """A report that needs a person; `report` is what was received."""

    report_id: UUID
    reason: str
    waiting_since: datetime
    report: dict[str, Any]


class AssignIn(BaseModel):
    """The grid that a report belongs to."""

    model_config = ConfigDict(extra="forbid")
    grid_code: AreaCode


class RouteOut(BaseModel):
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
        """The route as it is told."""
        return RouteOut(
            report_id=route.report_id,
            version=route.version,
            outcome=route.outcome,
            grid_code=route.grid_code,
            department=route.department,
            assigned_by=route.assigned_by,
            routed_at=route.routed_at,
        )


class ResponsibilityBody(BaseModel):
    """One department answers for a kind of department in an area and everything below it."""

    model_config = ConfigDict(extra="forbid")
    department_kind: _Kind
    area_code: AreaCode
    department: Annotated[Code, Field(min_length=1, max_length=64, description="code of the department")]
    name: Annotated[Words, Field(max_length=200)] = ""


class ResponsibilityKey(BaseModel):
    """Names one responsibility."""

    model_config = ConfigDict(extra="forbid")
    department_kind: _Kind
    area_code: AreaCode


class ResponsibilitiesIn(BaseModel):
    """Changes; with `expected_revision` only where nobody else changed anything meanwhile."""

    model_config = ConfigDict(extra="forbid")
    put: Annotated[list[ResponsibilityBody], Field(max_length=5_000)] = []
    remove: Annotated[list[ResponsibilityKey], Field(max_length=5_000)] = []
    expected_revision: RowId | None = None


class ResponsibilitiesOut(BaseModel):
    """A page of responsibilities by kind and area; go on behind `next`."""

    revision: int
    responsibilities: list[ResponsibilityBody]
    next: ResponsibilityKey | None = Field(description="`after_kind` and `after_area`; null: this was the last page")


class RevisionOut(BaseModel):
    """The revision after a change."""

    revision: int


@router.get("/v1/routing/locate")
@allow(Person)
async def locate(
    service: CurrentRouting,
    lng: Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False)],
    lat: Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False)],
    datum: Datum = "wgs84",
    accuracy_m: Annotated[float, Query(ge=0, le=ACCURACY_M_MAX, allow_inf_nan=False)] = 0.0,
    kind: Annotated[Code | None, Query(max_length=40, description="of report: names the department, too")] = None,
) -> Located:
    """The grid of a place and the other grids that its accuracy circle reaches."""
    areas = service.areas.value
    place, route = reports.locate(service, lng, lat, datum, accuracy_m, kind)
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
    service: CurrentRouting,
    after_time: AnyZone | None = None,
    after_report: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[WaitingOut]:
    """The manual queue near the caller's areas, the longest waiting first.

    Go on behind the last one's waiting_since and report_id.
    """
    after = (after_time, after_report) if after_time is not None and after_report is not None else None
    return [
        WaitingOut(report_id=item.report_id, reason=item.reason, waiting_since=item.waiting_since, report=item.report)
        for item in await reports.waiting(service, caller, after, limit)
    ]


@router.post("/v1/routing/unroutable/{report_id}/assign")
@allow(AnyOf(Dispatcher, Operator), refuses=(NOT_FOUND, problems.UNKNOWN_GRID, problems.ALREADY_ROUTED))
async def assign(report_id: UUID, body: AssignIn, caller: Caller, service: CurrentRouting) -> RouteOut:
    """Name the grid of a waiting report, in the caller's own areas."""
    async with service.work() as work:
        route = await reports.assign_grid(reports.router_of(service), work, caller, report_id, body.grid_code)
    return RouteOut.of(route)


@router.get("/v1/routing/responsibilities")
@allow(Operator)
async def read_responsibilities(
    caller: Caller,
    service: CurrentRouting,
    after_kind: Annotated[Code, Query(max_length=40)] = "",
    after_area: Annotated[Code, Query(max_length=32)] = "",
    limit: Annotated[int, Query(ge=1, le=5_000)] = 1_000,
) -> ResponsibilitiesOut:
    """Which department answers where, in the caller's areas."""
    revision, rows = await responsibilities.read(service, caller.covers, (after_kind, after_area), limit)
    last = rows[-1] if len(rows) == limit else None
    return ResponsibilitiesOut(
        revision=revision,
        responsibilities=[
            ResponsibilityBody(
                department_kind=row.department_kind,
                area_code=row.area_code,
                department=row.department,
                name=row.name,
            )
            for row in rows
        ],
        next=last and ResponsibilityKey(department_kind=last.department_kind, area_code=last.area_code),
    )


@router.put("/v1/routing/responsibilities")
@allow(Operator, refuses=(problems.REVISION_MOVED_ON,))
async def change_responsibilities(body: ResponsibilitiesIn, caller: Caller, service: CurrentRouting) -> RevisionOut:
    """Save and remove responsibilities; reports are routed by them within seconds."""
    _refuse_twice(body.put)
    put = [domain.Responsibility(r.department_kind, r.area_code, r.department, r.name) for r in body.put]
    remove = [(key.department_kind, key.area_code) for key in body.remove]
    named = {*(one.area_code for one in body.put), *(key.area_code for key in body.remove)}
    if foreign := sorted(code for code in named if not caller.covers(code)):
        raise FORBIDDEN("区域不在您的辖区内 / Not your areas: " + ", ".join(foreign[:20]))
    async with service.work() as work:
        revision = await responsibilities.change(work, put, remove, caller.actor, body.expected_revision)
    await service.areas.refresh()
    return RevisionOut(revision=revision)


def _refuse_twice(given: Sequence[ResponsibilityBody]) -> None:
    """Raises the 422 for those that name the same as one before: which of the two holds, nobody could tell."""
    seen: dict[tuple[str, str], int] = {}
    errors = [
        {"loc": ("body", "put", at), "msg": f"names the same kind and area as item {first}", "type": "stands_twice"}
        for at, one in enumerate(given)
        if (first := seen.setdefault((one.department_kind, one.area_code), at)) != at
    ]
    if errors:
        raise validation_refusal(errors)
