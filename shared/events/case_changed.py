"""A case took a step."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import Actor, CompanyCode, Latitude, Level, Longitude, Utc
from shared.events.topic import Audience, EventModel, Topic

CaseState = Literal["open", "claimed", "needs_info", "handled", "verified", "closed", "invalid", "returned"]
CaseTransition = Literal[
    "opened",
    "attached",
    "claimed",
    "info_requested",
    "info_given",
    "handled",
    "verified",
    "rework_ordered",
    "closed",
    "invalidated",
    "returned",
    "redispatched",
    "reopened",
]


class CaseReport(EventModel):
    """One report of the case; ordinal 1 is the first reporter, later ones are co-reporters."""

    report_id: UUID
    rider_id: UUID
    company: CompanyCode
    ordinal: int = Field(ge=1)


class CaseChanged(EventModel):
    """The case's whole state after one step of the transition table."""

    case_id: UUID
    state: CaseState
    transition: CaseTransition
    kind: str
    level: Level
    grid_code: str
    alternatives: tuple[str, ...] = ()
    department: str | None
    lng: Longitude
    lat: Latitude
    reports: tuple[CaseReport, ...] = Field(description="all reports of the case, in order")
    attached_report: UUID | None = Field(None, description="the report that this step added")
    actor: Actor | None = Field(None, description="who did it; none: the system")
    note: str = ""
    changed_at: Utc
    opened_at: Utc
    due_at: Utc


CASE_CHANGED = Topic(
    name="cases.case-changed.v1",
    model=CaseChanged,
    key="case_id",
    producer="cases",
    consumers=("points", "notifications", "tracking"),
    audience=Audience.INTERNAL,
    journey="report",
    step=4,
    summary="A case was opened, claimed, handled, verified, closed …",
)
