"""Importing a version of the areas: features in chunks, then checks, then in force in one transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
import shapely
import structlog

from services.routing import problems
from services.routing.domain import Area, AreaVersion, Level, missing_parents, parent_code
from services.routing.store import areas as area_store
from services.routing.store.areas import StoredArea
from services.routing.usecases.grounds import moved
from services.routing.usecases.taking_over import Succession, Takeover, carry_out, check, plan
from shared.geo import checks
from shared.geo.circles import circles
from shared.geo.datum import Datum, to_wgs84
from shared.geo.metres import square_metres
from shared.kit.ids import new_id
from shared.kit.messaging.work import Work
from shared.kit.postgres.db import Connection
from shared.kit.problems import not_found
from shared.kit.refusals import Refusal
from shared.kit.service import Service

FINDINGS_SHOWN_MAX = 500
DROP_EVERY_S = 3_600.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature as it was uploaded; `geometry` is GeoJSON text in the version's datum, None for a name only."""

    code: str
    name: str
    level: Level | None
    parent_code: str | None
    fictional: bool
    geometry: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What is or was wrong with one area."""

    code: str
    problem: str


@dataclass(frozen=True, slots=True)
class Added:
    """What a chunk did. `unchanged`: areas that the draft had already, the same in every respect."""

    added: int
    unchanged: int
    repaired: list[Finding]


@dataclass(frozen=True, slots=True)
class OverlapFound:
    """Two grids that share ground."""

    codes: tuple[str, str]
    square_metres: float


@dataclass(frozen=True, slots=True)
class HoleFound:
    """Ground between the grids that none covers, by a point in it and the grids around."""

    lng: float
    lat: float
    square_metres: float
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the checks found among the grids, the largest first; the lists are cut, the totals count all.

    `without_parent`: grids that no community stands above. They work; their reports have no path.
    """

    overlaps: list[OverlapFound] = field(default_factory=list)
    overlaps_total: int = 0
    holes: list[HoleFound] = field(default_factory=list)
    holes_total: int = 0
    without_parent: list[str] = field(default_factory=list)
    without_parent_total: int = 0

    @property
    def clean(self) -> bool:
        """Nothing was found."""
        return not (self.overlaps_total or self.holes_total or self.without_parent_total)


async def create(
    work: Work, label: str, level: Level, datum: Datum, by: str, beside: UUID | None = None
) -> AreaVersion:
    """Begin a draft, empty or with the areas that the draft `beside` has by now; that one stays as it is.

    Raises:
        Refusal: 404 no such draft; 409 it is none.
    """
    version = AreaVersion(new_id(), label, level, datum, "draft", 1, work.now, by, None)
    await area_store.add_version(work.conn, version)
    if beside is None:
        return version
    other = await area_store.version_of(work.conn, beside)
    if other is None:
        raise not_found("version")
    if other.state != "draft":
        raise not_a_draft()
    await area_store.copy_areas(work.conn, beside, version.version_id)
    return await area_store.version_of(work.conn, version.version_id) or version


async def add_features(service: Service, version_id: UUID, features: Sequence[Feature]) -> Added:
    """Check, repair and save a chunk of features; all of it or nothing. Sending a chunk again changes nothing.

    Raises:
        Refusal: 404 no such version; 409 it is no draft; 422 `invalid_features` with each code and its problem.
    """
    async with service.reading() as conn:
        version = await _version(conn, version_id)
    stored, repaired, errors = await asyncio.to_thread(_prepare, version, features)
    if errors:
        raise _invalid(errors)
    async with service.work() as work:
        if await area_store.touch_draft(work.conn, version_id) is None:
            raise not_a_draft()
        new = await area_store.add_areas(work.conn, version_id, stored)
        old = {area.code: (area, polygon) for area, polygon in stored if area.code not in new}
        for area, polygon in await area_store.areas_of_codes(work.conn, version_id, list(old)):
            if old[area.code] != (area, polygon):
                errors.append(Finding(area.code, "the draft has another area with this code"))
        if errors:
            raise _invalid(errors)
    return Added(len(new), len(old), repaired)


