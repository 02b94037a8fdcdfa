"""What covers what: by the map where there is one, else by whole levels of the national numbering."""

import pytest

from shared.events.common import AreaLevel
from shared.kit.areas import NO_MAP, AreaTree, KnownArea
from shared.kit.auth import Principal

CITY = AreaTree.of(
    [
        KnownArea("HZ", "city", (), True),
        KnownArea("330102", "district", ("HZ",), True),
        KnownArea("330105", "district", ("HZ",), True),
        KnownArea("G1", "grid", ("HZ", "330102"), True),
        KnownArea("G10", "grid", ("HZ", "330105"), True),
        KnownArea("330102001001001", "grid", ("HZ", "330105"), True),
        KnownArea("330103", "district", ("HZ",), False, ("330102",)),
        KnownArea("330103001001001", "grid", ("HZ", "330103"), False, ("G1", "G10")),
    ]
)


@pytest.mark.parametrize(
    ("area", "code", "covered"),
    [
        ("330114", "330114001", True),
        ("330114001001", "330114001001001", True),
        ("3301", "330114001001001", True),
        ("330114", "330114", True),
        ("3301", "33011", False),
        ("33011", "330114", False),
        ("330114", "33011400", False),
        ("330114", "3301140010010011", False),
        ("G1", "G10", False),
        ("G1", "G1", True),
        ("３３０１", "330114", False),
        ("33", "330114", False),
    ],
)
def test_without_a_map_whole_levels_decide(area: str, code: str, covered: bool) -> None:
    assert NO_MAP.covers(area, code) is covered
    assert Principal("person", "w", areas=(area,)).covers(code) is covered


@pytest.mark.parametrize(
    ("area", "code", "covered"),
    [
        ("330102", "G1", True),
        ("330105", "G10", True),
        ("330105", "G1", False),
        ("G1", "G10", False),
        ("HZ", "G10", True),
        ("330105", "330102001001001", True),
        ("330102", "330102001001001", False),
        ("330102", "330102999999999", False),
    ],
)
def test_with_a_map_only_the_map_decides(area: str, code: str, covered: bool) -> None:
    assert CITY.covers(area, code) is covered
    assert (code in CITY.below([area])) is covered, "a list shows what a look-up shows"
    assert Principal("person", "w", areas=(area,), tree=CITY).covers(code) is covered


def test_a_vanished_area_keeps_its_people_and_they_get_its_ground_only() -> None:
    assert CITY.covers("330103", "330103001001001"), "what is still kept there"
    assert CITY.covers("330103", "G1") and CITY.covers("330103", "G10"), "the grids that took its grid over"
    assert not CITY.covers("330103", "330102"), "the district that it became part of is not theirs"
    assert not CITY.covers("330103", "330102001001001")
    assert CITY.below(["330103"]) == {"330103", "330103001001001", "G1", "G10"}


def test_an_office_that_is_still_there_gets_nothing_of_its_neighbour() -> None:
    """A grid of D1 was recut: nearly all of it is A2, and a sliver went to B, which has been D2's all along."""
    areas = [
        KnownArea("HZ", "city", (), True),
        KnownArea("D1", "district", ("HZ",), True),
        KnownArea("S1", "street", ("HZ", "D1"), False, ("S2",)),
        KnownArea("D2", "district", ("HZ",), True),
        KnownArea("S2", "street", ("HZ", "D2"), True),
        KnownArea("A", "grid", ("HZ", "D1", "S1"), False, ("A2", "B")),
        KnownArea("A2", "grid", ("HZ", "D1"), True),
        KnownArea("B", "grid", ("HZ", "D2", "S2"), True),
        KnownArea("C", "grid", ("HZ", "D2", "unheard"), False, ("A2",)),
    ]
    tree = AreaTree.of(areas)
    assert not tree.covers("D1", "B"), "D1 is there and has its own"
    assert "D1" not in tree.line("B"), "its channels hear nothing of B's emergencies"
    assert "B" not in tree.below(["D1"]), "a list shows what a look-up shows"
    assert not Principal("person", "d", areas=("D1",), tree=tree).covers("B")
    assert tree.covers("S1", "B") and tree.covers("A", "B"), "who had what vanished keeps its ground"
    assert tree.covers("D1", "A") and tree.covers("D2", "A"), "what is kept under the old code is both's"
    assert not tree.covers("D2", "A2"), "nor the other way round"
    assert not tree.covers("unheard", "A2"), "whether it has vanished isn't known"


def test_a_successor_covers_what_is_kept_under_the_codes_that_it_took_over() -> None:
    for new in ("G1", "G10", "330102", "330105", "HZ"):
        assert CITY.covers(new, "330103001001001"), new
        assert "330103001001001" in CITY.below([new]), "a list shows what a look-up shows"
    assert CITY.covers("330102", "330103") and not CITY.covers("330105", "330103")
    assert not CITY.covers("330102001001001", "330103001001001"), "a neighbour that took nothing over"


def test_successors_of_successors_cover_it_and_what_they_had_of_others_they_keep() -> None:
    areas: dict[str, tuple[AreaLevel, tuple[str, ...], bool, tuple[str, ...]]] = {
        "D1": ("district", (), False, ("D2",)),
        "D2": ("district", (), False, ("D3",)),
        "D3": ("district", (), True, ()),
        "D4": ("district", (), False, ("D5",)),
        "D5": ("district", (), True, ()),
        "A": ("grid", ("D1",), False, ("B",)),
        "B": ("grid", ("D2",), False, ("C",)),
        "C": ("grid", ("D3",), True, ()),
        "X": ("grid", ("D4",), False, ("C",)),
        "orphan": ("grid", ("D1",), False, ()),
    }
    tree = AreaTree.of([KnownArea(code, *rest) for code, rest in areas.items()])
    assert {code for code in areas if tree.covers("D3", code)} == {"D1", "D2", "D3", "A", "B", "C", "X", "orphan"}
    assert {code for code in areas if tree.covers("C", code)} == {"A", "B", "C", "X"}
    assert not tree.covers("D5", "X"), "its own successor goes before its district's"
    assert not tree.covers("D5", "A") and not tree.covers("D4", "A") and not tree.covers("X", "A"), "had of others"
    turned = [KnownArea("P", "grid", (), False, ("Q",)), KnownArea("Q", "grid", (), False, ("P",))]
    assert AreaTree.of(turned).covers("P", "Q"), "areas that name each other end"


def test_grids_of_the_map_in_force() -> None:
    assert CITY.has_grid("G1")
    assert not CITY.has_grid("330103001001001"), "gone"
    assert not CITY.has_grid("330102"), "no grid"
    assert not CITY.has_grid("G2") and not NO_MAP.has_grid("G1"), "unknown"


def test_who_answers_for_the_whole_city() -> None:
    operator, office = "operator", frozenset({"dispatcher"})
    assert Principal(operator, "o").covers_city
    assert not Principal(operator, "o", areas=("330102",), tree=CITY).covers_city
    assert not Principal(operator, "o", areas=("330102", "330105"), tree=CITY).covers_city, "its own cases are left out"
    assert Principal(operator, "o", areas=("HZ",), tree=CITY).covers_city
    assert Principal("person", "d", roles=office, areas=("HZ",), tree=CITY).covers_city
    assert not Principal("person", "d", roles=office, areas=("HZ",)).covers_city, "no map, no whole city"
    assert not Principal("person", "d", roles=office, tree=CITY).covers_city
    assert not Principal("company", "c", "c", tree=CITY).covers_city
