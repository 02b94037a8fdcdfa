"""A rider was awarded a badge."""

from uuid import UUID

from shared.events.common import Plain, RiderId, Utc
from shared.events.topic import Audience, EventModel, Topic


class BadgeAwarded(EventModel):
    """A badge, once a rider. Whether it is valid still, its own address says."""

    award_id: UUID
    rider_id: RiderId
    code: Plain
    zh: Plain
    en: Plain
    awarded_at: Utc


BADGE_AWARDED = Topic(
    name="badges.badge-awarded.v1",
    model=BadgeAwarded,
    key="award_id",
    producer="badges",
    consumers=("notifications",),
    audience=Audience.INTERNAL,
    journey="badges",
    step=1,
    summary="A rider has reached what a badge is given for.",
)
