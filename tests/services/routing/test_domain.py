"""The tree of areas, the responsible department, and decisions about places."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from services.routing.domain import (
    NO_MAP,
    OUTSIDE,
    VAGUE,
    Area,
    AreaMap,
    Level,
    Place,
    ancestors,
    missing_parents,
    parent_code,
)

VERSION = UUID(int=1)
GRIDS = ("330114001001001", "330114001001002", "330114001002001", "330114002001001")


class Fixed:
    """A locator that answers what it is given."""

    def __init__(self, *answers: tuple[int, ...]) -> None:
        self.answers = answers

    def candidates(
        self, lng: Sequence[float], lat: Sequence[float], radius_m: Sequence[float]
    ) -> Sequence[tuple[int, ...]]:
        assert len(lng) == len(lat) == len(radius_m) == len(self.answers)
        return self.answers

    def nearest(self, lng: Sequence[float], lat: Sequence[float]) -> Sequence[int | None]:
        assert len(lng) == len(lat) == sum(not answer for answer in self.answers)
        return [1] * len(lng)


def tree() -> list[Area]:
    grids = [Area(code, Level.GRID, f"网格{code[-1]}", code[:12]) for code in GRIDS]
    return [*grids, *missing_parents(grids)[0]]


def map_with(*answers: tuple[int, ...], departments: dict[tuple[str, str], str] | None = None) -> AreaMap:
    return AreaMap.of(VERSION, 1, tree(), Fixed(*answers), departments or {})


def places(n: int, kind: str | None = "water") -> list[Place]:
    return [Place(120.4, 30.3, 20, kind)] * n


@pytest.mark.parametrize(
    ("code", "level", "parent"),
    [
        ("330114001001001", Level.GRID, "330114001001"),
        ("330114001001", Level.COMMUNITY, "330114001"),
        ("330114001", Level.STREET, "330114"),
        ("330114", Level.DISTRICT, "3301"),
        ("3301", Level.CITY, None),
        ("G-17", Level.GRID, None),
        ("330114001001", Level.GRID, None),
        ("３３０１１４００１００１００１", Level.GRID, None),
    ],
)
def test_parents_follow_from_national_codes(code: str, level: Level, parent: str | None) -> None:
    assert parent_code(code, level) == parent


def test_the_tree_above_grids_is_completed_to_the_city() -> None:
    added, lost = missing_parents([Area(code, Level.GRID, code, code[:12]) for code in GRIDS])
    assert lost == []
    assert {area.code: area.level for area in added} == {
        "330114001001": Level.COMMUNITY,
        "330114001002": Level.COMMUNITY,
        "330114002001": Level.COMMUNITY,
        "330114001": Level.STREET,
        "330114002": Level.STREET,
        "330114": Level.DISTRICT,
        "3301": Level.CITY,
    }


def test_imported_parents_stay_and_unknown_ones_are_named() -> None:
    street = Area("330114001", Level.STREET, "下沙街道", None)
    areas = [street, Area("330114001001", Level.COMMUNITY, "头格社区", "330114001"), Area("G1", Level.GRID, "一", "C9")]
    added, lost = missing_parents(areas)
    assert (added, lost) == ([], ["G1"])


def test_a_circle_of_parents_ends() -> None:
    areas = {c: Area(c, Level.GRID, c, p) for c, p in (("A", "B"), ("B", "A"))}
    assert [area.code for area in ancestors(areas, areas["A"])] == ["B"]


def test_a_route_names_grid_path_and_alternatives() -> None:
    (route,) = map_with((2, 0, 3)).route(places(1))
    assert route.outcome == "routed" and route.grid is not None
    assert route.grid.code == "330114001002001"
    assert route.area_path == ("330114", "330114001", "330114001002")
    assert route.alternatives == ("330114001001001", "330114002001001")


def test_outside_every_grid_and_without_a_map_a_report_is_unroutable() -> None:
    inside, outside = map_with((0,), ()).route(places(2))
    assert inside.outcome == "routed"
    assert (outside.outcome, outside.reason, outside.grid) == ("unroutable", OUTSIDE, None)
    (none,) = AreaMap.of(None, 0, [], None, {}).route(places(1))
    assert (none.outcome, none.reason) == ("unroutable", NO_MAP)


@pytest.mark.parametrize(
    ("area", "expected"),
    [
        ("330114001001001", "grid"),
        ("330114001001", "community"),
        ("330114001", "street"),
        ("330114", "district"),
        ("3301", "city"),
    ],
)
def test_the_most_specific_area_answers(area: str, expected: str) -> None:
    ladder = {
        "3301": "city",
        "330114": "district",
        "330114001": "street",
        "330114001001": "community",
        GRIDS[0]: "grid",
    }
    departments = {("water", code): name for code, name in ladder.items() if len(code) <= len(area)}
    departments[("gas", GRIDS[0])] = "wrong kind"
    departments[("water", "330114002")] = "wrong area"
    (route,) = map_with((0,), departments=departments).route(places(1))
    assert route.department == expected


def test_nobody_responsible_and_no_kind_give_no_department() -> None:
    assert map_with((0,)).route(places(1))[0].department is None
    assert map_with((0,), departments={("water", "3301"): "x"}).route(places(1, kind=None))[0].department is None


@pytest.mark.parametrize("accuracy_m", [None, 200.5, 650.0])
def test_a_vague_place_waits_for_a_person_with_the_grids_around(accuracy_m: float | None) -> None:
    vague = [replace(place, accuracy_m=accuracy_m) for place in places(2)]
    near, far = map_with((2, 0), ()).route(vague)
    assert (near.near, far.near) == (GRIDS[2], GRIDS[1]), "the nearest grid's people look after it"
    assert (near.outcome, near.reason, near.grid, near.department) == ("unroutable", VAGUE, None, None)
    assert near.alternatives == ("330114001002001", "330114001001001")
    assert (far.outcome, far.reason, far.alternatives) == ("unroutable", OUTSIDE, ())


def test_no_circle_is_looked_at_that_is_wider_than_any_place_is_trusted() -> None:
    asked: list[float] = []

    class Asked:
        def candidates(
            self, lng: Sequence[float], lat: Sequence[float], radius_m: Sequence[float]
        ) -> list[tuple[int, ...]]:
            asked.extend(radius_m)
            return [()] * len(lng)

        def nearest(self, lng: Sequence[float], lat: Sequence[float]) -> list[int | None]:
            return [None] * len(lng)

    made = replace(map_with((0,)), locator=Asked())
    made.route([replace(place, accuracy_m=each) for place, each in zip(places(3), (None, 90_000.0, 15.0), strict=True)])
    assert asked == [200.0, 200.0, 15.0]


def test_a_route_that_serves_many_places_is_not_kept_for_other_departments() -> None:
    areas = map_with((0,), (0,), departments={("water", GRIDS[0]): "old"})
    first, second = areas.route(places(2))
    assert first is second, "it says nothing of its place"
    (other,) = replace(areas, locator=Fixed((0,)), departments={("water", GRIDS[0]): "new"}).route(places(1))
    assert (first.department, other.department) == ("old", "new")
    (without,) = replace(areas, locator=Fixed((0,))).route(places(1, None))
    assert without.department is None
