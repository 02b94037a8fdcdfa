"""Points of a rider will expire soon."""

from datetime import date
from typing import Annotated

from pydantic import Field

from shared.events.common import RiderId
from shared.events.personal import Impersonal
from shared.events.topic import Audience, EventModel, Topic


class PointsExpiring(EventModel):
    """What is left of the points that were earned on one day, some days before their end."""

    rider_id: RiderId
    amount: int = Field(gt=0, description="whole points that will be gone, unless they are spent before")
    expires_on: Annotated[date, Impersonal()] = Field(description="the first day, in the city, on which they are gone")
    days_left: int = Field(gt=0)
    available: int = Field(ge=0, description="all that can be spent now")


POINTS_EXPIRING = Topic(
    name="points.points-expiring.v1",
    model=PointsExpiring,
    key="rider_id",
    producer="points",
    consumers=("notifications",),
    audience=Audience.INTERNAL,
    journey="redemption",
    step=2,
    summary="Points will expire soon.",
)
