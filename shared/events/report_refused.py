"""A company's record was no report that counts."""

from pydantic import Field

from shared.events.common import CompanyCode, Plain, ReportNumber, Utc
from shared.events.topic import Audience, EventModel, Topic


class ReportRefused(EventModel):
    """Which report of a company was refused, and why: the words are those of its dead letter."""

    external_id: ReportNumber
    company: CompanyCode
    code: Plain = Field(description="a word that doesn't change, as in `dlq-code`")
    detail: Plain = Field(description="names fields and never values, as in `dlq-detail`")
    refused_at: Utc


REPORT_REFUSED = Topic(
    name="intake.report-refused.v1",
    model=ReportRefused,
    key="external_id",
    producer="intake",
    consumers=("tracking",),
    audience=Audience.INTERNAL,
    journey="report",
    step=2,
    summary="A company's record became a dead letter.",
    ordered=False,
)
