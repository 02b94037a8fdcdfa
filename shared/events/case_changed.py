"""A case took a step."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import Actor, AreaCode, CompanyCode, Level, Plain, RiderId, SeenLatitude, SeenLongitude, Utc
from shared.events.personal import ERASED_WORDS, Personal
from shared.events.topic import Audience, EventModel, Topic

CaseState = Literal["open", "claimed", "needs_info", "handled", "verified", "closed", "invalid", "returned"]
CaseTransition = Literal[
    "opened",
    "attached",
    "repeated",
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
    "carried_over",
]


class CaseReport(EventModel):
    """One report of the case; ordinal 1 is the first reporter, later ones are co-reporters.

    Each rider has one ordinal in a case: a repetition carries that of its rider's first report.
    """

    report_id: UUID
    rider_id: RiderId
    company: CompanyCode
    ordinal: int = Field(ge=1)


class CaseChanged(EventModel):
    """One step of the transition table, and the case after it.

    Its size is the same however many report the thing: a step that brings a report (opened, attached, repeated) carries
    that one, every step the number of reports. Who needs them all keeps them from those steps.
    """

    case_id: UUID
    state: CaseState
    transition: CaseTransition
    kind: Plain
    level: Level
    grid_code: AreaCode
    alternatives: tuple[AreaCode, ...] = ()
    department: Plain | None
    lng: SeenLongitude
    lat: SeenLatitude
    report: CaseReport | None = Field(None, description="the report that this step brought")
    report_count: int = Field(ge=1, description="reports of the case after this step, one a rider")
    actor: Actor | None = Field(None, description="who did it; none: the system")
    note: Annotated[str, Personal("words", "what the actor says of the step", erased=ERASED_WORDS, of="actor")] = ""
    changed_at: Utc
    opened_at: Utc
    due_at: Utc


CASE_CHANGED = Topic(
    name="cases.case-changed.v1",
    model=CaseChanged,
    key="case_id",
    producer="cases",
    consumers=("intake", "points", "screening", "notifications", "tracking"),
    audience=Audience.INTERNAL,
    journey="report",
    step=4,
    summary="A case was opened, claimed, handled, verified, closed …",
)
