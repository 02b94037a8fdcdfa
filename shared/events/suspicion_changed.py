"""A report came under suspicion of being farmed, or somebody has decided about it."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import Plain, RiderId, Utc
from shared.events.topic import Audience, EventModel, Topic


class SuspicionChanged(EventModel):
    """What a suspicion is now. While it is raised the report's points wait; confirmed, they are not its rider's."""

    report_id: UUID
    rider_id: RiderId
    state: Literal["raised", "cleared", "confirmed"]
    reasons: tuple[Plain, ...] = Field(
        description="what was found: velocity, per_day, impossible_travel, repeated_photo, edited_photo, "
        "similar_photo, verifier_often, verifier_quick, ring"
    )
    changed_at: Utc


SUSPICION_CHANGED = Topic(
    name="screening.suspicion-changed.v1",
    model=SuspicionChanged,
    key="report_id",
    producer="screening",
    consumers=("points",),
    audience=Audience.INTERNAL,
    journey="screening",
    step=1,
    summary="A report looks farmed, or a person has decided that it isn't, or is.",
)