async def discard(service: Service, version_id: UUID) -> None:
    """Remove a draft with all its areas; one that isn't there any more is removed.

    Raises:
        Refusal: 409 it is or was in force.
    """
    async with service.work() as work:
        if await area_store.touch_draft(work.conn, version_id) is not None:
            await area_store.drop_draft(work.conn, version_id)
        elif await area_store.version_of(work.conn, version_id) is not None:
            raise problems.NOT_A_DRAFT("reports were routed by it")


async def drop_abandoned(work: Work, days: int) -> bool:
    """Remove one draft that nobody has touched for so many days; False: there is none.

    An import that was killed leaves all that it had sent, and begins with a new draft the next time.
    """
    version_id = await area_store.abandoned_draft(work.conn, timedelta(days=days))
    if version_id is None:
        return False
    await area_store.drop_draft(work.conn, version_id)
    log.info("draft_dropped", version_id=str(version_id))
    return True


async def activate(
    service: Service,
    version_id: UUID,
    by: str,
    *,
    strict: bool = False,
    mapping: Sequence[Succession] = (),
    accept: bool = False,
    dry_run: bool = False,
) -> tuple[AreaVersion, Findings, Takeover]:
    """Check a version and put it in force; an earlier version again, too. Readers see the old or the new map, whole.

    `mapping` says who takes over areas that vanish; `accept` lets the others vanish, and codes stand for other ground.
    A dry run checks everything that is checked without changing anything; areas that vanish or move are then an answer
    and no refusal.

    Raises:
        Refusal: 404 no such version; 409 `version_changed` while it was checked, `map_has_findings` when strict, or
            `areas_vanish`, `areas_moved`; 422 it has no grid, parents lack or go in a circle, or `invalid_mapping`.
    """
    async with service.reading() as conn:
        version = await _version(conn, version_id)
        stored = await area_store.areas(conn, version_id)
        before, _ = await area_store.in_force(conn)
        redrawn = [] if before is None else await area_store.redrawn(conn, version_id, before)
    grids = [(area, polygon) for area, polygon in stored if area.level is Level.GRID]
    if not grids:
        raise problems.NO_GRIDS("a version without grids can't route anything")
    parents, lost = missing_parents(area for area, _ in stored)
    if lost:
        raise _invalid([Finding(code, "names a parent that the version lacks") for code in lost])
    if round_ := circles({area.code: area.parent_code for area, _ in stored}):
        raise _invalid([Finding(code, "is above itself: a circle of parents") for code in round_])
    findings = await asyncio.to_thread(_check, grids)
    if strict and not findings.clean:
        raise problems.MAP_HAS_FINDINGS(findings=findings_json(findings))
    elsewhere = await asyncio.to_thread(moved, redrawn)
    areas = [*(area for area, _ in stored), *parents]
    if dry_run:
        async with service.reading() as conn:
            takeover = await plan(conn, areas, mapping, elsewhere)
        check(takeover, accept=True)
        return version, findings, takeover
    async with service.work() as work:
        if await area_store.lock_in_force(work.conn) != before:
            raise problems.VERSION_CHANGED("another map came into force meanwhile")
        await _put_in_force(work, version, parents, by)
        takeover = await plan(work.conn, areas, mapping, elsewhere)
        check(takeover, accept=accept)
        await carry_out(work, takeover, version_id)
        activated = await area_store.version_of(work.conn, version_id)
    if activated is None:
        raise not_found("version")
    return activated, findings, takeover


async def _put_in_force(work: Work, version: AreaVersion, parents: Sequence[Area], by: str) -> None:
    if not await area_store.activate(work.conn, version, work.now, by):
        raise problems.VERSION_CHANGED()
    await area_store.add_areas(work.conn, version.version_id, [(area, None) for area in parents])


def findings_json(findings: Findings) -> dict[str, Any]:
    """Findings as JSON values."""
    return {
        "overlaps": [{"codes": list(f.codes), "square_metres": f.square_metres} for f in findings.overlaps],
        "overlaps_total": findings.overlaps_total,
        "holes": [
            {"lng": f.lng, "lat": f.lat, "square_metres": f.square_metres, "codes": list(f.codes)}
            for f in findings.holes
        ],
        "holes_total": findings.holes_total,
        "without_parent": findings.without_parent,
        "without_parent_total": findings.without_parent_total,
    }


