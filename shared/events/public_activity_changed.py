"""What city systems learn of an activity."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import AreaCode, Plain, Utc
from shared.events.topic import Audience, EventModel, Latest, Topic


class PublicActivityChanged(EventModel):
    """An activity's whole state: signups = confirmed + waiting + wished + cancelled. Counts, no rider."""

    activity_id: UUID
    series_id: UUID | None
    template: Plain | None = Field(description="what it was made from, e.g. service-week")
    title_zh: Plain
    title_en: Plain
    area_code: AreaCode
    address: Plain
    station_id: Plain | None
    organiser: Plain
    starts_at: Utc
    ends_at: Utc
    signup_until: Utc
    state: Literal["open", "called_off", "over"]
    way: Literal["queue", "lot"] = Field(description="first come first served, or by lot")
    seed_hash: Plain | None = Field(description="by lot: SHA-256 of the seed, from the beginning")
    seed: Plain | None = Field(None, description="by lot, once drawn")
    places: int = Field(ge=1)
    signups: int = Field(ge=0)
    confirmed: int = Field(ge=0, description="places that are taken")
    waiting: int = Field(ge=0)
    wished: int = Field(ge=0, description="by lot: before the draw")
    cancelled: int = Field(ge=0)
    attended: int = Field(ge=0)
    no_shows: int = Field(ge=0)
    changed_at: Utc


PUBLIC_ACTIVITY_CHANGED = Topic(
    name="public.activity-changed.v1",
    model=PublicActivityChanged,
    key="activity_id",
    producer="activities",
    consumers=("city-system",),
    audience=Audience.PUBLIC,
    journey="activities",
    step=2,
    summary="City systems follow every activity and how many take part.",
    partitions=3,
    kept=Latest(),
)
