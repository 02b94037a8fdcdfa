"""What companies' webhooks get: the bodies, as the OpenAPI document describes them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.events.case_changed import CaseState, CaseTransition
from shared.events.common import AreaCode, Plain, Utc
from shared.events.topic import EventModel

STATUS_CHANGED: Literal["report.status_changed"] = "report.status_changed"
TEST: Literal["webhook.test"] = "webhook.test"
REPORT_IDS_MAX = 100
"""Reports that a webhook names; the company knows all its others from the deliveries of their own steps."""


class ReportStatus(EventModel):
    """A step of a case, and the case after it. No rider is in it, and no place but the grid."""

    case_id: UUID
    sequence: int = Field(ge=1, description="of the step within its case: deliveries may come in another order")
    transition: CaseTransition = Field(description="what was done; more may be added")
    state: CaseState = Field(description="of the case after it")
    kind: Plain
    grid_code: AreaCode
    department: Plain | None
    due_at: Utc
    changed_at: Utc
    report_ids: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=REPORT_IDS_MAX)] = Field(
        description="the company's own reports of the case that the step concerns: of a step that brings a report that "
        "one, of any other the first hundred"
    )


class ReportStatusChanged(EventModel):
    """The case of the company's reports took a step."""

    type: Literal["report.status_changed"] = STATUS_CHANGED
    timestamp: Utc = Field(description="when the step was taken, not when it is sent")
    data: ReportStatus


class TestData(EventModel):
    """What a test brings."""

    test_id: UUID = Field(description="as `POST /v1/webhooks/test` answered")


class WebhookTest(EventModel):
    """Somebody has asked for a test."""

    type: Literal["webhook.test"] = TEST
    timestamp: Utc
    data: TestData
