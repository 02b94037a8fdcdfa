"""The coordinate shift against reference pairs, and its inverse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.geo import datum

FORMULA = [
    ((121.5272106, 31.1774276), (121.531541859215, 31.17530398364597)),
    ((113.912316, 22.543847), (113.9171764808363, 22.540796131694766)),
    ((116.377817, 39.911954), (116.38404722455657, 39.91334545536069)),
]
REAL_SERVICE = [
    ((114.004, 30.8293), (114.009632161, 30.8269596354)),
    ((120.004, 29.8293), (120.008656955, 29.8268397352)),
    ((113.004, 27.8293), (113.009628906, 27.8260112847)),
]
METRES_PER_DEGREE = 111_320


@pytest.mark.parametrize(("wgs", "gcj"), FORMULA)
def test_reference_pairs_of_the_formula(wgs: tuple[float, float], gcj: tuple[float, float]) -> None:
    assert datum.point_from_wgs84(*wgs, "gcj02") == pytest.approx(gcj, abs=1e-9)
    assert datum.point_to_wgs84(*gcj, "gcj02") == pytest.approx(wgs, abs=1e-9)


@pytest.mark.parametrize(("wgs", "gcj"), REAL_SERVICE)
def test_pairs_of_the_real_service_within_a_metre(wgs: tuple[float, float], gcj: tuple[float, float]) -> None:
    lng, lat = datum.point_from_wgs84(*wgs, "gcj02")
    east = (lng - gcj[0]) * METRES_PER_DEGREE * np.cos(np.radians(lat))
    assert np.hypot(east, (lat - gcj[1]) * METRES_PER_DEGREE) < 1.0


def test_reference_pair_of_bd09() -> None:
    lng, lat = datum.gcj02_to_bd09([114.3053942], [30.5931044])
    assert (lng[0], lat[0]) == pytest.approx((114.3119755, 30.5987732), abs=1e-6)
    lng, lat = datum.bd09_to_gcj02([114.3119755], [30.5987732])
    assert (lng[0], lat[0]) == pytest.approx((114.3053942, 30.5931044), abs=1e-6)


@given(
    st.lists(st.tuples(st.floats(73.6, 134.7), st.floats(4.0, 53.5)), min_size=1, max_size=20),
    st.sampled_from(["gcj02", "bd09"]),
)
def test_there_and_back_is_the_same_place(points: list[tuple[float, float]], name: datum.Datum) -> None:
    lng, lat = np.array(points).T
    back = datum.to_wgs84(*datum.from_wgs84(lng, lat, name), name)
    assert np.abs(back[0] - lng).max() < 1e-9
    assert np.abs(back[1] - lat).max() < 1e-9


@pytest.mark.parametrize("name", ["wgs84", "gcj02", "bd09"])
def test_outside_china_nothing_moves(name: datum.Datum) -> None:
    for point in [(2.35, 48.85), (-74.0, 40.7), (151.2, -33.9)]:
        assert datum.point_to_wgs84(*point, name) == point
        assert datum.point_from_wgs84(*point, name) == point


def test_a_batch_may_mix_inside_and_outside() -> None:
    lng, lat = datum.to_wgs84([116.38404722455657, 2.35], [39.91334545536069, 48.85], "gcj02")
    assert lng == pytest.approx([116.377817, 2.35], abs=1e-9)
    assert lat == pytest.approx([39.911954, 48.85], abs=1e-9)


def test_an_empty_batch_is_empty() -> None:
    lng, lat = datum.to_wgs84([], [], "bd09")
    assert lng.shape == lat.shape == (0,)
