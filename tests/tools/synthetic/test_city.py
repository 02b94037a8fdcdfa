"""The demo city: real names, invented borders, the same every time."""

from collections import Counter

import shapely

from shared.synthetic.city import OUTLINE, city, feature_collection, grids, random_places


def test_names_codes_and_levels() -> None:
    areas = city()
    counts = Counter(area.level for area in areas)
    assert (counts["district"], counts["street"], counts["community"]) == (1, 7, 127)
    assert 127 * 4 <= counts["grid"] <= 127 * 8
    per_community = Counter(area.parent_code for area in areas if area.level == "grid")
    assert len(per_community) == 127 and set(per_community.values()) <= set(range(4, 9))
    assert all(len(area.code) == 15 and area.code.startswith(area.parent_code or "-") for area in grids())
    assert len({area.code for area in areas}) == len(areas)
    assert next(area.name for area in areas if area.code == "330114001001") == "头格社区"


def test_cells_fill_the_outline_and_children_their_parents() -> None:
    whole = shapely.union_all([area.polygon for area in grids()])
    assert whole.symmetric_difference(OUTLINE).area / OUTLINE.area < 1e-6
    areas = {area.code: area for area in city()}
    for area in areas.values():
        if area.parent_code:
            assert area.polygon.difference(areas[area.parent_code].polygon.buffer(1e-6)).is_empty


def test_the_same_seed_gives_the_same_city_and_another_one_another() -> None:
    fresh = city.__wrapped__()
    assert [shapely.to_wkb(a.polygon) for a in fresh] == [shapely.to_wkb(a.polygon) for a in city()]
    assert [shapely.to_wkb(a.polygon) for a in city.__wrapped__(7)] != [shapely.to_wkb(a.polygon) for a in city()]


def test_every_feature_says_that_its_border_is_invented() -> None:
    collection = feature_collection(city())
    assert all(feature["properties"]["fictional"] is True for feature in collection["features"])
    assert all(feature["properties"]["notice"] == "虚构边界" for feature in collection["features"])


def test_random_places_are_where_they_say() -> None:
    places = random_places(2_000, seed=3)
    assert places == random_places(2_000, seed=3)
    assert 20 <= sum(place.where == "outside" for place in places) <= 80
    borders = shapely.union_all([area.polygon.boundary for area in grids()])
    for place in places:
        point = shapely.Point(place.lng, place.lat)
        assert OUTLINE.buffer(1e-6).contains(point) or place.where != "inside"
        assert OUTLINE.distance(point) * 111_000 > 2_000 or place.where != "outside"
        assert borders.distance(point) * 111_000 < 9 or place.where != "border"
