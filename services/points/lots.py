"""Lots: what a rider earned on one day. Spent oldest first, so what is left of one follows from two sums."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

WARNED_DAYS = (30, 7)
"""So long before points expire their rider is warned. (The migration that makes lots knows them, too.)"""


@dataclass(slots=True)
class Lot:
    """Points that were earned on one day of the city. `later`: what the rider has earned on later days, by now."""

    rider_id: UUID
    earned_on: date
    points: int
    expires_on: date | None
    """The first day on which they are gone; None: never."""
    expired: int
    look_on: date | None
    later: int

    def left(self, available: int) -> int:
        """How much of it is left where so much is available: whatever leaves an account takes the oldest points."""
        return max(0, min(self.points - self.expired, available - self.later))


@dataclass(frozen=True, slots=True)
class ExpiryRule:
    """For how many days points are valid that are earned from a day on; 0: for ever. `zone`: where days begin."""

    version: int
    effective_from: date
    valid_days: int
    zone: str
    set_by: str = ""
    reason: str = ""
