"""Areas: import of versions for operators, reading for people."""

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from geojson_pydantic import Feature, MultiPolygon, Polygon
from pydantic import ConfigDict, Field

from services.routing import domain, problems
from services.routing.api.findings import FindingsOut
from services.routing.api.map_in_force import MapInForce
from services.routing.domain import NOTICE, AreaVersion, Level
from services.routing.settings import Settings
from services.routing.store import areas as store
from services.routing.usecases import exports, maps, reports, versions
from services.routing.usecases.current_map import CurrentMap
from services.routing.usecases.exports import Exports
from services.routing.usecases.taking_over import Succession, moved_json, takeover_json
from shared.events.common import AreaCode, Datum
from shared.events.outside import Line
from shared.kit.areas.carrying import carry_all
from shared.kit.auth import Caller, CityOperator, Person, allow, policy_router
from shared.kit.http.models import Answer, Body
from shared.kit.http.open_answers import OpenAnswers
from shared.kit.http.paging import Asked, Page
from shared.kit.problems import NOT_FOUND, not_found
from shared.kit.service import CurrentService, Given, Reading

router: APIRouter = policy_router(tags=["areas"])

NEWER_THAN_ALL = UUID(int=2**128 - 1)
CHILDREN_SHOWN = 1_000
FEATURES_MAX = 1_000
FEATURES_BYTES_MAX = 8_000_000
# Checking 20,000 grids takes seconds, not milliseconds.
ACTIVATION_TIMEOUT_S = 120.0


class VersionIn(Body):
    """A new draft."""

    label: Annotated[Line, Field(min_length=1, max_length=200)]
    level: Level = Field(Level.GRID, description="of features that name none")
    datum: Datum = Field("wgs84", description="of the coordinates that will be uploaded; CGCS2000 is wgs84")
    beside: UUID | None = Field(None, description="a draft whose areas this one begins with, e.g. to try what joins it")


class VersionOut(Answer):
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
        """The version as it is shown."""
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


class AreaProperties(Answer):
    """What a feature says about its area; other properties are ignored."""

    model_config = ConfigDict(extra="ignore")
    code: AreaCode
    name: Annotated[Line, Field(min_length=1, max_length=200)]
    level: Level | None = None
    parent_code: AreaCode | None = None
    fictional: bool = Field(False, description="invented borders, shown as 虚构边界")


AreaFeature = Feature[Polygon | MultiPolygon, AreaProperties]


class FeaturesIn(Body):
    """A chunk of a GeoJSON FeatureCollection."""

    model_config = ConfigDict(extra="ignore")
    features: Annotated[list[AreaFeature], Field(min_length=1, max_length=FEATURES_MAX)]


class FindingOut(Answer):
    """One area and what was wrong with it."""

    code: str
    problem: str


class AddedOut(Answer):
    """What a chunk did."""

    added: int
    unchanged: int
    repaired: list[FindingOut]


class SuccessionIn(Body):
    """Who takes over an area that the new map lacks; several lines where it is divided."""

    old_code: AreaCode
    new_code: AreaCode
    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0


class VanishingOut(Answer):
    """An area of the map in force before that the new one lacks; the preferred successor first."""

    code: str
    level: str
    successors: list[str]


class MovedOut(Answer):
    """A code of both maps that stands for other ground on the new one; `share`: what both have of the smaller one."""

    code: str
    level: str
    share: float


class ActivateIn(Body):
    """How to put a version in force."""

    strict: bool = Field(False, description="refuse when anything is found")
    mapping: Annotated[list[SuccessionIn], Field(max_length=100_000)] = Field([])
    accept: bool = Field(False, description="let areas vanish that nobody takes over, and codes move")
    dry_run: bool = Field(False, description="check everything, change nothing")


class ActivatedOut(Answer):
    """The version in force and what the checks found: overlaps and holes in square metres."""

    version: VersionOut
    findings: FindingsOut
    vanishing: list[VanishingOut]
    moved: list[MovedOut]
    changed: int = Field(description="areas that came, went or moved in the tree")


