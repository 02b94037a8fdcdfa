"""A report was accepted."""

from pydantic import Field

from shared.events.common import ReportFacts, ReportNumber
from shared.events.topic import Audience, Topic


class ReportReceived(ReportFacts):
    """A valid report; the place is WGS-84."""

    external_id: ReportNumber
    by_company: bool = Field(False, description="the number is the company's; else that of the rider's own app")


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
