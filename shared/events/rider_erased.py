"""A rider is to be forgotten, everywhere and for good."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.events.common import CompanyCode, Utc
from shared.events.personal import Personal
from shared.events.topic import Audience, EventModel, Latest, Topic


class RiderErased(EventModel):
    """An order to every service: what tells of this rider goes, and nothing writes it again."""

    rider_id: Annotated[UUID, Personal("id", "which rows go")]
    company: CompanyCode
    number: Annotated[
        str, Field(pattern=r"^erased:[0-9a-f]{40}$"), Personal("number", "refuses the company's number of the rider")
    ] = Field(description="hash of company and number: recognises the number when it comes again")
    erased_at: Utc


RIDER_ERASED = Topic(
    name="riders.rider-erased.v1",
    model=RiderErased,
    key="rider_id",
    producer="riders",
    consumers=(
        "intake",
        "routing",
        "cases",
        "points",
        "screening",
        "rewards",
        "badges",
        "notifications",
        "tracking",
        "stations",
        "activities",
        "tasks",
    ),
    audience=Audience.INTERNAL,
    journey="registration",
    step=4,
    summary="A rider is forgotten by every service.",
    # a service that comes later holds what comes late against the whole list, too, and has done all there is to do
    kept=Latest(),
)