class AreaOut(Answer):
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
        """The area as it is shown."""
        return AreaOut(
            code=area.code,
            level=area.level,
            name=area.name,
            parent_code=area.parent_code,
            square_metres=area.square_metres,
            fictional=area.fictional,
            notice=NOTICE if area.fictional else None,
        )


class AreasOut(Page[AreaOut]):
    """Areas of the map in force, by code."""

    version_id: UUID | None


class AreaDetail(AreaOut):
    """One area with what stands above and below it; the geometry is WGS-84 GeoJSON.

    Of very many `children` the first by code; all of them are pages of /v1/areas with `parent`.
    """

    path: list[AreaOut]
    children: list[AreaOut]
    geometry: dict[str, Any] | None


@router.post("/v1/areas/versions", status_code=201)
@allow(
    CityOperator,
    refuses=(
        NOT_FOUND,
        problems.NOT_A_DRAFT,
    ),
)
async def create_version(body: VersionIn, caller: Caller, service: CurrentService) -> VersionOut:
    """Begin an import; 409 `not_a_draft` where the version named by `beside` isn't a draft."""
    async with service.work() as work:
        version = await versions.create(work, body.label, body.level, body.datum, caller.actor, body.beside)
    return VersionOut.of(version, None)


@router.get("/v1/areas/versions")
@allow(CityOperator)
async def list_versions(
    conn: Reading,
    areas: MapInForce,
    asked: Asked,
) -> Page[VersionOut]:
    """Imports, the newest first."""
    found = await store.versions(conn, asked.after(UUID) or NEWER_THAN_ALL, asked.rows)
    return asked.page(
        found, lambda version: VersionOut.of(version, areas.version_id), lambda version: version.version_id
    )


@router.post("/v1/areas/versions/{version_id}/features")
@allow(
    CityOperator,
    body_max=FEATURES_BYTES_MAX,
    timeout_s=30.0,
    refuses=(NOT_FOUND, problems.NOT_A_DRAFT, problems.INVALID_FEATURES),
)
async def add_features(version_id: UUID, body: FeaturesIn, service: CurrentService) -> AddedOut:
    """Add a chunk to a draft: all of it or nothing; the same chunk again changes nothing."""
    added = await versions.add_features(service, version_id, [_feature(feature) for feature in body.features])
    repaired = [FindingOut(code=finding.code, problem=finding.problem) for finding in added.repaired]
    return AddedOut(added=added.added, unchanged=added.unchanged, repaired=repaired)


@router.delete("/v1/areas/versions/{version_id}", status_code=204)
@allow(CityOperator, timeout_s=30.0, refuses=(problems.NOT_A_DRAFT,))
async def discard_draft(version_id: UUID, service: CurrentService) -> None:
    """Remove a draft and its areas. Again, or of none: nothing happens."""
    await versions.discard(service, version_id)


@router.post("/v1/areas/versions/{version_id}/activate")
@allow(
    CityOperator,
    body_max=FEATURES_BYTES_MAX,
    timeout_s=ACTIVATION_TIMEOUT_S,
    refuses=(
        NOT_FOUND,
        problems.NO_GRIDS,
        problems.INVALID_FEATURES,
        problems.MAP_HAS_FINDINGS,
        problems.VERSION_CHANGED,
        problems.AREAS_VANISH,
        problems.AREAS_MOVED,
        problems.INVALID_MAPPING,
    ),
    writes=True,
)
async def activate(
    version_id: UUID, body: ActivateIn, caller: Caller, service: CurrentService, current: Given[CurrentMap]
) -> ActivatedOut:
    """Check a version for overlaps and holes, and put it in force for all processes; 409 where areas vanish or move."""
    version, findings, takeover = await versions.activate(
        service,
        version_id,
        caller.actor,
        strict=body.strict,
        mapping=[Succession(one.old_code, one.new_code, one.share) for one in body.mapping],
        accept=body.accept,
        dry_run=body.dry_run,
    )
    if not body.dry_run:
        await current.refresh()
        await service.known_areas.refresh()
        await reports.find_neighbours(service, current.value)
        if service.by_area is not None:
            await carry_all(service.by_area, service.work)
    return ActivatedOut(
        version=VersionOut.of(version, current.value.version_id),
        findings=FindingsOut.model_validate(versions.findings_json(findings)),
        vanishing=[VanishingOut.model_validate(one) for one in takeover_json(takeover)],
        moved=[MovedOut.model_validate(one) for one in moved_json(takeover)],
        changed=len(takeover.changed),
    )


