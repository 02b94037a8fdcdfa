"""Routing reports: by the map, or by a person."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from services.routing import metrics, problems
from services.routing.domain import Area, AreaMap, Level, Place, Route, StoredRoute
from services.routing.store import routes as route_store
from services.routing.usecases.current_map import CurrentMap
from shared.catalog import Catalogue
from shared.events.common import Level as ReportLevel
from shared.events.report_received import ReportReceived
from shared.events.report_routed import REPORT_ROUTED, ReportRouted
from shared.geo.datum import Datum, point_to_wgs84
from shared.kit import clock
from shared.kit.auth import Principal
from shared.kit.messaging.work import Event, Work
from shared.kit.postgres.db import Connection
from shared.kit.problems import FORBIDDEN, not_found
from shared.kit.refusals import Refusal
from shared.kit.service import Service

NEIGHBOURS_AT_ONCE = 1_000
CARRIED_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Router:
    """What decides: the map in force and the kinds of report."""

    areas: AreaMap
    catalogue: Catalogue

    def department_kind(self, report: ReportReceived) -> str | None:
        """The kind of department that the report's kind needs, by the rule of the day on which it came in."""
        kind = self.catalogue.kind(report.kind, report.received_at)
        return None if kind is None else kind.department_kind


async def route_reports(router: Router, work: Work, events: Sequence[Event[ReportReceived]]) -> None:
    """Route a batch and publish each decision. A few statements, however many reports."""
    by_report = {event.data.report_id: event for event in events}
    reports = [event.data for event in by_report.values()]
    routes = router.areas.route([Place(r.lng, r.lat, r.accuracy_m, router.department_kind(r)) for r in reports])
    version_id, now = router.areas.version_id, work.now
    fresh = await route_store.add(
        work.conn,
        [
            StoredRoute(
                report.report_id,
                1,
                route.outcome,
                route.reason,
                None if route.grid is None else route.grid.code,
                route.alternatives,
                route.department,
                version_id,
                now,
                None,
            )
            for report, route in zip(reports, routes, strict=True)
        ],
    )
    waiting: list[route_store.ToQueue] = []
    for event, report, route in zip(by_report.values(), reports, routes, strict=True):
        if report.report_id not in fresh:
            continue
        work.publish(REPORT_ROUTED, _routed(report, route), version=1, cause=event)
        metrics.TIME_TO_ROUTED.observe((now - report.received_at).total_seconds())
        if route.outcome == "unroutable":
            waiting.append(
                route_store.ToQueue(
                    report_id=report.report_id, reason=route.reason or "", near=route.near,
                    report=report.model_dump_json(),
                )
            )  # fmt: skip
    await route_store.queue(work.conn, waiting, now)
    _count(routes)


async def follow_reports(
    current: CurrentMap, catalogue: Catalogue, work: Work, events: Sequence[Event[ReportReceived]]
) -> None:
    """Route a batch by the map that this process has now: one map for all of it, also when another one comes."""
    await route_reports(Router(current.value, catalogue), work, events)


async def measure_waiting(conn: Connection) -> None:
    """Show for how long the manual queue's oldest reports wait."""
    for level, age_s in (await route_store.oldest_ages(conn, get_args(ReportLevel))).items():
        metrics.WAITING_AGE.labels(level).set(age_s)


def locate(
    router: Router, lng: float, lat: float, datum: Datum, accuracy_m: float, kind: str | None
) -> tuple[Place, Route]:
    """Where a place belongs now; the place comes back as WGS-84."""
    found = None if kind is None else router.catalogue.kind(kind, clock.now())  # process clock: only an answer
    place = Place(*point_to_wgs84(lng, lat, datum), accuracy_m, None if found is None else found.department_kind)
    return place, router.areas.route([place])[0]


async def waiting(
    conn: Connection, caller: Principal, after: tuple[datetime, UUID] | None, limit: int
) -> list[route_store.Waiting]:
    """The manual queue near the caller's areas, the longest waiting first."""
    return await route_store.waiting(conn, after, limit, _near(caller))


async def find_neighbours(service: Service, areas: AreaMap) -> None:
    """Give reports that came before there was a map to those who are nearest; a repetition does the rest."""
    after = UUID(int=0)
    while areas.locator is not None:
        async with service.work() as work:
            found = await route_store.nowhere_near(work.conn, after, NEIGHBOURS_AT_ONCE)
            if not found:
                return
            await route_store.set_near(work.conn, _nearest(areas, found))
        after = found[-1][0]


