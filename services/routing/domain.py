"""Where a report belongs: the tree of areas, ambiguous borders, the responsible department."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol
from uuid import UUID

from shared.geo import codes

Outcome = Literal["routed", "unroutable"]
OUTSIDE = "outside_every_grid"
NO_MAP = "no_active_map"
VAGUE = "place_too_vague"
REACH_M_MAX = 200.0
"""A circle of more metres, or of unknown size, says too little: a person finds the grid."""
NOTICE = "虚构边界 / Invented boundaries"


class Level(StrEnum):
    """The levels of the tree, from the root down."""

    CITY = "city"
    DISTRICT = "district"
    STREET = "street"
    COMMUNITY = "community"
    GRID = "grid"


_DOWNWARDS = tuple(Level)


@dataclass(frozen=True, slots=True)
class Area:
    """One area of the tree; square metres are 0 where it has no polygon."""

    code: str
    level: Level
    name: str
    parent_code: str | None
    square_metres: float = 0.0
    fictional: bool = False


@dataclass(frozen=True, slots=True)
class AreaVersion:
    """One import. `areas` and `grids` count."""

    version_id: UUID
    label: str
    level: Level
    datum: Literal["wgs84", "gcj02", "bd09"]
    state: Literal["draft", "activated"]
    version: int
    created_at: datetime
    created_by: str
    activated_at: datetime | None
    areas: int = 0
    grids: int = 0


@dataclass(frozen=True, slots=True)
class Responsibility:
    """One department answers for a kind of department in an area and everything below it."""

    department_kind: str
    area_code: str
    department: str
    name: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a report was made: WGS-84 degrees, the radius in metres, and the kind of department that its kind needs.

    A radius of None is unknown.
    """

    lng: float
    lat: float
    accuracy_m: float | None
    department_kind: str | None


@dataclass(frozen=True, slots=True)
class Route:
    """The decision about one place. `alternatives`: other grids that the accuracy circle reaches; all of them, the most
    likely first, where it is too vague to decide.
    """

    outcome: Outcome
    reason: str | None = None
    grid: Area | None = None
    area_path: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    department: str | None = None
    near: str | None = None
    """Of a place outside every grid: the nearest one, whose people look after the report until it has a grid."""


@dataclass(frozen=True, slots=True)
class StoredRoute:
    """A route as it was saved. `report` is there only while it waits in the manual queue."""

    report_id: UUID
    version: int
    outcome: Outcome
    reason: str | None
    grid_code: str | None
    alternatives: tuple[str, ...]
    department: str | None
    area_version: UUID | None
    routed_at: datetime
    assigned_by: str | None


class Locator(Protocol):
    """Finds grids by place; a grid's number is its place in the code order of the map's grids."""

    def candidates(
        self, lng: Sequence[float], lat: Sequence[float], radius_m: Sequence[float]
    ) -> Sequence[tuple[int, ...]]:
        """For every place the numbers of all grids within the radius, the most likely first."""

    def nearest(self, lng: Sequence[float], lat: Sequence[float]) -> Sequence[int | None]:
        """For every place the number of the grid that is nearest, however far; None where there is no grid."""


def parent_level(level: Level) -> Level | None:
    """The level above, None above a city."""
    place = _DOWNWARDS.index(level)
    return _DOWNWARDS[place - 1] if place else None


def parent_code(code: str, level: Level) -> str | None:
    """The parent's code by the national numbering, None where there is none or the code isn't of that numbering."""
    return codes.parent(code, level)


def missing_parents(areas: Iterable[Area]) -> tuple[list[Area], list[str]]:
    """What the tree needs above the given areas and nobody imported.

    Returns the areas that follow from the national numbering (their names are their codes), and the codes of areas that
    name a parent which neither exists nor follows.
    """
    known = {area.code: area for area in areas}
    added: dict[str, Area] = {}
    lost: list[str] = []
    for area in known.values():
        child = area
        while child.parent_code is not None and child.parent_code not in known and child.parent_code not in added:
            above = parent_level(child.level)
            if above is None or child.parent_code != parent_code(child.code, child.level):
                lost.append(child.code)
                break
            child = Area(child.parent_code, above, child.parent_code, parent_code(child.parent_code, above))
            added[child.code] = child
    return list(added.values()), lost


