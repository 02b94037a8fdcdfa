"""A rider starts and finishes what they have a place for."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import numpy as np

from services.tasks import problems
from services.tasks.domain import Claim, Task
from services.tasks.settings import Settings
from services.tasks.store import claims
from services.tasks.usecases import weather
from services.tasks.usecases.claiming import locked
from shared.geo.metres import metres_per_degree
from shared.kit.areas import AreaTree
from shared.kit.messaging.work import Work

ACCURACY_MAX_M = 200.0
"""A phone that knows its place worse than this gets no more leeway for it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rider is, WGS-84; compared, and kept nowhere. `accuracy_m`: None where the phone doesn't say."""

    lng: float
    lat: float
    accuracy_m: float | None = None


async def start(
    settings: Settings, tree: AreaTree, work: Work, claim_id: UUID, rider_id: UUID, place: Place | None
) -> Claim:
    """The rider begins. Again: the same answer.

    Raises:
        Refusal: no such claim of the rider, not the time, an alarm, too far from the place, or the claim has moved on.
    """
    task, found = await locked(work, claim_id, rider_id)
    if found.state == "started":
        return found
    if found.state != "claimed":
        raise problems.CLAIM_MOVED_ON(state=found.state)
    await weather.refuse(work, tree, task)
    early = timedelta(minutes=settings.start_early_minutes)
    if not task.starts_at - early <= work.now < task.ends_at:
        raise problems.NOT_NOW()
    _near(task, place, settings.near_m)
    made = await claims.start(work.conn, claim_id)
    assert made is not None, "it is locked, and was looked at"
    return made


def _near(task: Task, place: Place | None, near_m: int) -> None:
    if task.lng is None or task.lat is None:
        return
    if place is None:
        raise problems.PLACE_NEEDED()
    east, north = metres_per_degree(task.lat)
    away_m = float(np.hypot((place.lng - task.lng) * east, (place.lat - task.lat) * north))
    if away_m - min(place.accuracy_m or 0.0, ACCURACY_MAX_M) > near_m:
        raise problems.TOO_FAR(near_m=near_m)


async def finish(
    settings: Settings, work: Work, claim_id: UUID, rider_id: UUID, photo_id: UUID | None, note: str
) -> Claim:
    """The rider is done, and says how. Again: the same answer.

    Raises:
        Refusal: no such claim of the rider, or they haven't begun.
    """
    _, found = await locked(work, claim_id, rider_id)
    if found.state == "finished":
        return found
    made = await claims.finish(work.conn, claim_id, photo_id, note, settings.review_days)
    if made is None:
        raise problems.CLAIM_MOVED_ON(state=found.state)
    return made