async def carry_queue(current: CurrentMap, work: Work) -> int:
    """Give reports near grids that a new map lacks to those who are nearest by it; how many. Bounded; 0: none is left,
    or this process has not the new map yet."""
    found = await route_store.near_vanished(work.conn, CARRIED_AT_ONCE)
    return await route_store.move_near(work.conn, _nearest(current.value, found)) if found else 0


def _nearest(areas: AreaMap, waiting: Sequence[tuple[UUID, dict[str, Any]]]) -> list[tuple[UUID, str]]:
    if areas.locator is None:
        return []
    numbers = areas.locator.nearest([body["lng"] for _, body in waiting], [body["lat"] for _, body in waiting])
    return [(id_, areas.grids[n].code) for (id_, _), n in zip(waiting, numbers, strict=True) if n is not None]


def _near(caller: Principal) -> frozenset[str] | None:
    """Grids whose neighbourhood is the caller's; None: also what is near no grid."""
    return None if caller.covers_city else caller.tree.below(caller.areas)


async def assign_grid(router: Router, work: Work, caller: Principal, report_id: UUID, grid_code: str) -> StoredRoute:
    """A person names the grid of a waiting report; it is published as routed, with the next version.

    The same answer again where the report already has that very grid.

    Raises:
        Refusal: 422 no such grid; 403 not in the caller's area; 404 no such report; 409 it has another grid.
    """
    grid = _grid(router.areas, grid_code)
    if not caller.covers(grid.code):
        raise FORBIDDEN("网格不在您的辖区内 / The grid is not in your area")
    body = await route_store.take_from_queue(work.conn, report_id, _near(caller))
    if body is None:
        return await _assigned_before(work, caller, report_id, grid_code)
    report = ReportReceived.model_validate(body)
    route = router.areas.at_grid(grid, router.department_kind(report))
    stored = StoredRoute(
        report_id, 0, "routed", None, grid.code, (), route.department, router.areas.version_id, work.now, caller.actor
    )
    version = await route_store.assign(work.conn, stored)
    if version is None:
        raise not_found("report")
    work.publish(REPORT_ROUTED, _routed(report, route), version=version)
    metrics.ROUTED.labels(outcome="assigned").inc()
    return replace(stored, version=version)


async def _assigned_before(work: Work, caller: Principal, report_id: UUID, grid_code: str) -> StoredRoute:
    route = await route_store.route_of(work.conn, report_id)
    if route is None or route.grid_code is None or not caller.covers(route.grid_code):
        raise not_found("report")
    if route.grid_code != grid_code:
        raise problems.ALREADY_ROUTED(grid_code=route.grid_code, version=route.version)
    return route


def _grid(areas: AreaMap, code: str) -> Area:
    area = areas.areas.get(code)
    if area is None or area.level is not Level.GRID:
        raise unknown_grid(code)
    return area


def unknown_grid(code: str) -> Refusal:
    """The problem that a code is no grid of the map in force."""
    return problems.UNKNOWN_GRID(f"{code} is no grid of the map in force")


def _routed(report: ReportReceived, route: Route) -> ReportRouted:
    # Built without validation: every value comes from a validated event or from the map, and this runs for each event.
    return ReportRouted.model_construct(
        report_id=report.report_id,
        rider_id=report.rider_id,
        company=report.company,
        kind=report.kind,
        level=report.level,
        lng=report.lng,
        lat=report.lat,
        accuracy_m=report.accuracy_m,
        text=report.text,
        photos=report.photos,
        occurred_at=report.occurred_at,
        received_at=report.received_at,
        outcome=route.outcome,
        reason=route.reason,
        grid_code=None if route.grid is None else route.grid.code,
        grid_name=None if route.grid is None else route.grid.name,
        area_path=route.area_path,
        alternatives=route.alternatives,
        department=route.department,
    )


def _count(routes: Sequence[Route]) -> None:
    unroutable = sum(route.outcome == "unroutable" for route in routes)
    ambiguous = sum(bool(route.alternatives) and route.outcome == "routed" for route in routes)
    metrics.ROUTED.labels(outcome="unroutable").inc(unroutable)
    metrics.ROUTED.labels(outcome="ambiguous").inc(ambiguous)
    metrics.ROUTED.labels(outcome="unambiguous").inc(len(routes) - unroutable - ambiguous)
