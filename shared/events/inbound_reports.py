"""A company files a rider's report."""

from typing import Annotated

from pydantic import Field

from shared.events.common import AnyZone, Datum, ExternalId, Latitude, Longitude
from shared.events.topic import Audience, EventModel, Topic

ACCURACY_M_MAX = 200
TEXT_LENGTH_MAX = 2_000
PHOTOS_MAX = 6


class SubmittedPlace(EventModel):
    """Where: degrees in the stated datum, accuracy as the phone's radius in metres."""

    lng: Longitude
    lat: Latitude
    datum: Datum = Field(description="AMap and Tencent give gcj02, Baidu bd09, GPS receivers wgs84")
    accuracy_m: Annotated[float, Field(ge=0, le=ACCURACY_M_MAX)] = 20.0


class ReportSubmission(EventModel):
    """One report of one thing seen. The same external_id with the same content is accepted once."""

    external_id: ExternalId = Field(description="the company's own number of the report")
    rider: ExternalId = Field(description="the company's own number of the rider")
    kind: Annotated[str, Field(max_length=40, examples=["part-01001", "local-gas-smell"])]
    place: SubmittedPlace
    occurred_at: AnyZone = Field(description="when it was seen; not in the future")
    text: Annotated[str, Field(max_length=TEXT_LENGTH_MAX)] = ""
    photos: Annotated[tuple[str, ...], Field(max_length=PHOTOS_MAX)] = Field((), description="ids of uploaded photos")


INBOUND_REPORTS = Topic(
    name="inbound.{company}.reports.v1",
    model=ReportSubmission,
    key="external_id",
    producer="company",
    consumers=("intake",),
    audience=Audience.INBOUND,
    journey="report",
    step=1,
    summary="A company streams its riders' reports.",
    ordered=False,
)
