"""What a company hears of the reports that it has filed."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.events.case_changed import CaseState
from shared.events.common import AreaCode, Plain, ReportNumber, Utc
from shared.events.topic import Audience, EventModel, Topic

ReportStage = Literal["refused", "waiting", "accepted", "outside_map", "by_hand", "routed", "in_case"]
PointsState = Literal["held", "posted", "voided", "reversed", "refused"]


class OutboundRefusal(EventModel):
    """Why a record is no report: the same words as in its dead letter."""

    code: Plain = Field(description="a word that doesn't change, as in `dlq-code`; more may be added")
    detail: Plain = Field(description="names fields and never values, as in `dlq-detail`")


class OutboundWaiting(EventModel):
    """Why a record is no report yet: what its rider lacks, which may be on its way."""

    code: Plain = Field(
        description="the refusal that it becomes if nothing changes: `unknown_rider`, `rider_inactive`, "
        "`consent_missing`; more may be added"
    )
    detail: Plain = Field(description="names fields and never values")
    until: Utc = Field(description="when it is refused at the latest")


class OutboundRouting(EventModel):
    """Where the report belongs, as far as that is known."""

    grid_code: AreaCode | None = None
    grid_name: Plain | None = None
    department: Plain | None = Field(None, description="code of the responsible department")
    reason: Plain | None = Field(None, description="why no grid was found; more may be added")
    routed_at: Utc


class OutboundCase(EventModel):
    """The case that the report opened or joined, as it is now."""

    case_id: UUID
    state: CaseState
    grid_code: AreaCode
    department: Plain | None = None
    due_at: Utc
    changed_at: Utc


class OutboundPoints(EventModel):
    """The latest movement of the points for this report, in whole points."""

    state: PointsState
    amount: int = Field(description="of this movement: positive, the rider gains; negative, the rider pays back")
    reason: Plain | None = Field(None, description="of none, or points that were taken back: a code; more may be added")
    changed_at: Utc


class OutboundReport(EventModel):
    """What has become of one report, whole: the record with the highest version is all that is known.

    `refused` is about a record that is no report: it has `refusal` and nothing else; `waiting` about one that is none
    yet: it has `waiting`, and is accepted when its rider has come, agreed or become active. All other stages have the
    report's id. `outside_map` says that the place lies in no grid, `by_hand` that a person has to find the grid for
    another reason; both go on when somebody has. States that follow each other within a moment may be one record.
    """

    external_id: ReportNumber = Field(description="the company's own number of the report")
    stage: ReportStage
    report_id: UUID | None = None
    received_at: Utc | None = Field(None, description="when the report was accepted")
    refusal: OutboundRefusal | None = None
    waiting: OutboundWaiting | None = None
    routing: OutboundRouting | None = None
    case: OutboundCase | None = None
    points: OutboundPoints | None = None
    changed_at: Utc = Field(description="when the latest of all this happened")


OUTBOUND_REPORTS = Topic(
    name="outbound.{company}.reports.v1",
    model=OutboundReport,
    key="external_id",
    producer="tracking",
    consumers=("company",),
    audience=Audience.OUTBOUND,
    journey="report",
    step=7,
    summary="A company hears what becomes of each of its reports.",
)
