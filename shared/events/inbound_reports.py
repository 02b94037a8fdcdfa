"""A company files a rider's report."""

from typing import Annotated

from pydantic import AfterValidator, Field

from shared.events.common import AnyZone, Datum, ReportNumber, RiderNumber, SeenLatitude, SeenLongitude
from shared.events.outside import Code, Words
from shared.events.personal import Impersonal, Personal
from shared.events.topic import Audience, Submitted, Topic

ACCURACY_M_MAX = 200
"""A place that is less exact is taken too, but a person finds its grid."""
_ACCURACY_M_SENSE = 100_000
TEXT_LENGTH_MAX = 2_000
PHOTOS_MAX = 6
PhotoName = Annotated[Code, Field(max_length=64), Impersonal()]
"""A photo's id as the company writes it, in whatever form of a UUID."""


def _known_accuracy(value: float | None) -> float | None:
    """Phones without a fix say -1, 0 or something absurd: then nothing is known."""
    return value if value is not None and 0 < value <= _ACCURACY_M_SENSE else None


class SubmittedPlace(Submitted):
    """Where: degrees in the stated datum, accuracy as the phone's radius in metres."""

    lng: SeenLongitude
    lat: SeenLatitude
    datum: Datum = Field(description="AMap and Tencent give gcj02, Baidu bd09, GPS receivers wgs84")
    accuracy_m: Annotated[float | None, Field(allow_inf_nan=False), AfterValidator(_known_accuracy)] = Field(
        20.0, description="null, 0 or negative: unknown; unknown or above 200, a person finds the grid"
    )


class ReportSubmission(Submitted):
    """One report of one thing seen. The same external_id with the same content is accepted once."""

    external_id: ReportNumber = Field(description="the company's own number of the report")
    rider: RiderNumber = Field(description="the company's own number of the rider")
    kind: Annotated[Code, Field(max_length=40, examples=["part-01001", "local-gas-smell"]), Impersonal()]
    place: SubmittedPlace
    occurred_at: AnyZone = Field(description="when it was seen; not in the future")
    text: Annotated[Words, Field(max_length=TEXT_LENGTH_MAX), Personal("words", "what the rider saw")] = ""
    photos: Annotated[tuple[PhotoName, ...], Field(max_length=PHOTOS_MAX)] = Field(
        (), description="ids of uploaded photos"
    )


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
