"""A company registers or changes one of its riders."""

from typing import Annotated

from pydantic import Field

from shared.events.common import AnyZone, ExternalId, RiderKind
from shared.events.topic import Audience, EventModel, Topic


class RiderSubmission(EventModel):
    """The rider's state as the company knows it; sending it again with other values changes the rider."""

    external_id: ExternalId = Field(description="the company's own number of the rider")
    name: Annotated[str, Field(min_length=1, max_length=60)] = Field(description="as shown to those who work on a case")
    kind: RiderKind = "courier"
    outlet: ExternalId | None = Field(None, description="code of the company's outlet")
    consent_at: AnyZone | None = Field(
        None, description="when the rider agreed to place and photo being processed; without it reports are refused"
    )
    locale: Annotated[str, Field(pattern="^(zh|en)$")] = "zh"
    active: bool = True


INBOUND_RIDERS = Topic(
    name="inbound.{company}.riders.v1",
    model=RiderSubmission,
    key="external_id",
    producer="company",
    consumers=("riders",),
    audience=Audience.INBOUND,
    journey="registration",
    step=1,
    summary="A company registers its riders in bulk.",
    partitions=3,
    ordered=False,
)
