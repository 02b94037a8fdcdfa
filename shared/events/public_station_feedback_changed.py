"""What city systems learn of riders' feedback about stations: that something waits for an answer, not what."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import AreaCode, Plain, Utc
from shared.events.topic import Audience, EventModel, Topic


class PublicStationFeedbackChanged(EventModel):
    """A rider's stars, without rider and words. `waiting`: the managing unit has to answer by `due_at`, and its keepers
    read the words over HTTP. `noted`: stars alone wait for nothing.
    """

    feedback_id: UUID
    station_id: UUID
    station_code: Plain
    area_code: AreaCode
    managing_unit: Plain
    stars: int = Field(ge=1, le=5)
    state: Literal["noted", "waiting", "answered"]
    due_at: Utc
    changed_at: Utc


PUBLIC_STATION_FEEDBACK_CHANGED = Topic(
    name="public.station-feedback-changed.v1",
    model=PublicStationFeedbackChanged,
    key="feedback_id",
    producer="stations",
    consumers=("city-system",),
    audience=Audience.PUBLIC,
    journey="stations",
    step=2,
    summary="Whoever manages a station is notified that a rider waits for an answer, and by when.",
    partitions=3,
)
