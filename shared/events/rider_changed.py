"""A rider was registered or changed."""

from shared.events.common import CompanyCode, Plain, RiderId, RiderKind, RiderNumber
from shared.events.topic import Audience, EventModel, Latest, Topic


class RiderChanged(EventModel):
    """The rider's whole state, without name or contact: who needs the name asks the riders service.

    Once erased: a tombstone.
    """

    rider_id: RiderId
    company: CompanyCode
    external_id: RiderNumber
    kind: RiderKind
    consent: bool
    locale: Plain
    active: bool


RIDER_CHANGED = Topic(
    name="riders.rider-changed.v1",
    model=RiderChanged,
    key="rider_id",
    producer="riders",
    consumers=("intake", "notifications", "points", "rewards", "screening", "stations", "activities", "tasks"),
    audience=Audience.INTERNAL,
    journey="registration",
    step=3,
    summary="A rider may file reports and earn points.",
    kept=Latest(leaves="the rider is erased"),
)
