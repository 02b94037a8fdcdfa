"""A rider was registered or changed."""

from uuid import UUID

from shared.events.common import CompanyCode, ExternalId, RiderKind
from shared.events.topic import Audience, EventModel, Topic


class RiderChanged(EventModel):
    """The rider's whole state, without name or contact: who needs the name asks the riders service."""

    rider_id: UUID
    company: CompanyCode
    external_id: ExternalId
    kind: RiderKind
    consent: bool
    locale: str
    active: bool


RIDER_CHANGED = Topic(
    name="riders.rider-changed.v1",
    model=RiderChanged,
    key="rider_id",
    producer="riders",
    consumers=("intake", "notifications", "points"),
    audience=Audience.INTERNAL,
    journey="registration",
    step=3,
    summary="A rider may file reports and earn points.",
)
