"""A rider has risen to another level, or fallen to one."""

from pydantic import Field

from shared.events.common import Plain, RiderId, Utc
from shared.events.topic import Audience, EventModel, Latest, Topic


class LevelChanged(EventModel):
    """The level that a rider has reached, whole; of whom there is no state, the rank is 0. Once erased: a tombstone."""

    rider_id: RiderId
    code: Plain | None = Field(description="null: none is reached")
    rank: int = Field(
        ge=0, description="place among the levels in force whose threshold is above 0, from 1; 0: none of them"
    )
    zh: Plain | None
    en: Plain | None
    changed_at: Utc


LEVEL_CHANGED = Topic(
    name="badges.level-changed.v1",
    model=LevelChanged,
    key="rider_id",
    producer="badges",
    consumers=("rewards",),
    audience=Audience.INTERNAL,
    journey="badges",
    step=2,
    summary="A rider has another level: what is credited, taken back or asked for a level has changed.",
    kept=Latest(leaves="the rider is erased"),
)
