"""Areas: import of versions for operators, reading for people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from geojson_pydantic import Feature, MultiPolygon, Polygon
from pydantic import BaseModel, ConfigDict, Field

from services.routing import domain
from services.routing.api.map_in_force import AreaCode, CurrentRouting, MapInForce
from services.routing.domain import NOTICE, AreaVersion, Level
from services.routing.usecases import maps, versions
from shared.events.common import Datum
from shared.kit.auth import Caller, Operator, Person, allow, policy_router
from shared.kit.http import not_found, problem_responses

router: APIRouter = policy_router(tags=["areas"])

FEATURES_MAX = 1_000
FEATURES_BYTES_MAX = 8_000_000
# Checking 20,000 grids takes seconds, not milliseconds.
ACTIVATION_TIMEOUT_S = 120.0


class VersionIn(BaseModel):
    """A new draft."""

    model_config = ConfigDict(extra="forbid")
    label: Annotated[str, Field(min_length=1, max_length=200)]
    level: Level = Field(Level.GRID, description="of features that name none")
    datum: Datum = Field("wgs84", description="of the coordinates that will be uploaded; CGCS2000 is wgs84")


class VersionOut(BaseModel):
    """One version of the areas; `areas` and `grids` are counts."""

    version_id: UUID
    label: str
    level: Level
    datum: Datum
    state: Literal["draft", "activated"]
    in_force: bool
    areas: int
    grids: int
    created_at: datetime
    created_by: str
    activated_at: datetime | None

    @staticmethod
    def of(version: AreaVersion, in_force: UUID | None) -> "VersionOut":
        """The version as it is told."""
        return VersionOut(
            version_id=version.version_id,
            label=version.label,
            level=version.level,
            datum=version.datum,
            state=version.state,
            in_force=version.version_id == in_force,
            areas=version.areas,
            grids=version.grids,
            created_at=version.created_at,
            created_by=version.created_by,
            activated_at=version.activated_at,
        )


class AreaProperties(BaseModel):
    """What a feature says about its area; other properties are ignored."""

    model_config = ConfigDict(extra="ignore")
    code: Annotated[str, Field(pattern=AreaCode)]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    level: Level | None = None
    parent_code: Annotated[str, Field(pattern=AreaCode)] | None = None
    fictional: bool = Field(False, description="invented borders, shown as 虚构边界")


AreaFeature = Feature[Polygon | MultiPolygon, AreaProperties]


class FeaturesIn(BaseModel):
    """A chunk of a GeoJSON FeatureCollection."""

    model_config = ConfigDict(extra="ignore")
    features: Annotated[list[AreaFeature], Field(min_length=1, max_length=FEATURES_MAX)]


class FindingOut(BaseModel):
    """One area and what was wrong with it."""

    code: str
    problem: str


class AddedOut(BaseModel):
    """What a chunk did."""

    added: int
    unchanged: int
    repaired: list[FindingOut]


class ActivateIn(BaseModel):
    """How to put a version in force."""

    model_config = ConfigDict(extra="forbid")
    strict: bool = Field(False, description="refuse when anything is found")


class ActivatedOut(BaseModel):
    """The version in force and what the checks found: overlaps and holes in square metres."""

    version: VersionOut
    findings: dict[str, Any]


class AreaOut(BaseModel):
    """One area. `notice` is there where its borders are invented."""

    code: str
    level: Level
    name: str
    parent_code: str | None
    square_metres: float
    fictional: bool
    notice: str | None

    @staticmethod
    def of(area: domain.Area) -> "AreaOut":
        """The area as it is told."""
        return AreaOut(
            code=area.code,
            level=area.level,
            name=area.name,
            parent_code=area.parent_code,
            square_metres=area.square_metres,
            fictional=area.fictional,
            notice=NOTICE if area.fictional else None,
        )


class AreaPage(BaseModel):
    """Areas by code; go on with `after` = `next`."""

    version_id: UUID | None
    areas: list[AreaOut]
    next: str | None


class AreaDetail(AreaOut):
    """One area with what stands above and below it; the geometry is WGS-84 GeoJSON."""

    path: list[AreaOut]
    children: list[AreaOut]
    geometry: dict[str, Any] | None


@router.post("/v1/areas/versions", status_code=201)
@allow(Operator)
async def create_version(body: VersionIn, caller: Caller, service: CurrentRouting) -> VersionOut:
    """Begin an import."""
    async with service.work() as work:
        version = await versions.create(work, body.label, body.level, body.datum, caller.actor)
    return VersionOut.of(version, None)


@router.get("/v1/areas/versions")
@allow(Operator)
async def list_versions(
    service: CurrentRouting, areas: MapInForce, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[VersionOut]:
    """All imports, the newest first."""
    return [VersionOut.of(version, areas.version_id) for version in await versions.newest(service, limit)]


@router.post("/v1/areas/versions/{version_id}/features", responses=problem_responses(404, 409))
@allow(Operator, body_max=FEATURES_BYTES_MAX, timeout_s=30.0)
async def add_features(version_id: UUID, body: FeaturesIn, service: CurrentRouting) -> AddedOut:
    """Add a chunk to a draft: all of it or nothing; the same chunk again changes nothing."""
    added = await versions.add_features(service, version_id, [_feature(feature) for feature in body.features])
    repaired = [FindingOut(code=finding.code, problem=finding.problem) for finding in added.repaired]
    return AddedOut(added=added.added, unchanged=added.unchanged, repaired=repaired)


@router.delete("/v1/areas/versions/{version_id}", status_code=204, responses=problem_responses(409))
@allow(Operator, timeout_s=30.0)
async def discard_draft(version_id: UUID, service: CurrentRouting) -> None:
    """Remove a draft and its areas. Again, or of none: nothing happens."""
    await versions.discard(service, version_id)


@router.post("/v1/areas/versions/{version_id}/activate", responses=problem_responses(404, 409))
@allow(Operator, timeout_s=ACTIVATION_TIMEOUT_S)
async def activate(version_id: UUID, body: ActivateIn, caller: Caller, service: CurrentRouting) -> ActivatedOut:
    """Check a version for overlaps and holes, and put it in force for all processes."""
    version, findings = await versions.activate(service, version_id, caller.actor, strict=body.strict)
    await service.areas.refresh()
    return ActivatedOut(version=VersionOut.of(version, version.version_id), findings=versions.findings_json(findings))


@router.get("/v1/areas")
@allow(Person)
async def list_areas(
    areas: MapInForce,
    level: Level | None = None,
    parent: Annotated[str | None, Query(pattern=AreaCode)] = None,
    after: Annotated[str, Query(max_length=32)] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> AreaPage:
    """Areas of the map in force, by code."""
    found = maps.list_areas(areas, level, parent, after, limit + 1)
    rest = found[limit - 1].code if len(found) > limit else None
    return AreaPage(version_id=areas.version_id, areas=[AreaOut.of(area) for area in found[:limit]], next=rest)


@router.get("/v1/areas/export.geojson", response_class=Response, responses={200: {"content": {maps.MEDIA_TYPE: {}}}})
@allow(Person, timeout_s=30.0)
async def export_grids(
    areas: MapInForce,
    within: Annotated[str, Query(max_length=32, description="codes that begin so")] = "",
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The grids of the map in force as GeoJSON, WGS-84, for maps."""
    tag = f'"{areas.version_id}:{within}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=60"}
    if if_none_match == tag:
        return Response(status_code=304, headers=headers)
    return Response(await maps.export_grids(areas, within), media_type=maps.MEDIA_TYPE, headers=headers)


@router.get("/v1/areas/{code}", responses=problem_responses(404))
@allow(Person)
async def read_area(code: str, areas: MapInForce, service: CurrentRouting) -> AreaDetail:
    """One area of the map in force."""
    area = areas.areas.get(code)
    if area is None:
        raise not_found("area")
    return AreaDetail(
        **AreaOut.of(area).model_dump(),
        path=_told(domain.ancestors(areas.areas, area)),
        children=_told(maps.list_areas(areas, None, code, "", len(areas.areas))),
        geometry=await maps.geometry(service.pool, areas, code),
    )


def _told(areas: Sequence[domain.Area]) -> list[AreaOut]:
    return [AreaOut.of(area) for area in areas]


def _feature(feature: AreaFeature) -> versions.Feature:
    about = feature.properties
    if about is None:
        raise versions.no_properties()
    geometry = None if feature.geometry is None else feature.geometry.model_dump_json()
    return versions.Feature(about.code, about.name, about.level, about.parent_code, about.fictional, geometry)
