"""A company's record was no report that counts, or isn't one yet."""

from pydantic import Field

from shared.events.common import CompanyCode, Plain, ReportNumber, Utc
from shared.events.topic import Audience, EventModel, Topic


class ReportRefused(EventModel):
    """Which report of a company was refused, and why: the words are those of its dead letter.

    With `waits_until` it isn't refused yet: it waits until then for its rider, or for a change of theirs. What is said
    of one number is one after the other, whichever it is.
    """

    external_id: ReportNumber
    company: CompanyCode
    code: Plain = Field(description="a word that doesn't change, as in `dlq-code`")
    detail: Plain = Field(description="names fields and never values, as in `dlq-detail`")
    refused_at: Utc
    waits_until: Utc | None = Field(None, description="it waits, at most until then; null: it is refused for good")


REPORT_REFUSED = Topic(
    name="intake.report-refused.v1",
    model=ReportRefused,
    key="external_id",
    producer="intake",
    consumers=("tracking",),
    audience=Audience.INTERNAL,
    journey="report",
    step=2,
    summary="A company's record became a dead letter, or waits for its rider.",
    ordered=False,
)
