"""What the checks of a map found, as operators see it."""

from shared.kit.http.models import Answer


class OverlapOut(Answer):
    """Areas of which each has the same ground."""

    codes: list[str]
    square_metres: float


class HoleOut(Answer):
    """Ground between areas that none of them has; WGS-84."""

    lng: float
    lat: float
    square_metres: float
    codes: list[str]


class FindingsOut(Answer):
    """What the checks found, the largest first, and how many there are in all."""

    overlaps: list[OverlapOut]
    overlaps_total: int
    holes: list[HoleOut]
    holes_total: int
    without_parent: list[str]
    without_parent_total: int
