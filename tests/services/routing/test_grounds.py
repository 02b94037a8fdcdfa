"""Which codes stand for other ground on the next map."""

import time

import numpy as np
import pytest
import shapely

from services.routing.store.areas import Redrawn
from services.routing.usecases.grounds import Moved, moved

WEST, EAST = shapely.box(120.50, 30.3, 120.51, 30.31), shapely.box(120.51, 30.3, 120.52, 30.31)


def redrawn(code: str, before: shapely.Geometry, after: shapely.Geometry) -> Redrawn:
    return Redrawn(code, "grid", shapely.to_wkb(before), shapely.to_wkb(after))


def test_grids_that_exchange_their_codes_have_moved() -> None:
    found = moved([redrawn("G1", WEST, EAST), redrawn("G2", EAST, WEST)])
    assert found == (Moved("G1", "grid", 0.0), Moved("G2", "grid", 0.0))


@pytest.mark.parametrize(
    "after",
    [
        shapely.box(120.50, 30.3, 120.55, 30.35),  # grew
        shapely.box(120.509, 30.3, 120.51, 30.31),  # kept a tenth of its own
        shapely.box(120.5001, 30.3001, 120.5101, 30.3101),  # drawn more exactly
    ],
)
def test_a_grid_that_grew_or_kept_a_part_is_where_it_was(after: shapely.Geometry) -> None:
    assert moved([redrawn("G1", WEST, after)]) == ()
    assert moved([]) == ()


def test_a_sliver_in_common_is_hardly_any_ground() -> None:
    [one] = moved([redrawn("G1", WEST, shapely.box(120.509, 30.3, 120.519, 30.31))])
    assert one.share == pytest.approx(0.1, abs=0.001)


def test_a_citys_grids_are_compared_in_seconds() -> None:
    lng, lat = np.meshgrid(120 + 0.001 * np.arange(200), 30 + 0.001 * np.arange(100))
    rings = shapely.box(lng.ravel(), lat.ravel(), lng.ravel() + 0.001, lat.ravel() + 0.001)
    before = shapely.to_wkb(shapely.segmentize(rings, 0.00005))
    after = shapely.to_wkb(shapely.segmentize(shapely.transform(rings, lambda xy: xy + 0.0001), 0.00005))
    started = time.process_time()
    assert moved([Redrawn(str(n), "grid", *pair) for n, pair in enumerate(zip(before, after, strict=True))]) == ()
    assert time.process_time() - started < 20