def not_a_draft() -> Refusal:
    """The problem that an activated version takes no more areas."""
    return problems.NOT_A_DRAFT("make a new version")


async def _version(conn: Connection, version_id: UUID) -> AreaVersion:
    version = await area_store.version_of(conn, version_id)
    if version is None:
        raise not_found("version")
    return version


def no_properties() -> Refusal:
    """The problem that a feature says nothing about its area."""
    return problems.INVALID_FEATURES("a feature without properties")


def _invalid(errors: Sequence[Finding]) -> Refusal:
    return problems.INVALID_FEATURES(
        f"{len(errors)} areas can't be used; nothing of this request was saved",
        errors=[{"code": error.code, "problem": error.problem} for error in errors[:FINDINGS_SHOWN_MAX]],
    )


def _prepare(
    version: AreaVersion, features: Sequence[Feature]
) -> tuple[list[StoredArea], list[Finding], list[Finding]]:
    """Areas ready to save, what was repaired, what can't be. Blocking."""
    stored: list[StoredArea] = []
    repaired: list[Finding] = []
    errors: list[Finding] = []
    seen: set[str] = set()
    for feature in features:
        if feature.code in seen:
            errors.append(Finding(feature.code, "the code stands twice in this request"))
            continue
        seen.add(feature.code)
        try:
            polygon, problem = _polygon(feature, version.datum)
        except ValueError as bad:
            errors.append(Finding(feature.code, str(bad)))
            continue
        level = feature.level or version.level
        if polygon is None and level is Level.GRID:
            errors.append(Finding(feature.code, "a grid needs a polygon"))
            continue
        if problem is not None:
            repaired.append(Finding(feature.code, problem))
        size = 0.0 if polygon is None else round(float(square_metres(np.array([polygon], dtype=object))[0]), 1)
        parent = feature.parent_code or parent_code(feature.code, level)
        area = Area(feature.code, level, feature.name, parent, size, feature.fictional)
        stored.append((area, None if polygon is None else bytes(shapely.to_wkb(polygon))))
    return stored, repaired, errors


def _polygon(feature: Feature, datum: Datum) -> tuple[shapely.Geometry | None, str | None]:
    if feature.geometry is None:
        return None, None
    try:
        raw = shapely.from_geojson(feature.geometry)
    except shapely.errors.GEOSException as bad:
        raise ValueError(f"not readable: {str(bad)[:120]}") from bad
    if checks.out_of_range(raw):
        raise ValueError("coordinates are no longitude and latitude in degrees")
    if checks.exchanged(raw):
        raise ValueError("longitude and latitude look exchanged: longitude comes first")
    if checks.outside_china(raw):
        raise ValueError("lies outside China: the coordinates aren't in the system that the map states")
    polygon, problem = checks.repair(raw)
    if datum != "wgs84":
        polygon = shapely.transform(polygon, lambda xy: np.column_stack(to_wgs84(xy[:, 0], xy[:, 1], datum)))
    return polygon, problem


def _check(grids: Sequence[tuple[Area, bytes | None]]) -> Findings:
    """Overlaps and holes of the grids. Blocking, about 0.2 ms a grid."""
    codes = [area.code for area, _ in grids]
    polygons = shapely.from_wkb([polygon for _, polygon in grids])
    overlaps, holes = checks.overlaps(polygons), checks.holes(polygons)
    alone = [area.code for area, _ in grids if area.parent_code is None]
    return Findings(
        [OverlapFound((codes[f.first], codes[f.second]), f.square_metres) for f in overlaps[:FINDINGS_SHOWN_MAX]],
        len(overlaps),
        [
            HoleFound(f.lng, f.lat, f.square_metres, tuple(codes[n] for n in f.neighbours))
            for f in holes[:FINDINGS_SHOWN_MAX]
        ],
        len(holes),
        alone[:FINDINGS_SHOWN_MAX],
        len(alone),
    )
