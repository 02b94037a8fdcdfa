"""A rider's points account changed, or a request to change it was refused."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.events.common import AreaCode, CompanyCode, Plain, RiderId, Utc
from shared.events.personal import Personal
from shared.events.topic import Audience, EventModel, Topic


class AccountChanged(EventModel):
    """One movement on one account, and the balances after it, in whole points."""

    rider_id: RiderId
    entry_id: UUID
    movement: Literal["held", "posted", "voided", "reversed", "refused", "expired", "adjusted"]
    source: Literal["report", "deed", "redemption", "expiry", "adjustment"]
    source_id: UUID = Field(description="of the report, the deed, the redemption, what expired, or the adjustment")
    case_id: UUID | None = None
    company: CompanyCode | None = Field(None, description="of a report: the company whose rider has filed it")
    grid_code: AreaCode | None = Field(None, description="of a report: the grid its case lies in when the points moved")
    amount: int = Field(description="positive: the rider gains; negative: the rider pays")
    reason: Annotated[str | None, Personal("words", "why, as a code or in an operator's words")] = Field(
        None, description="of a refusal, void, reversal, expiry or adjustment, or why points wait"
    )
    rule: Plain | None = Field(None, description="which rule has decided: version/name, +campaign that multiplied")
    why_zh: Plain | None = Field(None, description="the rule in words for the rider")
    why_en: Plain | None = Field(None, description="the same in English")
    pending: int = Field(ge=0, description="gains held until verified")
    available: int = Field(ge=0, description="what can be spent now")
    changed_at: Utc


ACCOUNT_CHANGED = Topic(
    name="points.account-changed.v1",
    model=AccountChanged,
    key="rider_id",
    producer="points",
    consumers=("badges", "notifications", "rewards", "tracking"),
    audience=Audience.INTERNAL,
    journey="report",
    step=5,
    summary="Points are held, posted, voided, reversed, expired or adjusted.",
)