@dataclass(frozen=True, slots=True)
class AreaMap:
    """Everything that routing a report needs, immutable: a version of the areas and the responsibilities."""

    version_id: UUID | None
    revision: int
    areas: Mapping[str, Area]
    grids: tuple[Area, ...]
    locator: Locator | None
    departments: Mapping[tuple[str, str], str]
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Grid code → codes of the areas above it, from the district down to the community."""
    cities: Mapping[str, str] = field(default_factory=dict)
    """Grid code → code of its city, where the map has one."""
    listed: Mapping[tuple[Level | None, str | None], tuple[Area, ...]] = field(default_factory=dict)
    """Level and parent's code, None for any → areas by code."""
    _sure: dict[tuple[int, str | None], Route] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Routes of places that lie in one grid alone, by its number and the kind of department: a route says nothing of
    its place, so one serves them all. Another map, or the same with other departments, begins without any."""

    @staticmethod
    def of(
        version_id: UUID | None,
        revision: int,
        areas: Iterable[Area],
        locator: Locator | None,
        departments: Mapping[tuple[str, str], str],
    ) -> "AreaMap":
        """A map from its parts; the locator must number the grids in code order."""
        known = {area.code: area for area in areas}
        grids = tuple(sorted((a for a in known.values() if a.level is Level.GRID), key=lambda area: area.code))
        above = {grid.code: ancestors(known, grid) for grid in grids}
        paths = {code: tuple(a.code for a in line if a.level is not Level.CITY) for code, line in above.items()}
        cities = {code: a.code for code, line in above.items() for a in line if a.level is Level.CITY}
        return AreaMap(version_id, revision, known, grids, locator, departments, paths, cities, _listed(known.values()))

    def department(self, kind: str | None, grid_code: str) -> str | None:
        """Code of the department that answers for a kind of department at a grid: the most specific area's."""
        if kind is None:
            return None
        departments = self.departments
        if (found := departments.get((kind, grid_code))) is not None:
            return found
        for code in reversed(self.paths[grid_code]):
            if (found := departments.get((kind, code))) is not None:
                return found
        return departments.get((kind, self.cities.get(grid_code, "")))

    def route(self, places: Sequence[Place]) -> list[Route]:
        """A decision for every place: whole batches cost a few microseconds a place."""
        if self.locator is None:
            return [Route("unroutable", NO_MAP)] * len(places)
        found = self.locator.candidates(
            [place.lng for place in places], [place.lat for place in places], [_reach_m(place) for place in places]
        )
        sure, routes = self._sure, []
        for place, numbers in zip(places, found, strict=True):
            # one grid: the route has nearly always been made before, unless the circle is too wide to decide
            route = sure.get((numbers[0], place.department_kind)) if len(numbers) == 1 else None
            if route is None or place.accuracy_m is None or place.accuracy_m > REACH_M_MAX:
                route = self._decide(place, numbers)
            routes.append(route)
        if not all(found):
            outside = [place for place, numbers in zip(places, found, strict=True) if not numbers]
            near = iter(self.locator.nearest([place.lng for place in outside], [place.lat for place in outside]))
            routes = [self._near(next(near)) if route.reason == OUTSIDE else route for route in routes]
        return routes

    def at_grid(self, grid: Area, department_kind: str | None, alternatives: tuple[str, ...] = ()) -> Route:
        """The route to a grid of this map."""
        department = self.department(department_kind, grid.code)
        return Route("routed", None, grid, self.paths[grid.code], alternatives, department)

    def _near(self, number: int | None) -> Route:
        return Route("unroutable", OUTSIDE, near=None if number is None else self.grids[number].code)

    def _decide(self, place: Place, numbers: tuple[int, ...]) -> Route:
        if not numbers:
            return Route("unroutable", OUTSIDE)
        grids = self.grids
        if place.accuracy_m is None or place.accuracy_m > REACH_M_MAX:
            near = tuple(grids[number].code for number in numbers)
            return Route("unroutable", VAGUE, alternatives=near, near=near[0])
        if len(numbers) == 1:
            route = self.at_grid(grids[numbers[0]], place.department_kind)
            self._sure[numbers[0], place.department_kind] = route
            return route
        others = tuple(grids[number].code for number in numbers[1:])
        return self.at_grid(grids[numbers[0]], place.department_kind, others)


def _reach_m(place: Place) -> float:
    return REACH_M_MAX if place.accuracy_m is None else min(place.accuracy_m, REACH_M_MAX)


def _listed(areas: Iterable[Area]) -> dict[tuple[Level | None, str | None], tuple[Area, ...]]:
    found: dict[tuple[Level | None, str | None], list[Area]] = {}
    for area in sorted(areas, key=lambda area: area.code):
        for level in (None, area.level):
            for parent in {None, area.parent_code}:
                found.setdefault((level, parent), []).append(area)
    return {asked: tuple(listed) for asked, listed in found.items()}


EMPTY = AreaMap(None, -1, {}, (), None, {})


def ancestors(areas: Mapping[str, Area], area: Area) -> tuple[Area, ...]:
    """The areas above one, the root first. A circle of parents ends where it closes."""
    line: list[Area] = []
    seen = {area.code}
    code = area.parent_code
    while code is not None and code in areas and code not in seen:
        seen.add(code)
        line.append(areas[code])
        code = areas[code].parent_code
    return tuple(reversed(line))