@router.get("/v1/areas")
@allow(Person)
async def list_areas(
    areas: MapInForce,
    asked: Asked,
    level: Level | None = None,
    parent: AreaCode | None = None,
) -> AreasOut:
    """Areas of the map in force, by code."""
    found = maps.list_areas(areas, level, parent, asked.after(str) or "", asked.rows)
    cursor = asked.next(found, lambda area: area.code)
    return AreasOut(items=_areas_out(found[: asked.limit]), cursor=cursor, version_id=areas.version_id)


@router.get("/v1/areas/export.geojson", response_class=Response, responses={200: {"content": {exports.MEDIA_TYPE: {}}}})
@allow(Person, timeout_s=30.0)
async def export_grids(
    request: Request,
    caller: Caller,
    areas: MapInForce,
    service: CurrentService,
    kept: Given[Exports],
    open_exports: Given[OpenAnswers],
    settings: Given[Settings],
    within: Annotated[AreaCode | None, Query(description="only grids of this area")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The grids of the map in force as GeoJSON, WGS-84, for maps."""
    tag = f'W/"{areas.version_id}:{within or ""}"'  # weak: packed or not, it is the same map
    headers = {"ETag": tag, "Cache-Control": "private, max-age=60", "Vary": "Accept-Encoding"}
    if tag in _tags(if_none_match):
        return Response(status_code=304, headers=headers)
    if service.limiter is not None:
        await service.limiter.check(f"map:{caller.key}", per_minute=settings.exports_per_minute)
    packed = await kept.get(areas, service.tree, within)
    if not _takes_gzip(request.headers.get("accept-encoding", "")):
        pieces = exports.unpacked(packed)
    else:
        pieces = exports.pieces(packed)
        headers |= {"Content-Encoding": "gzip", "Content-Length": str(len(packed))}
    return open_exports.stream(caller.key, _paced(pieces), media_type=exports.MEDIA_TYPE, headers=headers)


@router.get("/v1/areas/{code}")
@allow(Person, refuses=(NOT_FOUND,))
async def read_area(code: AreaCode, areas: MapInForce, conn: Reading) -> AreaDetail:
    """One area of the map in force."""
    area = areas.areas.get(code)
    if area is None:
        raise not_found("area")
    return AreaDetail(
        **AreaOut.of(area).model_dump(),
        path=_areas_out(domain.ancestors(areas.areas, area)),
        children=_areas_out(maps.list_areas(areas, None, code, "", CHILDREN_SHOWN)),
        geometry=await maps.geometry(conn, areas, code),
    )


async def _paced(pieces: Iterator[bytes]) -> AsyncGenerator[bytes]:
    """Piece by piece as they are sent, without a thread for each."""
    for piece in pieces:
        yield piece


def _tags(if_none_match: str | None) -> set[str]:
    """The tags of the header, all of them as weak ones: so they are compared here (RFC 9110, 13.1.2)."""
    return {f"W/{tag.strip().removeprefix('W/')}" for tag in (if_none_match or "").split(",")}


def _takes_gzip(accepted: str) -> bool:
    for offer in accepted.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            return not re.fullmatch(r"q=0(\.0{0,3})?", weight.replace(" ", ""))
    return False


def _areas_out(areas: Sequence[domain.Area]) -> list[AreaOut]:
    return [AreaOut.of(area) for area in areas]


def _feature(feature: AreaFeature) -> versions.Feature:
    about = feature.properties
    if about is None:
        raise versions.no_properties()
    geometry = None if feature.geometry is None else feature.geometry.model_dump_json()
    return versions.Feature(about.code, about.name, about.level, about.parent_code, about.fictional, geometry)
