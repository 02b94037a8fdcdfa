"""What city systems learn of a case."""

from uuid import UUID

from pydantic import Field

from shared.events.case_changed import CaseState, CaseTransition
from shared.events.common import AreaCode, Latitude, Level, Longitude, Plain, Utc
from shared.events.topic import Audience, EventModel, Latest, Topic


class PublicCaseChanged(EventModel):
    """The case's whole state without any rider; the place is rounded to 4 decimals (about 10 m), WGS-84."""

    case_id: UUID
    state: CaseState
    transition: CaseTransition
    kind: Plain
    kind_name_zh: Plain
    kind_name_en: Plain
    level: Level
    grid_code: AreaCode
    department: Plain | None
    lng: Longitude
    lat: Latitude
    report_count: int = Field(ge=1, description="reports of the same thing, one a rider")
    opened_at: Utc
    due_at: Utc
    changed_at: Utc


PUBLIC_CASE_CHANGED = Topic(
    name="public.case-changed.v1",
    model=PublicCaseChanged,
    key="case_id",
    producer="tracking",
    consumers=("city-system",),
    audience=Audience.PUBLIC,
    journey="report",
    step=6,
    summary="City systems follow every case.",
    kept=Latest(steps_hours=24 * 7, leaves="the case has been closed or invalid for 30 days (a setting)"),
)
