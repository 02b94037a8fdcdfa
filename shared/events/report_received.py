"""A report was accepted."""

from uuid import UUID

from shared.events.common import CompanyCode, ExternalId, Latitude, Level, Longitude, Photo, Utc
from shared.events.topic import Audience, EventModel, Topic


class ReportReceived(EventModel):
    """A valid report; the place is WGS-84."""

    report_id: UUID
    rider_id: UUID
    company: CompanyCode
    external_id: ExternalId
    kind: str
    level: Level
    lng: Longitude
    lat: Latitude
    accuracy_m: float
    text: str
    photos: tuple[Photo, ...] = ()
    occurred_at: Utc
    received_at: Utc


REPORT_RECEIVED = Topic(
    name="intake.report-received.v1",
    model=ReportReceived,
    key="report_id",
    producer="intake",
    consumers=("routing", "tracking"),
    audience=Audience.INTERNAL,
    journey="report",
    step=2,
    summary="A report passed all checks.",
)
