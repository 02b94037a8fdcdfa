"""A company registers or changes one of its riders."""

from typing import Annotated

from pydantic import Field

from shared.events.common import AnyZone, ExternalId, Plain, RiderKind, RiderNumber
from shared.events.outside import Line
from shared.events.personal import Personal
from shared.events.topic import Audience, Facts, Submitted, Topic


class RiderSubmission(Submitted):
    """The rider's state as the company knows it; sending it again with other values changes the rider."""

    external_id: RiderNumber = Field(description="the company's own number of the rider")
    name: Annotated[
        Line, Field(min_length=1, max_length=60), Personal("name", "the rider's own profile; shown to nobody else")
    ] = Field(description="as the rider is called in their own profile")
    kind: RiderKind = "courier"
    outlet: Annotated[ExternalId | None, Personal("place", "where the rider starts from")] = Field(
        None, description="code of the company's outlet"
    )
    consent_at: AnyZone | None = Field(
        None, description="when the rider agreed to place and photo being processed; without it reports are refused"
    )
    locale: Annotated[Plain, Field(pattern="^(zh|en)$")] = "zh"
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
    # names travel here and nowhere else: what isn't read within three days the company sends again
    kept=Facts(hours=24 * 3),
    ordered=False,
)
