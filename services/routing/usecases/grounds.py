"""Codes that stay in force on the next map and stand for other ground there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from services.routing.store.areas import Redrawn

SHARE_MIN = 0.2
"""Of the smaller of the two polygons: a grid that grew, or kept a part of its own, stays where it was."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A code of both maps. `share`: of the smaller polygon's ground, what the two have in common."""

    code: str
    level: str
    share: float


def moved(redrawn: Sequence[Redrawn]) -> tuple[Moved, ...]:
    """Those whose two polygons hardly overlap, by code. Blocking, about 0.1 ms a polygon.

    Args:
        redrawn: areas of both maps whose polygons differ; WKB in degrees.
    """
    if not redrawn:
        return ()
    before = shapely.from_wkb(np.array([one.before for one in redrawn], dtype=object))
    after = shapely.from_wkb(np.array([one.after for one in redrawn], dtype=object))
    # degrees do: both polygons of a pair lie at the same latitude, or have nothing in common
    common = shapely.area(shapely.intersection(before, after))
    smaller = np.minimum(shapely.area(before), shapely.area(after))
    return tuple(
        Moved(one.code, one.level, round(float(share), 3))
        for one, share in zip(redrawn, common / smaller, strict=True)
        if share < SHARE_MIN
    )
